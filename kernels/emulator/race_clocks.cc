#include "kernels/emulator/race_clocks.h"

#include <algorithm>

namespace ingot::emulator::race {

void Clocks::Start(int threads) {
  const auto n = static_cast<size_t>(threads);
  threads_ = threads;
  async_ = false;
  engines_ = 0;
  ++epoch_;  // what is dense is old
  clock_.assign(n, 1);
  dense_.resize(std::max(dense_.size(), n * FenceAt(2 * threads)));
  dense_epoch_.assign(n, 0);
  open_group_.assign(n, 1);
  waited_.assign(n, 0);
  waited_by_all_.assign(n, 0);
}

size_t Clocks::Width() const { return async_ ? FenceAt(2 * threads_) : 2 * static_cast<size_t>(threads_); }

Access Clocks::OfThread(int thread, uint64_t place) const {
  return {place, clock_[static_cast<size_t>(thread)], epoch_, static_cast<uint16_t>(thread)};
}

Access Clocks::OfCopies(int thread, uint64_t place) const {
  return {place, open_group_[static_cast<size_t>(thread)], epoch_, static_cast<uint16_t>(threads_ + thread)};
}

Access Clocks::OfEngine(int engine, uint32_t clock, uint64_t place) const {
  return {place, clock, epoch_, static_cast<uint16_t>(EngineAt(engine))};
}

const uint32_t* Clocks::Dense(int thread) const {
  const auto t = static_cast<size_t>(thread);
  return dense_epoch_[t] == epoch_ ? &dense_[t * FenceAt(2 * threads_)] : nullptr;
}

uint32_t* Clocks::MutableDense(int thread) {
  const auto t = static_cast<size_t>(thread);
  uint32_t* const entries = &dense_[t * FenceAt(2 * threads_)];
  if (dense_epoch_[t] != epoch_) {
    std::fill(entries, entries + Width(), 0);
    dense_epoch_[t] = epoch_;
  }
  return entries;
}

uint32_t Clocks::CopiesKnown(int thread, int owner) const {
  const uint32_t* const dense = Dense(thread);
  const uint32_t known =
      std::max(waited_by_all_[static_cast<size_t>(owner)], dense == nullptr ? 0 : dense[threads_ + owner]);
  return thread == owner ? std::max(known, waited_[static_cast<size_t>(owner)]) : known;
}

bool Clocks::Knows(int thread, const Access& access, bool by_copies) const {
  const int actor = access.actor;
  const uint32_t* const dense = Dense(thread);
  if (actor < threads_) {
    if (actor == thread || access.epoch < epoch_) return true;
    return dense != nullptr && access.clock <= dense[actor];
  }
  if (actor >= 2 * threads_) {
    const uint32_t of_all = engines_by_all_[static_cast<size_t>(actor - 2 * threads_)];
    return access.clock <= std::max(of_all, dense == nullptr ? 0 : dense[actor]);
  }
  const int owner = actor - threads_;
  // Groups of one thread land in the order of their commits.
  if (by_copies && owner == thread && access.clock < open_group_[static_cast<size_t>(thread)]) return true;
  return access.clock <= CopiesKnown(thread, owner);
}

bool Clocks::KnowsFence(int thread, const Access& access) const {
  const int actor = access.actor;
  if (actor >= 2 * threads_) return true;
  const uint32_t* const dense = Dense(thread);
  const auto a = static_cast<size_t>(actor);
  uint32_t fenced = std::max(fenced_by_all_[a], dense == nullptr ? 0 : dense[FenceAt(actor)]);
  if (actor % threads_ == thread) fenced = std::max(fenced, fenced_[a]);
  return access.clock <= fenced;
}

void Clocks::Gather(int thread, std::vector<uint32_t>& known) const {
  const auto n = static_cast<size_t>(threads_), t = static_cast<size_t>(thread);
  known.resize(Width());
  if (const uint32_t* const dense = Dense(thread); dense != nullptr) {
    for (size_t i = 0; i < known.size(); ++i) known[i] = std::max(known[i], dense[i]);
  }
  known[t] = std::max(known[t], clock_[t]);
  known[n + t] = std::max(known[n + t], waited_[t]);
  if (!async_) return;
  for (const size_t actor : {t, n + t}) {
    uint32_t& fenced = known[FenceAt(static_cast<int>(actor))];
    fenced = std::max(fenced, fenced_[actor]);
  }
}

void Clocks::Scatter(int thread, const std::vector<uint32_t>& known) {
  std::copy(known.begin(), known.end(), MutableDense(thread));
  Advance(thread);
}

void Clocks::JoinBlock() {
  for (int thread = 0; async_ && thread < threads_; ++thread) {
    const uint32_t* const dense = Dense(thread);
    for (int engine = 0; dense != nullptr && engine < engines_; ++engine) {
      uint32_t& known = engines_by_all_[static_cast<size_t>(engine)];
      known = std::max(known, dense[EngineAt(engine)]);
    }
  }
  ++epoch_;
  waited_by_all_ = waited_;
  fenced_by_all_ = fenced_;
}

void Clocks::Wait(int thread, int pending) {
  const auto t = static_cast<size_t>(thread);
  const int64_t group = int64_t{open_group_[t]} - 1 - pending;
  if (group > waited_[t]) waited_[t] = static_cast<uint32_t>(group);
}

// Entries that were of no use so far begin with nothing known.
void Clocks::BeginAsync() {
  if (async_) return;
  async_ = true;
  engines_by_all_.assign(kEngines, 0);
  fenced_.assign(2 * static_cast<size_t>(threads_), 0);
  fenced_by_all_ = fenced_;
  for (int thread = 0; thread < threads_; ++thread) {
    uint32_t* const entries = &dense_[static_cast<size_t>(thread) * FenceAt(2 * threads_)];
    std::fill(entries + EngineAt(0), entries + FenceAt(2 * threads_), 0);
  }
}

int Clocks::AddEngine() {
  BeginAsync();
  return engines_ < kEngines ? engines_++ : -1;
}

void Clocks::Learn(int thread, int engine, uint32_t clock) {
  uint32_t& known = MutableDense(thread)[EngineAt(engine)];
  known = std::max(known, clock);
}

void Clocks::LearnAll(std::vector<uint32_t>& known, int engine, uint32_t clock) const {
  known.resize(Width());
  known[EngineAt(engine)] = std::max(known[EngineAt(engine)], clock);
}

void Clocks::Fence(int thread) {
  BeginAsync();
  const auto n = static_cast<size_t>(threads_), t = static_cast<size_t>(thread);
  fenced_[t] = clock_[t];
  fenced_[n + t] = waited_[t];
  Advance(thread);
}

}  // namespace ingot::emulator::race
