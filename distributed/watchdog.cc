#include "distributed/watchdog.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace ingot {
namespace {

using std::chrono::seconds;

struct Limits {
  seconds floor, first;
};

// Reduce is longer than save: while rank 0 saves, the others wait for it there.
Limits LimitsOf(Phase phase) {
  switch (phase) {
    case Phase::kStart:
      return {seconds(3600), seconds(3600)};
    case Phase::kData:
      return {seconds(120), seconds(600)};
    case Phase::kCompute:
      return {seconds(60), seconds(3600)};
    case Phase::kReduce:
      return {seconds(660), seconds(3600)};
    case Phase::kOptimizer:
      return {seconds(30), seconds(600)};
    case Phase::kValidate:
      return {seconds(600), seconds(86400)};
    case Phase::kSave:
      return {seconds(600), seconds(3600)};
    case Phase::kEnd:
      break;
  }
  return {seconds(1 << 30), seconds(1 << 30)};
}

double SecondsOf(PhaseDeadlines::Time time) { return std::chrono::duration<double>(time).count(); }

PhaseDeadlines::Time Now() { return std::chrono::steady_clock::now().time_since_epoch(); }

}  // namespace

void PhaseDeadlines::Enter(uint64_t step, Phase phase, Time now) {
  std::vector<Time>& samples = samples_[static_cast<size_t>(phase_)];
  samples.push_back(now - since_);
  if (samples.size() > kSamples) samples.erase(samples.begin());
  step_ = step;
  phase_ = phase;
  since_ = now;
}

PhaseDeadlines::Time PhaseDeadlines::Limit(Phase phase) const {
  const Limits limits = LimitsOf(phase);
  std::vector<Time> samples = samples_[static_cast<size_t>(phase)];
  const double floor = scale_ * SecondsOf(samples.size() < 3 ? limits.first : limits.floor);
  double usual = 0;
  if (!samples.empty()) {
    const auto middle = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
    std::nth_element(samples.begin(), middle, samples.end());
    usual = SecondsOf(*middle);
  }
  return std::chrono::duration_cast<Time>(std::chrono::duration<double>(std::max(floor, kFactor * usual)));
}

std::optional<std::string> PhaseDeadlines::Check(Time now) {
  if (last_check_ != Time(0) && now - last_check_ > kGap) since_ += now - last_check_;
  last_check_ = now;
  const Time limit = Limit(phase_);
  if (phase_ == Phase::kEnd || now - since_ <= limit) return std::nullopt;
  return absl::StrCat("step ", step_, ": expected the phase \"", Name(phase_), "\" to end within ",
                      absl::StrFormat("%.1f s, it has lasted %.1f s", SecondsOf(limit), SecondsOf(now - since_)));
}

Watchdog::Watchdog(double scale, std::function<void(const std::string&)> expired)
    : deadlines_(scale), expired_(std::move(expired)), thread_([this] { Watch(); }) {}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    leaving_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Watchdog::Enter(uint64_t step, Phase phase) {
  const std::lock_guard lock(mutex_);
  deadlines_.Enter(step, phase, Now());
}

void Watchdog::Watch() {
  constexpr auto kPeriod = std::chrono::milliseconds(250);
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kPeriod, [this] { return leaving_; })) {
    const std::optional<std::string> problem = deadlines_.Check(Now());
    if (!problem.has_value()) continue;
    lock.unlock();
    expired_(*problem);
    return;
  }
}

}  // namespace ingot
