#pragma once
// Chunks of numbered lists, made by several threads and taken by one in the order of the lists: what is taken does not
// depend on the threads. Lists are begun in order and no further than `ahead` from the one that is being taken; of each
// at most kMostChunks wait. So memory holds at most ahead * kMostChunks chunks, whatever the lists' lengths.
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace ingot {

template <typename Chunk>
class ChunkOrder {
 public:
  static constexpr size_t kMostChunks = 2;

  ChunkOrder(int lists, int ahead) : lists_(lists), slots_(static_cast<size_t>(ahead)) {}

  // For the makers. The next list to make, once it is not too far ahead; nothing when there is none, or after Stop().
  std::optional<int> Begin() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stop_ || next_ == lists_ || next_ < current_ + static_cast<int>(slots_.size()); });
    if (stop_ || next_ == lists_) return std::nullopt;
    slot(next_).ended = false;
    return next_++;
  }
  // Waits until there is room. False after Stop().
  bool Put(int list, Chunk chunk) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stop_ || slot(list).chunks.size() < kMostChunks; });
    if (stop_) return false;
    slot(list).chunks.push_back(std::move(chunk));
    changed_.notify_all();
    return true;
  }
  void End(int list) {
    const std::lock_guard lock(mutex_);
    slot(list).ended = true;
    changed_.notify_all();
  }

  // For the taker. False when all lists have been taken.
  bool Take(Chunk& chunk) {
    std::unique_lock lock(mutex_);
    while (current_ < lists_) {
      Slot& from = slot(current_);
      changed_.wait(lock, [&] { return current_ < next_ && (from.ended || !from.chunks.empty()); });
      const bool found = !from.chunks.empty();
      if (found) {
        chunk = std::move(from.chunks.front());
        from.chunks.pop_front();
      } else {
        ++current_;
      }
      changed_.notify_all();
      if (found) return true;
    }
    return false;
  }
  void Stop() {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }

 private:
  struct Slot {
    std::deque<Chunk> chunks;
    bool ended = false;
  };
  Slot& slot(int list) { return slots_[static_cast<size_t>(list) % slots_.size()]; }

  const int lists_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Slot> slots_;
  int next_ = 0, current_ = 0;  // lists begun; the list that is being taken
  bool stop_ = false;
};

}  // namespace ingot
