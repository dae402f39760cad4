#pragma once
// Memory of the emulated device: each allocation has its exact size between red zones, and every byte begins as 0xFF,
// which is NaN in every floating-point format in use.
#include <cstddef>
#include <string>

namespace ingot::emulator {

enum class Space { kDevice, kShared };

// Aligned to 1,024 bytes. `what` names it in errors.
void* AllocateMemory(Space space, const std::string& what, size_t bytes);
// Errors: not an allocation; bytes next to it were written.
void FreeMemory(void* memory);
// Fills again with 0xFF, and checks the red zones.
void RefillMemory(void* memory);
void CheckRedZones(const void* memory);

// Errors where [address, address + bytes) does not lie in the block's shared memory, or is not aligned.
void CheckShared(const void* address, size_t bytes, size_t alignment, const char* what, const char* file,
                 unsigned line);

}  // namespace ingot::emulator
