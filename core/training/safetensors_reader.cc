// Reading tensors of one file or of shards.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"
#include "core/training/safetensors.h"

namespace ingot {
namespace {

template <typename Element>
float Widened(const std::byte* at) {
  Element element;
  std::memcpy(&element, at, sizeof(element));  // a foreign file need not align its data
  return ToFloat(element);
}
template <>
float Widened<float>(const std::byte* at) {
  float value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

// Converts elements [begin, end) of (O, I), which is (I, O) on disk if transposed, and says whether all are finite.
template <typename Element>
bool Convert(const std::byte* from, int64_t begin, int64_t end, int64_t O, int64_t I, bool transposed, float* to) {
  bool finite = true;
  for (int64_t n = begin; n < end;) {
    const int64_t o = n / I, row_end = std::min(end, (o + 1) * I);
    for (; n < row_end; ++n) {
      const int64_t place = transposed ? (n - o * I) * O + o : n;
      const float value = Widened<Element>(from + place * static_cast<int64_t>(sizeof(Element)));
      to[n - begin] = value;
      finite &= std::isfinite(value);
    }
  }
  return finite;
}

// Names of shard files stay inside the directory.
bool IsPlainFileName(const std::string& name) {
  return !name.empty() && name.find_first_of("/\\") == std::string::npos && name.find("..") == std::string::npos &&
         name.find('\0') == std::string::npos;
}

absl::Status NoWeights(const std::string& directory) {
  const absl::StatusOr<std::vector<std::string>> names = ListDirectory(directory);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    for (const char* ending : {".bin", ".pt", ".pth", ".ckpt", ".pkl"}) {
      if (name.size() > std::strlen(ending) &&
          name.compare(name.size() - std::strlen(ending), name.npos, ending) == 0) {
        return absl::InvalidArgumentError(absl::StrCat(JoinPath(directory, name),
                                                       ": a pickle file runs code when it is opened and is not read; "
                                                       "convert the model to safetensors"));
      }
    }
  }
  return absl::NotFoundError(
      absl::StrCat(directory, ": expected model.safetensors or model.safetensors.index.json, found neither"));
}

}  // namespace

absl::StatusOr<SafetensorsReader> SafetensorsReader::Open(const std::string& path) {
  SafetensorsReader reader;
  INGOT_RETURN_IF_ERROR(reader.Add(path));
  return reader;
}

absl::StatusOr<SafetensorsReader> SafetensorsReader::OpenAll(const std::vector<std::string>& paths) {
  SafetensorsReader reader;
  for (const std::string& path : paths) INGOT_RETURN_IF_ERROR(reader.Add(path));
  return reader;
}

absl::StatusOr<SafetensorsReader> SafetensorsReader::OpenModel(const std::string& directory) {
  const std::string single = JoinPath(directory, "model.safetensors");
  const std::string index = JoinPath(directory, "model.safetensors.index.json");
  if (FileExists(single)) return Open(single);
  if (!FileExists(index)) return NoWeights(directory);
  SafetensorsReader reader;
  INGOT_RETURN_IF_ERROR(reader.AddShards(directory, index));
  return reader;
}

absl::Status SafetensorsReader::Add(const std::string& path) {
  INGOT_ASSIGN_OR_RETURN(MappedFile mapping, MappedFile::Open(path));
  INGOT_ASSIGN_OR_RETURN(const SafetensorsHeader header, ParseSafetensorsHeader(mapping.text(), path));
  for (const auto& [name, entry] : header.tensors) {
    const auto [place, added] = tensors_.emplace(name, std::make_pair(files_.size(), entry));
    if (!added) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": tensor ", name, " stands in ", files_[place->second.first].path, " as well"));
    }
  }
  files_.push_back({path, std::move(mapping), header.data_start});
  return absl::OkStatus();
}

absl::Status SafetensorsReader::AddShards(const std::string& directory, const std::string& index_path) {
  INGOT_ASSIGN_OR_RETURN(const std::string text, ReadFile(index_path, 100'000'000));
  INGOT_ASSIGN_OR_RETURN(const nlohmann::json index, ParseJson(text, index_path));
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(index_path, ": weight_map: expected an object of tensor to file"));
  }
  std::map<std::string, size_t> places;  // file → place in files_
  for (const auto& [tensor, file] : index["weight_map"].items()) {
    if (!file.is_string() || !IsPlainFileName(file.get<std::string>())) {
      return absl::InvalidArgumentError(
          absl::StrCat(index_path, ": weight_map.", tensor, ": expected the name of a file in this directory, found ",
                       file.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace)));
    }
    const auto [place, is_new] = places.emplace(file.get<std::string>(), files_.size());
    if (is_new) INGOT_RETURN_IF_ERROR(Add(JoinPath(directory, place->first)));
    const auto found = tensors_.find(tensor);
    if (found == tensors_.end() || found->second.first != place->second) {
      return absl::InvalidArgumentError(absl::StrCat(JoinPath(directory, place->first), ": tensor ", tensor,
                                                     " is missing; the index places it here"));
    }
  }
  return absl::OkStatus();
}

absl::Status SafetensorsReader::Read(const std::string& name, const std::vector<int64_t>& shape, bool transposed,
                                     float* values) const {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return ReadRange(name, shape, transposed, 0, count, values);
}

absl::Status SafetensorsReader::ReadRange(const std::string& name, const std::vector<int64_t>& shape, bool transposed,
                                          int64_t begin, int64_t end, float* values) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat(files_.empty() ? "model" : files_.front().path, ": tensor ", name, " is missing"));
  }
  const auto& [place, entry] = found->second;
  const File& file = files_[place];
  const std::string where = absl::StrCat(file.path, ": tensor ", name);
  std::vector<int64_t> stored = shape;
  if (transposed) stored = {shape[1], shape[0]};
  if (entry.shape != stored) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": expected shape (", absl::StrJoin(stored, ", "),
                                                   "), found (", absl::StrJoin(entry.shape, ", "), ")"));
  }
  const int64_t O = shape.empty() ? 1 : shape[0];
  int64_t I = 1;
  for (size_t i = 1; i < shape.size(); ++i) I *= shape[i];
  const std::byte* from = file.mapping.bytes().data() + file.data_start + entry.begin;
  bool finite = false;
  if (entry.dtype == "F32") {
    finite = Convert<float>(from, begin, end, O, I, transposed, values);
  } else if (entry.dtype == "BF16") {
    finite = Convert<Bf16>(from, begin, end, O, I, transposed, values);
  } else if (entry.dtype == "F16") {
    finite = Convert<F16>(from, begin, end, O, I, transposed, values);
  } else {
    return absl::InvalidArgumentError(absl::StrCat(where, ": expected F32, BF16 or F16, found ", entry.dtype));
  }
  if (!finite) return absl::InvalidArgumentError(absl::StrCat(where, ": holds NaN or infinity"));
  return absl::OkStatus();
}

}  // namespace ingot
