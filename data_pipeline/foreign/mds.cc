#include "data_pipeline/foreign/mds.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"
#include "data_pipeline/compressed_file.h"
#include "data_pipeline/foreign/mds_array.h"

namespace ingot {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kIndexName[] = "index.json";

absl::Status Bad(const std::string& path, absl::string_view found) {
  return absl::DataLossError(absl::StrCat(path, ": ", found));
}

// A member that may be missing: null then.
const Json& Member(const Json& json, const char* key) {
  static const Json kNull;
  const auto found = json.is_object() ? json.find(key) : json.end();
  return json.is_object() && found != json.end() ? *found : kNull;
}

bool IsCount(const Json& json) {
  return json.is_number_unsigned() && json.get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX);
}

// The name of a file in the same directory.
bool IsFileName(const Json& json) {
  if (!json.is_string()) return false;
  const auto& name = json.get_ref<const std::string&>();
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos;
}

// Picks the file that is there; that of {"basename", "bytes"} of raw_data is preferred.
absl::Status FindFile(const Json& json, const std::string& directory, MdsShard& shard) {
  const Json &raw = Member(json, "raw_data"), &zip = Member(json, "zip_data");
  if (!IsFileName(Member(raw, "basename")) || !IsCount(Member(raw, "bytes"))) {
    return absl::DataLossError("a shard without the name and the bytes of raw_data");
  }
  shard.raw_bytes = Member(raw, "bytes").get<uint64_t>();
  shard.path = JoinPath(directory, Member(raw, "basename").get<std::string>());
  if (zip.is_null() || FileExists(shard.path)) return absl::OkStatus();
  if (!IsFileName(Member(zip, "basename"))) return absl::DataLossError("a shard without the name of zip_data");
  shard.path = JoinPath(directory, Member(zip, "basename").get<std::string>());
  if (absl::EndsWith(shard.path, ".zstd") || absl::EndsWith(shard.path, ".gz")) return absl::OkStatus();
  return absl::UnimplementedError(
      absl::StrCat("the compression of ", shard.path, "; expected zstd or gz, or the raw ", "shard beside it"));
}

absl::Status FindColumn(const Json& json, const std::string& column, MdsShard& shard) {
  const Json &names = Member(json, "column_names"), &encodings = Member(json, "column_encodings"),
             &sizes = Member(json, "column_sizes");
  const size_t count = names.is_array() ? names.size() : 0;
  if (count == 0 || !encodings.is_array() || encodings.size() != count || !sizes.is_array() || sizes.size() != count) {
    return absl::DataLossError("a shard whose column_names, column_encodings and column_sizes do not match");
  }
  bool found = false;
  for (size_t c = 0; c < count; ++c) {
    const bool good = names[c].is_string() && encodings[c].is_string() && (sizes[c].is_null() || IsCount(sizes[c]));
    if (!good) return absl::DataLossError(absl::StrCat("a shard with a bad column ", c));
    shard.column_sizes.push_back(sizes[c].is_null() ? -1 : sizes[c].get<int64_t>());
    if (names[c].get_ref<const std::string&>() != column) continue;
    found = true;
    shard.column = c;
    shard.encoding = encodings[c].get<std::string>();
  }
  if (found) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("no column '", column, "', but ",
                                                 names.dump(-1, ' ', false, Json::error_handler_t::replace),
                                                 "; --column names another"));
}

absl::StatusOr<MdsShard> ParseShard(const Json& json, const std::string& directory, const MdsOptions& options) {
  MdsShard shard;
  const Json &format = Member(json, "format"), &version = Member(json, "version"), &samples = Member(json, "samples");
  if (format != "mds" || version != 2) return absl::DataLossError("a shard that is not of format mds, version 2");
  if (!IsCount(samples)) return absl::DataLossError("a shard without a number of samples");
  shard.samples = samples.get<int64_t>();
  INGOT_RETURN_IF_ERROR(FindFile(json, directory, shard));
  INGOT_RETURN_IF_ERROR(FindColumn(json, options.column, shard));
  INGOT_RETURN_IF_ERROR(ParseMdsEncoding(shard.encoding, options.bytes_type).status());
  return shard;
}

uint32_t LoadU32(std::span<const std::byte> bytes, size_t at) {
  uint32_t value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// A compressed shard, at most shard.raw_bytes of it: what the index says is not allocated before it is there.
absl::StatusOr<std::string> Decompress(const MdsShard& shard) {
  INGOT_ASSIGN_OR_RETURN(const std::unique_ptr<CompressedFile> file, CompressedFile::Open(shard.path));
  std::string bytes;
  size_t size = 0;
  for (size_t got = 1; got > 0 && size <= shard.raw_bytes; size += got) {
    if (size == bytes.size()) bytes.resize(std::max<size_t>(size_t{1} << 16, 2 * size));
    INGOT_ASSIGN_OR_RETURN(got, file->Read(bytes.data() + size, bytes.size() - size));
  }
  bytes.resize(size);
  return bytes;
}

// The cell of the column with ids; the samples of MDS hold a size for each column of variable size, then the cells.
absl::StatusOr<std::span<const std::byte>> CellOf(const MdsShard& shard, std::span<const std::byte> sample) {
  const auto variable = static_cast<size_t>(std::count(shard.column_sizes.begin(), shard.column_sizes.end(), -1));
  if (sample.size() / 4 < variable) return absl::DataLossError("too short for the sizes of its columns: damaged");
  uint64_t at = 4 * variable, begin = 0, size_of_ids = 0;
  size_t next_size = 0;
  for (size_t c = 0; c < shard.column_sizes.size(); ++c) {
    const bool fixed = shard.column_sizes[c] >= 0;
    const uint64_t size = fixed ? static_cast<uint64_t>(shard.column_sizes[c]) : LoadU32(sample, 4 * next_size++);
    if (size > sample.size() - at) return absl::DataLossError("its columns are larger than it: damaged");
    if (c == shard.column) {
      begin = at;
      size_of_ids = size;
    }
    at += size;
  }
  if (at != sample.size()) return absl::DataLossError("its columns are smaller than it: damaged");
  return sample.subspan(begin, size_of_ids);
}

}  // namespace

