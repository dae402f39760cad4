// Writing, and the header's grammar.
#include "core/training/safetensors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/check.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"

namespace ingot {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "the format and this code are little-endian");

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference reader's limit
constexpr int64_t kChunk = int64_t{1} << 16;       // elements converted at a time: fits the second-level cache

const char* Spelled(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "F32";
    case DType::kBf16:
      return "BF16";
    case DType::kF16:
      return "F16";
    default:
      INGOT_CHECK(false, "weights are not written as %s", Name(dtype));
  }
}

// The reference writer's order: wide elements first so that all stay aligned, bf16 before f16, then by name.
auto WriterOrder(const TensorSource& tensor) {
  return std::make_tuple(-SizeOf(tensor.dtype), tensor.dtype == DType::kF16, std::cref(tensor.name));
}

std::string HeaderText(const std::vector<TensorSource>& tensors, const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header;
  if (!metadata.empty()) header["__metadata__"] = metadata;
  int64_t begin = 0;
  for (const TensorSource& tensor : tensors) {
    std::vector<int64_t> shape = tensor.shape;
    int64_t count = 1;
    for (const int64_t size : shape) count *= size;
    if (tensor.transposed) std::reverse(shape.begin(), shape.end());
    const int64_t end = begin + count * SizeOf(tensor.dtype);
    header[tensor.name] = {{"dtype", Spelled(tensor.dtype)}, {"shape", shape}, {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

template <typename Element>
Element Converted(float value);
template <>
float Converted(float value) {
  return value;
}
template <>
Bf16 Converted(float value) {
  return ToBf16(value);
}
template <>
F16 Converted(float value) {
  return ToF16(value);
}
float Widened(float value) { return value; }
float Widened(Bf16 value) { return ToFloat(value); }
float Widened(F16 value) { return ToFloat(value); }

absl::Status NotFinite(const TensorSource& tensor, float value) {
  return absl::DataLossError(std::isfinite(value)
                                 ? absl::StrCat("tensor ", tensor.name, ": the value ", value, " is too large for ",
                                                Name(tensor.dtype), "; write bf16 or f32")
                                 : absl::StrCat("tensor ", tensor.name, ": expected finite values, found ", value));
}

// Writes N values whose element n is at values[n * stride].
template <typename Element>
absl::Status AppendRow(FileWriter& writer, const TensorSource& tensor, const float* values, int64_t N, int64_t stride,
                       std::vector<Element>& buffer) {
  for (int64_t begin = 0; begin < N; begin += kChunk) {
    const int64_t count = std::min(kChunk, N - begin);
    const float* from = values + begin * stride;
    bool bad = false;
    for (int64_t n = 0; n < count; ++n) {
      buffer[n] = Converted<Element>(from[n * stride]);
      bad |= !std::isfinite(Widened(buffer[n]));
    }
    for (int64_t n = 0; bad && n < count; ++n) {
      if (!std::isfinite(Widened(buffer[n]))) return NotFinite(tensor, from[n * stride]);
    }
    INGOT_RETURN_IF_ERROR(writer.Append(buffer.data(), count * sizeof(Element)));
  }
  return absl::OkStatus();
}

template <typename Element>
absl::Status AppendTensor(FileWriter& writer, const TensorSource& tensor) {
  int64_t count = 1;
  for (const int64_t size : tensor.shape) count *= size;
  std::vector<Element> buffer(std::min(count, kChunk));
  if (!tensor.transposed) return AppendRow(writer, tensor, tensor.values, count, 1, buffer);
  const int64_t O = tensor.shape[0], I = tensor.shape[1];
  for (int64_t i = 0; i < I; ++i) {
    INGOT_RETURN_IF_ERROR(AppendRow(writer, tensor, tensor.values + i, O, I, buffer));
  }
  return absl::OkStatus();
}

absl::Status AppendNarrow(FileWriter& writer, const TensorSource& tensor) {
  INGOT_CHECK(tensor.dtype == DType::kBf16 && !tensor.transposed, "%s: bf16 values of another form",
              tensor.name.c_str());
  int64_t count = 1;
  for (const int64_t size : tensor.shape) count *= size;
  for (int64_t n = 0; n < count; ++n) {
    if (!std::isfinite(ToFloat(tensor.narrow[n]))) return NotFinite(tensor, ToFloat(tensor.narrow[n]));
  }
  return writer.Append(tensor.narrow, static_cast<size_t>(count) * sizeof(Bf16));
}

absl::Status Append(FileWriter& writer, const TensorSource& tensor) {
  if (tensor.narrow != nullptr) return AppendNarrow(writer, tensor);
  switch (tensor.dtype) {
    case DType::kBf16:
      return AppendTensor<Bf16>(writer, tensor);
    case DType::kF16:
      return AppendTensor<F16>(writer, tensor);
    default:
      return AppendTensor<float>(writer, tensor);
  }
}

// Bytes of an element by the format's name of its type; 0 if the format has no such whole-byte type.
int64_t ElementBytes(const std::string& dtype) {
  static const auto* const kSizes = new std::map<std::string, int64_t>{
      {"F64", 8},     {"I64", 8},     {"U64", 8},     {"C64", 8},         {"F32", 4},        {"I32", 4}, {"U32", 4},
      {"F16", 2},     {"BF16", 2},    {"I16", 2},     {"U16", 2},         {"I8", 1},         {"U8", 1},  {"BOOL", 1},
      {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1}, {"F8_E4M3FNUZ", 1}, {"F8_E5M2FNUZ", 1}};
  const auto found = kSizes->find(dtype);
  return found == kSizes->end() ? 0 : found->second;
}

// Whether `value` is an array of integers of at least 0; they go to `numbers`.
bool ReadIntegers(const json& value, std::vector<int64_t>& numbers) {
  if (!value.is_array()) return false;
  for (const json& number : value) {
    constexpr auto kLargest = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    if (!number.is_number_unsigned() || number.get<uint64_t>() > kLargest) return false;
    numbers.push_back(number.get<int64_t>());
  }
  return true;
}

absl::StatusOr<TensorEntry> ParseEntry(const json& value) {
  if (!value.is_object() || value.size() != 3 || !value.contains("dtype") || !value["dtype"].is_string()) {
    return absl::InvalidArgumentError("expected an object of dtype, shape and data_offsets");
  }
  TensorEntry entry;
  entry.dtype = value["dtype"].get<std::string>();
  const int64_t element = ElementBytes(entry.dtype);
  if (element == 0) return absl::InvalidArgumentError(absl::StrCat("unknown dtype \"", entry.dtype, "\""));
  if (!value.contains("shape") || !ReadIntegers(value["shape"], entry.shape)) {
    return absl::InvalidArgumentError("shape: expected an array of integers of at least 0");
  }
  std::vector<int64_t> offsets;
  if (!value.contains("data_offsets") || !ReadIntegers(value["data_offsets"], offsets) || offsets.size() != 2 ||
      offsets[0] > offsets[1]) {
    return absl::InvalidArgumentError("data_offsets: expected [BEGIN, END] with 0 <= BEGIN <= END");
  }
  entry.begin = offsets[0];
  entry.end = offsets[1];
  int64_t bytes = element;
  bool overflow = false;
  for (const int64_t size : entry.shape) overflow |= __builtin_mul_overflow(bytes, size, &bytes);
  if (overflow || static_cast<uint64_t>(bytes) != entry.end - entry.begin) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the shape (", absl::StrJoin(entry.shape, ", "), ") of ", entry.dtype, " needs ",
        overflow ? "more than 2^63" : absl::StrCat(bytes), " bytes, data_offsets give ", entry.end - entry.begin));
  }
  return entry;
}

absl::Status ParseMetadata(const json& value, std::map<std::string, std::string>& metadata) {
  if (!value.is_object()) return absl::InvalidArgumentError("__metadata__: expected an object");
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) {
      return absl::InvalidArgumentError(absl::StrCat("__metadata__.", key, ": expected a string"));
    }
    metadata[key] = text.get<std::string>();
  }
  return absl::OkStatus();
}

