#pragma once
// MANIFEST.json: the last file written into a checkpoint. It names every other file with its size and CRC32C and ends
// with a CRC32C of itself, so that a checkpoint with a manifest that holds is whole.
#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/training/safetensors.h"

namespace ingot {

inline constexpr char kManifestName[] = "MANIFEST.json";

struct Manifest {
  int64_t step = 0;
  bool marked = false;                      // never removed
  std::map<std::string, FileRecord> files;  // path inside the checkpoint → size and checksum
};

std::string ManifestText(const Manifest& manifest);

// The inverse. Any change to the text is an error; `what` names it.
absl::StatusOr<Manifest> ParseManifest(absl::string_view text, absl::string_view what);
absl::StatusOr<Manifest> ReadCheckpointManifest(const std::string& directory);

// Reads the whole file.
absl::StatusOr<FileRecord> RecordOf(const std::string& path);

// Whether every file of the manifest is in `directory` with its size; with its checksum too; whether one is.
absl::Status CheckSizes(const Manifest& manifest, const std::string& directory);
absl::Status CheckContents(const Manifest& manifest, const std::string& directory);
absl::Status CheckContentsOf(const std::string& name, const FileRecord& record, const std::string& directory);

}  // namespace ingot
