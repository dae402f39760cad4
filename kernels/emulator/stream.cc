#include "kernels/emulator/stream.h"

#include <deque>
#include <utility>

namespace ingot::emulator {
namespace {

struct Stream {
  std::deque<std::function<void()>> work;
};

}  // namespace

void* CreateStream() { return new Stream; }

void DestroyStream(void* stream) {
  Synchronize(stream);
  delete static_cast<Stream*>(stream);
}

void Enqueue(void* stream, std::function<void()> work) {
  if (stream == nullptr) return work();
  static_cast<Stream*>(stream)->work.push_back(std::move(work));
  Synchronize(stream);
}

void Synchronize(void* stream) {
  if (stream == nullptr) return;
  std::deque<std::function<void()>>& work = static_cast<Stream*>(stream)->work;
  while (!work.empty()) {
    const std::function<void()> next = std::move(work.front());
    work.pop_front();
    next();
  }
}

}  // namespace ingot::emulator
