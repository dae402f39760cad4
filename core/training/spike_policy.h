#pragma once
// Spike policy: whether the update of a step is made, by its loss and gradient norm beside those of the steps before.
//   z = 0.6745 (loss - median) / max(MAD, 0.01 |median|, 1e-6),  MAD = median of |x - median|  (Iglewicz & Hoaglin 1993)
// A spike is a loss or norm that is not finite, a loss with z above the limit for the second time in a row, or a norm
// above a multiple of the median norm. Median and MAD are those of the last 128 accepted steps, so that half of the
// window may be odd before they are; what was not accepted, and so every NaN, never enters.
// A pure function of its arguments: ranks that have the same loss and norm decide the same, and so does a resumed run.
#include <cstdint>
#include <string>
#include <vector>

#include "configs/ingot.pb.h"

namespace ingot {

// What the policy remembers; part of the training state.
struct SpikeMemory {
  static constexpr size_t kWindow = 128;  // accepted steps that are looked back on
  static constexpr size_t kWarmup = 64;   // with fewer than these only numbers that are not finite are spikes

  std::vector<double> losses;      // nats a target, oldest first
  std::vector<double> log_norms;   // natural logarithm of the gradient norm, oldest first
  int64_t suspects = 0;            // losses in a row above the limit
  std::vector<int64_t> skips;      // their positions in the data, in steps: those of the last 1,000
  std::vector<int64_t> rollbacks;  // likewise
};

enum class SpikeAction { kTrain, kSkip, kRollBack, kStop };

struct SpikeVerdict {
  SpikeAction action = SpikeAction::kTrain;
  std::string reason;  // "loss 81.2, 6.1 expected at most"; empty for kTrain
};

// Judges a step before its update. `position`: steps of data before this one, skipped ones included. kSkip and
// kRollBack come at most max_skips and max_rollbacks times in 1,000 steps; then it is kStop. `memory` takes in what was
// decided: the numbers of an accepted step, the position of another.
SpikeVerdict JudgeStep(const SpikeConfig& config, int64_t position, double loss, double gradient_norm,
                       SpikeMemory& memory);

double MedianOf(std::vector<double> values);

}  // namespace ingot
