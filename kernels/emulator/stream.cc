#include "kernels/emulator/stream.h"

#include <algorithm>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "kernels/emulator/fail.h"
#include "kernels/emulator/options.h"
#include "kernels/emulator/scheduler.h"

namespace ingot::emulator {
namespace {

// Work that nobody waits for is run when a queue grows beyond this.
constexpr size_t kLongestQueue = 4096;

struct Stream {
  std::deque<std::function<void()>> work;
  bool captures = false;
  std::vector<std::function<void()>> captured;
};

struct Streams {
  std::recursive_mutex mutex;  // work may be enqueued by several host threads
  std::vector<Stream*> all;
  Random random;
};

Streams& All() {
  static Streams& streams = *new Streams;
  return streams;
}

// One of the streams with work: the order between streams is nobody's promise, so the schedule chooses it.
Stream* PickStream() {
  std::vector<Stream*> with_work;
  std::copy_if(All().all.begin(), All().all.end(), std::back_inserter(with_work),
               [](const Stream* stream) { return !stream->work.empty(); });
  if (with_work.empty()) return nullptr;
  switch (CurrentOptions().schedule) {
    case Schedule::kForward:
      return with_work.front();
    case Schedule::kReverse:
      return with_work.back();
    default:
      return with_work[All().random.Below(static_cast<uint32_t>(with_work.size()))];
  }
}

void RunNext() {
  Stream* const stream = PickStream();
  const std::function<void()> next = std::move(stream->work.front());
  stream->work.pop_front();
  next();
}

}  // namespace

void* CreateStream() {
  const std::lock_guard lock(All().mutex);
  return All().all.emplace_back(new Stream);
}

void DestroyStream(void* stream) {
  const std::lock_guard lock(All().mutex);
  Synchronize(stream);
  std::erase(All().all, static_cast<Stream*>(stream));
  delete static_cast<Stream*>(stream);
}

void Enqueue(void* stream, std::function<void()> work) {
  const std::lock_guard lock(All().mutex);
  if (stream == nullptr) return work();
  auto& [queue, captures, captured] = *static_cast<Stream*>(stream);
  if (captures) return captured.push_back(std::move(work));
  queue.push_back(std::move(work));
  while (queue.size() > kLongestQueue) RunNext();
}

void Synchronize(void* stream) {
  const std::lock_guard lock(All().mutex);
  if (stream == nullptr) return;
  if (static_cast<Stream*>(stream)->captures) Fail("a stream is waited for while its work is captured");
  while (!static_cast<Stream*>(stream)->work.empty()) RunNext();
}

void BeginCapture(void* stream) {
  const std::lock_guard lock(All().mutex);
  static_cast<Stream*>(stream)->captures = true;
}

std::vector<std::function<void()>> EndCapture(void* stream) {
  const std::lock_guard lock(All().mutex);
  static_cast<Stream*>(stream)->captures = false;
  return std::exchange(static_cast<Stream*>(stream)->captured, {});
}

void SynchronizeAll() {
  const std::lock_guard lock(All().mutex);
  while (PickStream() != nullptr) RunNext();
}

}  // namespace ingot::emulator
