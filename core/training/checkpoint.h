#pragma once
// Checkpoints: RUN_DIR/checkpoints/step-XXXXXXXX/, each a Hugging Face model directory with training_state/ beside it
// (docs/checkpoint_format.md). A crash at any instant leaves the newest valid one usable.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/dtype.h"
#include "core/base/tensor.h"
#include "core/model/dims.h"
#include "core/model/parameter_table.h"
#include "core/training/checkpoint_layout.h"
#include "core/training/checkpoint_ranks.h"
#include "core/training/flat_parts.h"
#include "core/training/manifest.h"
#include "core/training/spike_policy.h"
#include "data_pipeline/streaming/growing_stream.h"

namespace ingot {

// What a run needs besides weights and moments to go on as if it had never stopped.
struct TrainingState {
  int64_t step = 0;                  // steps done, those whose update was dropped included
  int64_t updates = 0;               // updates of the weights made: the optimizer's count
  int64_t next_sequence = 0;         // global index of the first sequence not yet trained on
  int64_t tokens = 0;                // tokens trained on
  uint64_t dataset_fingerprint = 0;  // Dataset::fingerprint()
  std::string config;                // the resolved RunConfig as text
  std::string environment;           // BLAS, instruction set, version: what the bits depend on
  SpikeMemory spikes = {};           // what its policy remembers
  // Of each source of raw documents: what was read of it, or ahead, by tokens and their hash.
  std::vector<StreamMark> raw_documents = {};
};

struct OptimizerTensors {
  Tensor m;  // (flat_size) f32 or bf16, first moments
  Tensor v;  // (flat_size) as m, second moments
};

// What one rank writes: of the flat buffers what its files need (core/training/checkpoint_layout.h), or more.
struct CheckpointContents {
  ModelDims dims;
  const ParameterTable* table = nullptr;
  FlatParts parameters;  // f32
  struct Moments {
    FlatParts m, v;
  } optimizer;
  TrainingState state;
  std::string tokenizer_directory;    // its tokenizer.json is written beside the weights
  DType weights_dtype = DType::kF32;  // of model.safetensors; kBf16: the fp32 masters go to training_state/
  int64_t shard_bytes = int64_t{1} << 30;

  CheckpointFormat format() const {
    return {.weights = weights_dtype, .moments = optimizer.m.dtype(), .shard_bytes = shard_bytes};
  }
};

// Where a rank wants what it keeps of weights and moments.
struct StateParts {
  FlatPart parameters;  // f32
  FlatPart m, v;        // f32 or bf16
};

class CheckpointStore {
 public:
  // keep_last: newest checkpoints kept (>= 1). keep_every: those whose step is a multiple stay for ever; 0: none.
  // keep_newest_of: the newest one whose step is a multiple stays too; 0: none. `ranks` save and look together.
  CheckpointStore(std::string run_directory, int64_t keep_last, int64_t keep_every, int64_t keep_newest_of = 0,
                  CheckpointRanks ranks = {});

  // Collective: each rank writes and fsyncs its files; when all have, rank 0 commits by rename, then removes what is
  // surplus. `marked` checkpoints (the one before a WSD decay) are never removed. On an error at any rank, which all ranks
  // return, nothing has changed but, perhaps, a temporary directory that the next Save removes. A step saved before is left
  // as it is if the contents are the same, and replaced in one rename otherwise.
  absl::Status Save(const CheckpointContents& contents, bool marked = false);

  // Removes the temporary directories of a Save that was killed. For the start of a run, by the one process that trains
  // in the directory, or by rank 0. Surplus checkpoints stay until the next Save: nothing here has read whether the newest
  // is whole.
  void CleanUp() const;

  // Collective: the newest checkpoint whose manifest, sizes and checksums hold, of those whose step is a multiple of
  // `multiple_of`; nothing if there is none. Each rank reads a share of the bytes. On rank 0, `rejected` gets a line for
  // each newer one that was passed over, with the reason.
  absl::StatusOr<std::optional<std::string>> NewestValid(std::vector<std::string>& rejected,
                                                         int64_t multiple_of = 1) const;

  const CheckpointRanks& ranks() const { return ranks_; }

 private:
  absl::StatusOr<std::string> Begin(int64_t step);
  absl::Status End(const CheckpointContents& contents, const std::string& temporary,
                   const absl::StatusOr<Manifest>& manifest) const;
  absl::Status RemoveSurplus(int64_t saved_step) const;
  absl::StatusOr<std::string> NextCandidate(std::map<int64_t, std::string>& steps, int64_t multiple_of,
                                            std::vector<std::string>& rejected) const;

  std::string run_directory_;
  int64_t keep_last_;
  int64_t keep_every_;
  int64_t keep_newest_of_;
  CheckpointRanks ranks_;
  std::map<int64_t, int64_t> begun_;  // by step: how often this process began to save it
};

// Checks manifest, sizes and CRC32C of every file of a checkpoint directory.
absl::Status VerifyCheckpoint(const std::string& directory);

// Reads a checkpoint that VerifyCheckpoint() accepts, however it is cut into files; the state is returned. Sizes are
// checked again, checksums are not. Moments of another dtype than wanted are refused.
absl::StatusOr<TrainingState> LoadCheckpoint(const std::string& directory, const ParameterTable& table,
                                             const StateParts& into);

// The weights alone, of a checkpoint or of any Hugging Face directory that ReadHfWeights() takes: the fp32 masters
// where the checkpoint holds them, else model.safetensors or its shards.
absl::Status LoadWeights(const std::string& directory, const ParameterTable& table, const FlatPart& parameters);

}  // namespace ingot
