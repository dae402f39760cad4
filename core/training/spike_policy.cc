#include "core/training/spike_policy.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace ingot {
namespace {

constexpr int64_t kCountedSteps = 1000;  // over which skips and rollbacks are counted
constexpr double kNormalMad = 0.6745;    // MAD of the standard normal distribution

// The largest loss that is no suspect.
double LossLimit(const std::vector<double>& losses, double z) {
  const double median = MedianOf(losses);
  std::vector<double> distances;
  for (const double loss : losses) distances.push_back(std::abs(loss - median));
  const double spread = std::max({MedianOf(distances), 0.01 * std::abs(median), 1e-6});
  return median + z * spread / kNormalMad;
}

// Why the step is a spike; empty if it is none. Counts suspects.
std::string SpikeReason(const SpikeConfig& config, double loss, double norm, SpikeMemory& memory) {
  if (!std::isfinite(loss)) return absl::StrCat("expected a finite loss, found ", loss);
  if (!std::isfinite(norm)) {
    return absl::StrCat("every loss is finite, but expected a finite gradient norm, found ", norm);
  }
  if (memory.losses.size() < SpikeMemory::kWarmup) return "";
  const double most = LossLimit(memory.losses, config.loss_z());
  memory.suspects = loss > most ? memory.suspects + 1 : 0;
  if (memory.suspects >= 2) {
    return absl::StrFormat("expected a loss of at most %.4f by the last %d steps, found %.4f for the %s time in a row",
                           most, memory.losses.size(), loss, memory.suspects == 2 ? "second" : "next");
  }
  const double typical = std::exp(MedianOf(memory.log_norms));
  if (norm > config.norm_factor() * typical) {
    return absl::StrFormat("expected a gradient norm of at most %g times the median %.4g, found %.4g",
                           config.norm_factor(), typical, norm);
  }
  return "";
}

void Remember(double value, std::vector<double>& window) {
  window.push_back(value);
  if (window.size() > SpikeMemory::kWindow) window.erase(window.begin());
}

// Notes an event at `position`; false if that is one too many.
bool Note(int64_t position, int64_t most, std::vector<int64_t>& events) {
  events.push_back(position);
  std::erase_if(events, [&](int64_t event) { return event <= position - kCountedSteps; });
  return static_cast<int64_t>(events.size()) <= most;
}

}  // namespace

double MedianOf(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return 0.5 * (*middle + *std::max_element(values.begin(), middle));
}

SpikeVerdict JudgeStep(const SpikeConfig& config, int64_t position, double loss, double gradient_norm,
                       SpikeMemory& memory) {
  const std::string reason = SpikeReason(config, loss, gradient_norm, memory);
  const bool finite = std::isfinite(loss) && std::isfinite(gradient_norm);
  if (reason.empty() || (finite && config.policy() == SpikeConfig::off)) {
    Remember(loss, memory.losses);
    Remember(std::log(std::max(gradient_norm, 1e-30)), memory.log_norms);  // a norm of 0 has no logarithm
    return {};
  }
  switch (config.policy()) {
    case SpikeConfig::skip:
      if (Note(position, config.max_skips(), memory.skips)) return {SpikeAction::kSkip, reason};
      return {SpikeAction::kStop, absl::StrCat(reason, ", after ", config.max_skips(), " steps skipped in the last ",
                                               kCountedSteps, " (spikes.max_skips)")};
    case SpikeConfig::rollback:
      memory.suspects = 0;  // what comes next is judged beside the checkpoint
      if (Note(position, config.max_rollbacks(), memory.rollbacks)) return {SpikeAction::kRollBack, reason};
      return {SpikeAction::kStop, absl::StrCat(reason, ", after ", config.max_rollbacks(), " rollbacks in the last ",
                                               kCountedSteps, " steps (spikes.max_rollbacks)")};
    default:
      return {SpikeAction::kStop, reason};
  }
}

}  // namespace ingot
