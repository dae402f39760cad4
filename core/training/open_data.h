#pragma once
// What a run learns from: the datasets of its configuration, opened, and the loaders over them.
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/training/config.h"
#include "data_pipeline/loader.h"

namespace ingot {

struct TrainingData {
  std::vector<Dataset> sources;  // at least one; all of one tokenizer
  uint64_t fingerprint = 0;      // of all sources: that of the dataset where there is one
  std::unique_ptr<Loader> training;
  std::unique_ptr<Loader> validation;  // null where no source has enough validation tokens

  const Dataset& first() const { return sources[0]; }
  int64_t tokens(Split split) const;
};

// `data.path`, or `data.source`. Errors: what a dataset lacks, and a source that would be read more than max_epochs.
absl::StatusOr<TrainingData> OpenData(const RunConfig& config);

// `web: 70.0 % of the sequences, 1.20 epochs`, a line a source, for the whole run; empty for one source.
std::string MixtureText(const TrainingData& data, const RunConfig& config);

}  // namespace ingot
