#pragma once
// The files of one checkpoint directory, without the way it gets its name: core/training/checkpoint.h.
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/training/checkpoint.h"
#include "core/training/manifest.h"

namespace ingot {

using FileRecords = std::map<std::string, FileRecord>;  // by path inside the checkpoint

// Makes `directory` and the one inside it.
absl::Status MakeCheckpointDirectory(const std::string& directory);

// Waits up to a minute until a directory that another rank has made is seen here too: file systems of networks remember
// for a while what was not there.
absl::Status AwaitCheckpointDirectory(const std::string& directory);

// The tensors' files, in the order of CutCheckpoint(), that `rank` of `ranks` writes.
std::vector<CheckpointFile> FilesOf(const CheckpointContents& contents, int64_t rank, int64_t ranks);

// Writes and fsyncs FilesOf(); rank 0 also everything that is no tensor, but the manifest.
absl::StatusOr<FileRecords> WriteCheckpointFiles(const std::string& directory, const CheckpointContents& contents,
                                                 int64_t rank, int64_t ranks);

// All files are written: the manifest, and what fsyncs the directories.
absl::Status WriteCheckpointManifest(const std::string& directory, const Manifest& manifest);

// The manifest of a directory, if it names what a checkpoint needs and the files have the sizes that it says.
absl::StatusOr<Manifest> ReadCheckpointListing(const std::string& directory);

}  // namespace ingot
