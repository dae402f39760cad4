#pragma once
// Streams: work in order within one, in any order between them.
#include <functional>

namespace ingot::emulator {

void* CreateStream();
void DestroyStream(void* stream);

// Runs `work` behind what the stream was given before. A null stream runs it at once.
void Enqueue(void* stream, std::function<void()> work);
// Returns when all of the stream's work is done.
void Synchronize(void* stream);

}  // namespace ingot::emulator
