#include "kernels/emulator/stream.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/emulator/fail.h"
#include "kernels/emulator/options.h"
#include "kernels/emulator/scheduler.h"

namespace ingot::emulator {
namespace {

// Work that nobody waits for is run when a queue grows beyond this.
constexpr size_t kLongestQueue = 4096;

using Event = std::shared_ptr<bool>;  // whether it has come

struct Work {
  std::function<void()> run;
  Event after;  // null: nothing
};

struct Stream {
  bool ready() const { return !work.empty() && (work.front().after == nullptr || *work.front().after); }
  std::deque<Work> work;
  bool captures = false;
  std::vector<std::function<void()>> captured;
};

struct Streams {
  std::vector<Stream*> all;
  Random random;
};

Streams& All() {
  static Streams& streams = *new Streams;
  return streams;
}

// One of the streams whose next work may begin: the order between streams is nobody's promise, so the schedule chooses it.
Stream* PickStream() {
  std::vector<Stream*> ready;
  std::copy_if(All().all.begin(), All().all.end(), std::back_inserter(ready),
               [](const Stream* stream) { return stream->ready(); });
  if (ready.empty()) return nullptr;
  switch (CurrentOptions().schedule) {
    case Schedule::kForward:
      return ready.front();
    case Schedule::kReverse:
      return ready.back();
    default:
      return ready[All().random.Below(static_cast<uint32_t>(ready.size()))];
  }
}

void RunNext() {
  Stream* const stream = PickStream();
  const Work next = std::move(stream->work.front());
  stream->work.pop_front();
  next.run();
}

}  // namespace

std::recursive_mutex& DeviceMutex() {
  static std::recursive_mutex& mutex = *new std::recursive_mutex;
  return mutex;
}

void* CreateStream() {
  const std::lock_guard lock(DeviceMutex());
  return All().all.emplace_back(new Stream);
}

void DestroyStream(void* stream) {
  const std::lock_guard lock(DeviceMutex());
  Synchronize(stream);
  std::erase(All().all, static_cast<Stream*>(stream));
  delete static_cast<Stream*>(stream);
}

void Enqueue(void* stream, std::function<void()> work) {
  const std::lock_guard lock(DeviceMutex());
  if (stream == nullptr) return work();
  auto& [queue, captures, captured] = *static_cast<Stream*>(stream);
  if (captures) return captured.push_back(std::move(work));
  queue.push_back({std::move(work), nullptr});
  while (queue.size() > kLongestQueue) RunNext();
}

void* RecordEvent(void* stream) {
  const std::lock_guard lock(DeviceMutex());
  if (stream != nullptr && static_cast<Stream*>(stream)->captures) Fail("an event of a stream whose work is captured");
  const auto come = std::make_shared<bool>(false);
  Enqueue(stream, [come] { *come = true; });
  return new Event(come);
}

void WaitForEvent(void* stream, void* event) {
  const std::lock_guard lock(DeviceMutex());
  static_cast<Stream*>(stream)->work.push_back({[] {}, *static_cast<Event*>(event)});
}

void DestroyEvent(void* event) { delete static_cast<Event*>(event); }

void Synchronize(void* stream) {
  const std::lock_guard lock(DeviceMutex());
  if (stream == nullptr) return;
  if (static_cast<Stream*>(stream)->captures) Fail("a stream is waited for while its work is captured");
  while (!static_cast<Stream*>(stream)->work.empty()) RunNext();
}

void BeginCapture(void* stream) {
  const std::lock_guard lock(DeviceMutex());
  static_cast<Stream*>(stream)->captures = true;
}

std::vector<std::function<void()>> EndCapture(void* stream) {
  const std::lock_guard lock(DeviceMutex());
  static_cast<Stream*>(stream)->captures = false;
  return std::exchange(static_cast<Stream*>(stream)->captured, {});
}

void SynchronizeAll() {
  const std::lock_guard lock(DeviceMutex());
  while (PickStream() != nullptr) RunNext();
}

}  // namespace ingot::emulator
