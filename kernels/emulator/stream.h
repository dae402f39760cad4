#pragma once
// Streams: work in order within one, in any order between them but for events.
#include <functional>
#include <mutex>
#include <vector>

namespace ingot::emulator {

// Held by the host thread that the device works for, or whose allocations it looks after: one at a time.
std::recursive_mutex& DeviceMutex();

void* CreateStream();
void DestroyStream(void* stream);

// Does `work` behind what the stream was given before, and not before somebody synchronises: a host that reads too early
// finds what was there before. A null stream does it at once.
void Enqueue(void* stream, std::function<void()> work);
// A moment in the stream's order: that at which all is done that it was given before.
void* RecordEvent(void* stream);
// What the stream is given from now on is not begun before that moment.
void WaitForEvent(void* stream, void* event);
void DestroyEvent(void* event);
// Returns when all of the stream's work is done.
void Synchronize(void* stream);
// All streams, in an order that Options::schedule chooses.
void SynchronizeAll();

// Between these the stream's work is kept instead of done; EndCapture() returns it in order. Errors: a stream that is
// synchronised meanwhile.
void BeginCapture(void* stream);
std::vector<std::function<void()>> EndCapture(void* stream);

}  // namespace ingot::emulator
