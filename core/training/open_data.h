#pragma once
// What a run learns from: the datasets of its configuration, opened, and the loaders over them.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/training/config.h"
#include "data_pipeline/loader.h"
#include "data_pipeline/streaming/growing_stream.h"

namespace ingot {

struct TrainingData {
  std::vector<std::unique_ptr<StreamWriter>> writers;  // of raw documents, where this rank tokenizes them
  std::vector<Dataset> sources;                        // at least one; all of one tokenizer
  uint64_t fingerprint = 0;                            // of all sources: that of the dataset where there is one
  std::unique_ptr<Loader> training;
  std::unique_ptr<Loader> validation;  // null where no source has enough validation tokens

  const Dataset& first() const { return sources[0]; }
  int64_t tokens(Split split) const;

  // Of each source of raw documents, what was read so far: for a checkpoint; and that it must begin so.
  std::vector<StreamMark> Marks() const;
  absl::Status Expect(const std::vector<StreamMark>& marks) const;
};

// Where raw documents go, and who tokenizes them.
struct RawPlace {
  std::string run_directory;
  bool writes = true;  // one rank
  // Called when the caches are open, if there are any: the other ranks must not look before.
  std::function<absl::Status()> opened = [] { return absl::OkStatus(); };
};

// `data.path`, `data.raw`, or `data.source`. Errors: what a dataset lacks, and a source that would be read more than
// max_epochs. Raw documents begin to be tokenized; it waits for those that validate.
absl::StatusOr<TrainingData> OpenData(const RunConfig& config, const RawPlace& place = {});

// `web: 70.0 % of the sequences, 1.20 epochs`, a line a source, for the whole run; empty for one source.
std::string MixtureText(const TrainingData& data, const RunConfig& config);

}  // namespace ingot