// The tensors, by their place, must begin at 0, touch, and end where the file does.
absl::Status CheckCover(const SafetensorsHeader& header, uint64_t data_bytes) {
  std::vector<std::pair<std::pair<uint64_t, uint64_t>, absl::string_view>> places;
  for (const auto& [name, entry] : header.tensors) places.push_back({{entry.begin, entry.end}, name});
  std::sort(places.begin(), places.end());
  uint64_t at = 0;
  for (const auto& [place, name] : places) {
    if (place.first != at) {
      return absl::InvalidArgumentError(absl::StrCat("tensor ", name, " begins at byte ", place.first,
                                                     " of the data, expected ", at, " (a hole or an overlap)"));
    }
    at = place.second;
  }
  if (at == data_bytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("the tensors end at byte ", at, " of the data, the file holds ",
                                                 data_bytes, at > data_bytes ? ": it was cut off" : ""));
}

}  // namespace

absl::StatusOr<FileRecord> WriteSafetensors(const std::string& path, std::vector<TensorSource> tensors,
                                            const std::map<std::string, std::string>& metadata) {
  std::sort(tensors.begin(), tensors.end(),
            [](const TensorSource& a, const TensorSource& b) { return WriterOrder(a) < WriterOrder(b); });
  INGOT_ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Create(path));
  const std::string header = HeaderText(tensors, metadata);
  const uint64_t length = header.size();
  INGOT_RETURN_IF_ERROR(writer.Append(&length, sizeof(length)));
  INGOT_RETURN_IF_ERROR(writer.Append(header));
  for (const TensorSource& tensor : tensors) INGOT_RETURN_IF_ERROR(Append(writer, tensor));
  INGOT_RETURN_IF_ERROR(writer.Close());
  return FileRecord{writer.bytes_written(), writer.crc32c()};
}

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view file, absl::string_view what) {
  const auto refused = [what](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": not a valid safetensors file: ", why));
  };
  uint64_t length = 0;
  if (file.size() < kLengthBytes) return refused(absl::StrCat("it has ", file.size(), " bytes, at least 8 are needed"));
  std::copy_n(file.data(), kLengthBytes, reinterpret_cast<char*>(&length));
  if (length > kMaxHeaderBytes || length > file.size() - kLengthBytes) {
    return refused(absl::StrCat("its header claims ", length, " bytes; the file has ", file.size() - kLengthBytes,
                                " after the length, and at most ", kMaxHeaderBytes, " are allowed"));
  }
  const absl::string_view text = file.substr(kLengthBytes, length);
  if (text.empty() || text.front() != '{') return refused("its header does not begin with '{'");
  INGOT_ASSIGN_OR_RETURN(const json value, ParseJson(text, absl::StrCat(what, ": header")));
  SafetensorsHeader header;
  header.data_start = kLengthBytes + length;
  for (const auto& [name, item] : value.items()) {
    if (name == "__metadata__") {
      const absl::Status status = ParseMetadata(item, header.metadata);
      if (!status.ok()) return refused(status.message());
      continue;
    }
    absl::StatusOr<TensorEntry> entry = ParseEntry(item);
    if (!entry.ok()) return refused(absl::StrCat("tensor ", name, ": ", entry.status().message()));
    header.tensors.emplace(name, *std::move(entry));
  }
  const absl::Status cover = CheckCover(header, file.size() - header.data_start);
  if (!cover.ok()) return refused(cover.message());
  return header;
}

}  // namespace ingot
