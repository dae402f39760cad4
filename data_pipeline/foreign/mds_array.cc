#include "data_pipeline/foreign/mds_array.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status_macros.h"

namespace ingot {
namespace {

// Integer types by the format's codes, which are 8 * log2(bytes) + 8 unsigned, one more signed.
struct Type {
  const char* name;
  int code, bytes;
};
constexpr Type kTypes[] = {{"uint8", 8, 1},   {"int8", 9, 1},   {"uint16", 16, 2}, {"int16", 17, 2},
                           {"uint32", 32, 4}, {"int32", 33, 4}, {"uint64", 64, 8}, {"int64", 65, 8}};

absl::StatusOr<int> TypeOf(absl::string_view name) {
  for (const Type& type : kTypes) {
    if (name == type.name) return type.code;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("numbers of type '", name, "'; expected int8 to int64 or uint8 to uint64"));
}

absl::Status Damaged(absl::string_view found) { return absl::DataLossError(absl::StrCat(found, ": damaged")); }

template <typename T>
absl::Status ReadAs(std::span<const std::byte> bytes, int64_t vocabulary, std::vector<int32_t>& ids) {
  ids.resize(bytes.size() / sizeof(T));
  for (size_t i = 0; i < ids.size(); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
    if (std::cmp_less(value, 0) || std::cmp_greater_equal(value, vocabulary)) {
      return absl::InvalidArgumentError(absl::StrCat("token ", i, " is id ", value, ", outside the vocabulary of ",
                                                     vocabulary,
                                                     ": damaged, or made with another tokenizer or token type"));
    }
    ids[i] = static_cast<int32_t>(value);
  }
  return absl::OkStatus();
}

absl::Status ReadValues(std::span<const std::byte> bytes, int type, int64_t vocabulary, std::vector<int32_t>& ids) {
  switch (type) {
    case 8:
      return ReadAs<uint8_t>(bytes, vocabulary, ids);
    case 9:
      return ReadAs<int8_t>(bytes, vocabulary, ids);
    case 16:
      return ReadAs<uint16_t>(bytes, vocabulary, ids);
    case 17:
      return ReadAs<int16_t>(bytes, vocabulary, ids);
    case 32:
      return ReadAs<uint32_t>(bytes, vocabulary, ids);
    case 33:
      return ReadAs<int32_t>(bytes, vocabulary, ids);
    case 64:
      return ReadAs<uint64_t>(bytes, vocabulary, ids);
    default:
      return ReadAs<int64_t>(bytes, vocabulary, ids);
  }
}

// The number of values that a shape says, read from the front of `cell`: a byte with 4 * dimensions + log2 of the width
// of each, then the dimensions.
absl::StatusOr<uint64_t> ReadShape(std::span<const std::byte>& cell) {
  if (cell.empty()) return Damaged("an array without a shape");
  const auto head = static_cast<unsigned>(cell[0]);
  const size_t dimensions = head >> 2, width = size_t{1} << (head & 3);
  if (cell.size() - 1 < dimensions * width) return Damaged(absl::StrCat("a shape of ", dimensions, " dimensions"));
  uint64_t count = 1;
  for (size_t d = 0; d < dimensions; ++d) {
    uint64_t size = 0;
    std::memcpy(&size, cell.data() + 1 + d * width, width);
    if (size > 0 && count > cell.size() / size) return Damaged("a shape larger than its array");
    count *= size;
  }
  cell = cell.subspan(1 + dimensions * width);
  return count;
}

}  // namespace

absl::StatusOr<MdsEncoding> ParseMdsEncoding(const std::string& encoding, const std::string& bytes_type) {
  if (encoding == "bytes") {
    if (bytes_type.empty()) {
      return absl::InvalidArgumentError(
          "the column holds plain bytes, which do not say what numbers they are; name their type with --ids, as in "
          "--ids int64");
    }
    INGOT_ASSIGN_OR_RETURN(const int type, TypeOf(bytes_type));
    return MdsEncoding{.type = type, .has_shape = false};
  }
  const std::vector<std::string> parts = absl::StrSplit(encoding, ':');
  if (parts[0] != "ndarray" || parts.size() > 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("the column is of the encoding '", encoding, "', which holds no ids; expected ndarray or bytes"));
  }
  MdsEncoding parsed = {.has_shape = parts.size() < 3};
  if (parts.size() > 1) {
    INGOT_ASSIGN_OR_RETURN(parsed.type, TypeOf(parts[1]));
  }
  return parsed;
}

absl::Status ReadMdsCell(std::span<const std::byte> cell, const MdsEncoding& encoding, int64_t vocabulary,
                         std::vector<int32_t>& ids) {
  int code = 0;
  if (encoding.type) {
    code = *encoding.type;
  } else {
    if (cell.empty()) return Damaged("an array without a type");
    code = static_cast<int>(cell[0]);
    cell = cell.subspan(1);
  }
  const Type* type = nullptr;
  for (const Type& known : kTypes) {
    if (known.code == code) type = &known;
  }
  if (type == nullptr) return Damaged(absl::StrCat("numbers of type ", code, ", which is no integer"));
  const auto width = static_cast<size_t>(type->bytes);
  uint64_t count = cell.size() / width;
  if (encoding.has_shape) {
    INGOT_ASSIGN_OR_RETURN(count, ReadShape(cell));
  }
  if (cell.size() % width != 0 || cell.size() / width != count) {
    return Damaged(absl::StrCat(cell.size(), " bytes for ", count, " numbers of ", width));
  }
  return ReadValues(cell, code, vocabulary, ids);
}

}  // namespace ingot