bool MdsDirectory::Detect(const std::string& path) {
  const std::string index = JoinPath(path, kIndexName);
  if (!DirectoryExists(path) || !FileExists(index)) return false;
  const absl::StatusOr<std::string> text = ReadFile(index);
  if (!text.ok()) return false;
  const absl::StatusOr<Json> json = ParseOrderedJson(*text, index);
  if (!json.ok()) return false;
  const Json& shards = Member(*json, "shards");
  return shards.is_array() && !shards.empty() && Member(shards[0], "format") == "mds";
}

absl::StatusOr<MdsDirectory> MdsDirectory::Open(const std::string& path, const MdsOptions& options) {
  const std::string index = JoinPath(path, kIndexName);
  INGOT_ASSIGN_OR_RETURN(const std::string text, ReadFile(index));
  INGOT_ASSIGN_OR_RETURN(const Json json, ParseOrderedJson(text, index));
  const Json& shards = Member(json, "shards");
  if (Member(json, "version") != 2 || !shards.is_array() || shards.empty()) {
    return Bad(index, "not an index of MDS, version 2, with shards");
  }
  MdsDirectory directory;
  directory.options_ = options;
  directory.file_bytes_ = static_cast<int64_t>(text.size());
  for (const Json& entry : shards) {
    absl::StatusOr<MdsShard> shard = ParseShard(entry, path, options);
    if (!shard.ok()) {
      return absl::Status(shard.status().code(),
                          absl::StrCat(index, ": shard ", directory.shards_.size(), ": ", shard.status().message()));
    }
    INGOT_ASSIGN_OR_RETURN(const uint64_t bytes, FileSize(shard->path));
    directory.file_bytes_ += static_cast<int64_t>(bytes);
    directory.shards_.push_back(*std::move(shard));
  }
  return directory;
}

int64_t MdsDirectory::samples() const {
  int64_t samples = 0;
  for (const MdsShard& shard : shards_) samples += shard.samples;
  return samples;
}

absl::Status MdsDirectory::ReadShard(const MdsShard& shard, std::span<const std::byte> bytes, int64_t vocabulary,
                                     const Visit& visit) const {
  if (bytes.size() != shard.raw_bytes) {
    return Bad(shard.path, absl::StrCat(bytes.size(), " bytes; index.json says ", shard.raw_bytes, ": damaged"));
  }
  // n, then n + 1 offsets, the first behind a description that repeats index.json.
  const auto n = static_cast<uint64_t>(shard.samples);
  if (bytes.size() < 8 || LoadU32(bytes, 0) != n || n > (bytes.size() - 8) / 4) {
    return Bad(shard.path, absl::StrCat("does not hold ", n, " samples, as index.json says: damaged"));
  }
  INGOT_ASSIGN_OR_RETURN(const MdsEncoding encoding, ParseMdsEncoding(shard.encoding, options_.bytes_type));
  uint64_t begin = LoadU32(bytes, 4);
  bool good = begin >= 4 * (n + 2);
  std::vector<int32_t> ids;
  for (uint64_t s = 0; s < n && good; ++s) {
    const uint64_t end = LoadU32(bytes, 8 + 4 * s);
    good = end >= begin && end <= bytes.size();
    if (!good) break;
    absl::StatusOr<std::span<const std::byte>> cell = CellOf(shard, bytes.subspan(begin, end - begin));
    absl::Status status = cell.status();
    if (status.ok()) status = ReadMdsCell(*cell, encoding, vocabulary, ids);
    if (!status.ok()) {
      return absl::Status(status.code(), absl::StrCat(shard.path, ": sample ", s, ": ", status.message()));
    }
    INGOT_RETURN_IF_ERROR(visit(ids));
    begin = end;
  }
  if (good && begin == bytes.size()) return absl::OkStatus();
  return Bad(shard.path, "the offsets of its samples are not ascending up to its end: damaged");
}

absl::Status MdsDirectory::ForEachSample(int64_t vocabulary, const Visit& visit) const {
  for (const MdsShard& shard : shards_) {
    if (NameWithoutCompression(shard.path) == shard.path) {
      INGOT_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(shard.path));
      INGOT_RETURN_IF_ERROR(ReadShard(shard, file.bytes(), vocabulary, visit));
      continue;
    }
    INGOT_ASSIGN_OR_RETURN(const std::string raw, Decompress(shard));
    INGOT_RETURN_IF_ERROR(
        ReadShard(shard, {reinterpret_cast<const std::byte*>(raw.data()), raw.size()}, vocabulary, visit));
  }
  return absl::OkStatus();
}

}  // namespace ingot
