#include "core/training/manifest.h"

#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "core/base/crc32c.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"

namespace ingot {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr char kFormat[] = "ingot-checkpoint";
constexpr int kVersion = 1;
constexpr uint64_t kMaxManifestBytes = 10'000'000;
constexpr char kOwnCrc[] = ",\n  \"crc32c\": \"";  // what stands before it is what it covers
constexpr char kEnd[] = "\"\n}\n";

std::string Hex(uint32_t crc) { return absl::StrFormat("%08x", crc); }

// Files stay inside the checkpoint.
bool IsInside(const std::string& path) {
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return path.find('\0') == std::string::npos;
}

bool ReadRecord(const json& value, FileRecord& record) {
  if (!value.is_object() || !value.contains("bytes") || !value["bytes"].is_number_unsigned()) return false;
  if (!value.contains("crc32c") || !value["crc32c"].is_string()) return false;
  const std::string crc = value["crc32c"].get<std::string>();
  record.bytes = value["bytes"].get<uint64_t>();
  return crc.size() == 8 && absl::SimpleHexAtoi(crc, &record.crc32c);
}

absl::StatusOr<Manifest> FromJson(const json& value, absl::string_view what) {
  const auto refused = [what](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": ", why));
  };
  if (!value.is_object() || value.value("format", json()) != kFormat) {
    return refused(absl::StrCat("format: expected \"", kFormat, "\""));
  }
  if (value.value("version", json()) != kVersion) {
    return refused(absl::StrCat("version: expected ", kVersion, "; a newer ingot wrote this"));
  }
  const json step = value.value("step", json()), marked = value.value("marked", json());
  const json files = value.value("files", json());
  if (!step.is_number_unsigned() || !marked.is_boolean() || !files.is_object()) {
    return refused("expected step (a number), marked (true or false) and files (an object)");
  }
  Manifest manifest{.step = step.get<int64_t>(), .marked = marked.get<bool>(), .files = {}};
  for (const auto& [path, record] : files.items()) {
    if (!IsInside(path)) return refused(absl::StrCat("files: \"", path, "\" is not a path inside the checkpoint"));
    if (!ReadRecord(record, manifest.files[path])) {
      return refused(absl::StrCat("files.", path, ": expected bytes (a number) and crc32c (8 hexadecimal digits)"));
    }
  }
  return manifest;
}

}  // namespace

std::string ManifestText(const Manifest& manifest) {
  ordered_json files = ordered_json::object();
  for (const auto& [path, record] : manifest.files) {
    files[path] = {{"bytes", record.bytes}, {"crc32c", Hex(record.crc32c)}};
  }
  const ordered_json value = {{"format", kFormat},
                              {"version", kVersion},
                              {"step", manifest.step},
                              {"marked", manifest.marked},
                              {"files", std::move(files)}};
  std::string text = value.dump(2);
  text.resize(text.size() - 2);  // without "\n}"
  const uint32_t crc = Crc32c(text.data(), text.size());
  return absl::StrCat(text, kOwnCrc, Hex(crc), kEnd);
}

absl::StatusOr<Manifest> ParseManifest(absl::string_view text, absl::string_view what) {
  constexpr size_t kTailBytes = sizeof(kOwnCrc) - 1 + 8 + sizeof(kEnd) - 1;
  const absl::string_view body = text.size() < kTailBytes ? text : text.substr(0, text.size() - kTailBytes);
  if (text != absl::StrCat(body, kOwnCrc, Hex(Crc32c(body.data(), body.size())), kEnd)) {
    return absl::DataLossError(absl::StrCat(what, ": damaged: it does not end with the checksum of its own text"));
  }
  INGOT_ASSIGN_OR_RETURN(const json value, ParseJson(text, what));
  return FromJson(value, what);
}

absl::StatusOr<Manifest> ReadCheckpointManifest(const std::string& directory) {
  const std::string path = JoinPath(directory, kManifestName);
  INGOT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxManifestBytes));
  return ParseManifest(text, path);
}

absl::StatusOr<FileRecord> RecordOf(const std::string& path) {
  INGOT_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  return FileRecord{file.text().size(), Crc32c(file.text().data(), file.text().size())};
}

absl::Status CheckSizes(const Manifest& manifest, const std::string& directory) {
  for (const auto& [name, record] : manifest.files) {
    const std::string path = JoinPath(directory, name);
    INGOT_ASSIGN_OR_RETURN(const uint64_t bytes, FileSize(path));
    if (bytes != record.bytes) {
      return absl::DataLossError(
          absl::StrCat(path, ": damaged: expected ", record.bytes, " bytes by ", kManifestName, ", found ", bytes));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckContentsOf(const std::string& name, const FileRecord& record, const std::string& directory) {
  const std::string path = JoinPath(directory, name);
  INGOT_ASSIGN_OR_RETURN(const FileRecord found, RecordOf(path));
  if (found.bytes == record.bytes && found.crc32c == record.crc32c) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(path, ": damaged: expected CRC32C ", Hex(record.crc32c), " by ",
                                          kManifestName, ", found ", Hex(found.crc32c)));
}

absl::Status CheckContents(const Manifest& manifest, const std::string& directory) {
  INGOT_RETURN_IF_ERROR(CheckSizes(manifest, directory));  // cheap, before anything is read
  for (const auto& [name, record] : manifest.files) INGOT_RETURN_IF_ERROR(CheckContentsOf(name, record, directory));
  return absl::OkStatus();
}

}  // namespace ingot
