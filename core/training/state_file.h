#pragma once
// training_state/state.json of a checkpoint: a TrainingState as JSON text (docs/checkpoint_format.md).
#include <string>

#include "absl/status/statusor.h"
#include "core/training/checkpoint.h"

namespace ingot {

// Numbers come back bit for bit. `state` holds finite numbers only.
std::string StateText(const TrainingState& state);

// The inverse, from a file. A checkpoint of a version before `updates` and `spikes` has made every update and
// remembers no steps.
absl::StatusOr<TrainingState> ReadStateFile(const std::string& path);

}  // namespace ingot
