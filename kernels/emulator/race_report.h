#pragma once
// Places in the source and the text of a race. A place is an address of code, from a hook, or a call site.
#include <cstdint>
#include <string>

#include "kernels/emulator/site.h"

namespace ingot::emulator::race {

uint64_t PlaceOf(const Site& site);
inline uint64_t PlaceOf(const void* code) { return reinterpret_cast<uint64_t>(code); }

// `file:line`, by addr2line where it is an address of code and the program is there.
std::string TextOf(uint64_t place);

// One pair of places is told once; counts all.
void ReportRace(const std::string& what, uint64_t first, uint64_t second);

}  // namespace ingot::emulator::race
