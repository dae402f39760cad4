#pragma once
// The files of one checkpoint directory, without the way it gets its name: core/training/checkpoint.h.
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/training/checkpoint.h"
#include "core/training/manifest.h"

namespace ingot {

// Makes `directory` and writes all files into it, the manifest last, and fsyncs files and directories.
absl::StatusOr<Manifest> WriteCheckpointFiles(const std::string& directory, const CheckpointContents& contents,
                                              bool marked);

}  // namespace ingot
