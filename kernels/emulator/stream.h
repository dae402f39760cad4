#pragma once
// Streams: work in order within one, in any order between them.
#include <functional>

namespace ingot::emulator {

void* CreateStream();
void DestroyStream(void* stream);

// Does `work` behind what the stream was given before, and not before somebody synchronises: a host that reads too early
// finds what was there before. A null stream does it at once.
void Enqueue(void* stream, std::function<void()> work);
// Returns when all of the stream's work is done.
void Synchronize(void* stream);
// All streams, in an order that Options::schedule chooses.
void SynchronizeAll();

}  // namespace ingot::emulator
