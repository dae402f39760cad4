#include "kernels/emulator/race_clocks.h"

#include <algorithm>

namespace ingot::emulator::race {

void Clocks::Start(int threads) {
  const auto n = static_cast<size_t>(threads);
  threads_ = threads;
  ++epoch_;  // what is dense is old
  clock_.assign(n, 1);
  dense_.resize(std::max(dense_.size(), n * 2 * n));
  dense_epoch_.assign(n, 0);
  open_group_.assign(n, 1);
  waited_.assign(n, 0);
  waited_by_all_.assign(n, 0);
}

Access Clocks::OfThread(int thread, uint64_t place) const {
  return {place, clock_[static_cast<size_t>(thread)], epoch_, static_cast<uint16_t>(thread)};
}

Access Clocks::OfCopies(int thread, uint64_t place) const {
  return {place, open_group_[static_cast<size_t>(thread)], epoch_, static_cast<uint16_t>(threads_ + thread)};
}

const uint32_t* Clocks::Dense(int thread) const {
  const auto t = static_cast<size_t>(thread);
  return dense_epoch_[t] == epoch_ ? &dense_[t * 2 * static_cast<size_t>(threads_)] : nullptr;
}

uint32_t Clocks::CopiesKnown(int thread, int owner) const {
  const uint32_t* const dense = Dense(thread);
  const uint32_t known =
      std::max(waited_by_all_[static_cast<size_t>(owner)], dense == nullptr ? 0 : dense[threads_ + owner]);
  return thread == owner ? std::max(known, waited_[static_cast<size_t>(owner)]) : known;
}

bool Clocks::Knows(int thread, const Access& access, bool by_copies) const {
  const int actor = access.actor;
  if (actor < threads_) {
    if (actor == thread || access.epoch < epoch_) return true;
    const uint32_t* const dense = Dense(thread);
    return dense != nullptr && access.clock <= dense[actor];
  }
  const int owner = actor - threads_;
  // Groups of one thread land in the order of their commits.
  if (by_copies && owner == thread && access.clock < open_group_[static_cast<size_t>(thread)]) return true;
  return access.clock <= CopiesKnown(thread, owner);
}

void Clocks::Gather(int thread, std::vector<uint32_t>& known) const {
  const auto n = static_cast<size_t>(threads_), t = static_cast<size_t>(thread);
  known.resize(2 * n);
  if (const uint32_t* const dense = Dense(thread); dense != nullptr) {
    for (size_t i = 0; i < 2 * n; ++i) known[i] = std::max(known[i], dense[i]);
  }
  known[t] = std::max(known[t], clock_[t]);
  known[n + t] = std::max(known[n + t], waited_[t]);
}

void Clocks::Scatter(int thread, const std::vector<uint32_t>& known) {
  const auto t = static_cast<size_t>(thread);
  std::copy(known.begin(), known.end(), dense_.begin() + static_cast<int64_t>(t * known.size()));
  dense_epoch_[t] = epoch_;
  Advance(thread);
}

void Clocks::JoinBlock() {
  ++epoch_;
  waited_by_all_ = waited_;
}

void Clocks::Wait(int thread, int pending) {
  const auto t = static_cast<size_t>(thread);
  const int64_t group = int64_t{open_group_[t]} - 1 - pending;
  if (group > waited_[t]) waited_[t] = static_cast<uint32_t>(group);
}

}  // namespace ingot::emulator::race
