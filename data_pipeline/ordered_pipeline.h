#pragma once
// Read, work, write: items are read by one thread, worked on by several, and written by the caller in the order of
// reading, so that what is written does not depend on the number of threads. Memory: 2 * threads + 2 items, reused.
#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ingot {

template <typename Item>
class OrderedPipeline {
 public:
  // Fills an item that may hold an old one; false at the end.
  using Read = std::function<absl::StatusOr<bool>(Item&)>;
  // Called from `threads` threads; `worker` tells them apart: 0 … threads-1.
  using Work = std::function<void(int worker, Item&)>;
  using Write = std::function<absl::Status(Item&)>;

  OrderedPipeline(int threads, Read read, Work work, Write write)
      : threads_(std::max(1, threads)),
        read_(std::move(read)),
        work_(std::move(work)),
        write_(std::move(write)),
        slots_(2 * static_cast<size_t>(threads_) + 2) {}

  // The first error of `read` or `write`. What was read before an error of `read` is written.
  absl::Status Run() {
    std::vector<std::thread> helpers;
    helpers.emplace_back([this] { ReadAll(); });
    for (int worker = 0; worker < threads_; ++worker) helpers.emplace_back([this, worker] { WorkAll(worker); });
    const absl::Status written = WriteAll();
    for (std::thread& helper : helpers) helper.join();
    return written.ok() ? read_status_ : written;
  }

 private:
  enum class Stage { kEmpty, kRead, kWorking, kDone };
  struct Slot {
    Stage stage = Stage::kEmpty;
    Item item;
  };
  static constexpr int64_t kUnknown = INT64_MAX;

  Slot& slot(int64_t index) { return slots_[static_cast<size_t>(index) % slots_.size()]; }
  void Set(int64_t index, Stage stage) {
    const std::lock_guard lock(mutex_);
    slot(index).stage = stage;
    changed_.notify_all();
  }

  void ReadAll() {
    for (int64_t index = 0;; ++index) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return stop_ || slot(index).stage == Stage::kEmpty; });
        if (stop_) return;
      }
      const absl::StatusOr<bool> found = read_(slot(index).item);
      if (!found.ok() || !*found) {
        const std::lock_guard lock(mutex_);
        read_status_ = found.status();
        end_ = index;
        changed_.notify_all();
        return;
      }
      Set(index, Stage::kRead);
    }
  }

  void WorkAll(int worker) {
    for (;;) {
      int64_t index = 0;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return stop_ || next_work_ == end_ || slot(next_work_).stage == Stage::kRead; });
        if (stop_ || next_work_ == end_) return;
        index = next_work_++;
        slot(index).stage = Stage::kWorking;
      }
      work_(worker, slot(index).item);
      Set(index, Stage::kDone);
    }
  }

  absl::Status WriteAll() {
    for (int64_t index = 0;; ++index) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return index == end_ || slot(index).stage == Stage::kDone; });
        if (index == end_) return absl::OkStatus();
      }
      if (const absl::Status status = write_(slot(index).item); !status.ok()) {
        const std::lock_guard lock(mutex_);
        stop_ = true;
        changed_.notify_all();
        return status;
      }
      Set(index, Stage::kEmpty);
    }
  }

  const int threads_;
  const Read read_;
  const Work work_;
  const Write write_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Slot> slots_;
  int64_t next_work_ = 0;
  int64_t end_ = kUnknown;  // number of items, once known
  bool stop_ = false;
  absl::Status read_status_;
};

}  // namespace ingot
