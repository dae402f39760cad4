#pragma once
// How weights and optimizer state of a checkpoint are cut into files, and which rank writes which: pure functions. The
// cut knows the parameter table, the number formats and checkpoint.shard_bytes, and nothing of ranks, so that every
// number of ranks writes the same bytes.
//   Parameters are taken in flat order; a file ends before the parameter with which its tensors would have more than
//   shard_bytes bytes, unless it would be empty. The weights are cut so, and by itself the optimizer's state, of which a
//   file has all kinds (m, v, and the f32 master where weights are stored narrower) of its parameters. So the files of one
//   rank need a contiguous range of each flat buffer, near the range that it updates.
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/base/dtype.h"
#include "core/model/parameter_table.h"
#include "distributed/sum_tree.h"

namespace ingot {

struct CheckpointFormat {
  DType weights = DType::kF32;  // in model.safetensors; narrower than f32: masters stand in training_state/
  DType moments = DType::kF32;
  int64_t shard_bytes = int64_t{1} << 30;
  bool has_masters() const { return weights != DType::kF32; }
};

struct CheckpointFile {
  std::string name;            // inside the checkpoint
  bool optimizer = false;      // its state; else weights
  size_t first = 0, last = 0;  // parameters [first, last) of the table
  Interval elements;           // of the flat buffers: from its first to the next file's
  int64_t bytes = 0;           // of all tensors
};

// model.safetensors or model-00001-of-0000N.safetensors … in flat order, then, likewise in flat order,
// training_state/optimizer-00000-of-0000N.safetensors …
std::vector<CheckpointFile> CutCheckpoint(const ParameterTable& table, const CheckpointFormat& format);

// An error if there are more files than a save's ranks can tell each other about (64 KiB, distributed/wire.h).
absl::Status CheckNumberOfFiles(const std::vector<CheckpointFile>& files, const CheckpointFormat& format);

// Whether a checkpoint's file of this name holds optimizer state.
bool IsOptimizerFile(const std::string& name);

// Consecutive things of `bytes` bytes each go to the ranks in order; the one whose middle is the share x of all bytes
// goes to rank ⌊x · ranks⌋. By thing: its rank.
std::vector<int64_t> DealInOrder(const std::vector<int64_t>& bytes, int64_t ranks);

// By file: the rank that writes it. Weights and optimizer state together, by where they lie in the flat buffer.
std::vector<int64_t> DealFiles(const std::vector<CheckpointFile>& files, int64_t ranks);

// What a rank's files need of the flat buffers.
struct FlatNeeds {
  std::vector<Interval> parameters, moments;
};
FlatNeeds NeedsOf(int64_t rank, const std::vector<CheckpointFile>& files, const std::vector<int64_t>& writers,
                  const CheckpointFormat& format);

}  // namespace ingot
