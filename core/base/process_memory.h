#pragma once
// Memory of this process that the system holds in RAM, from /proc/self/status. (getrusage's ru_maxrss would also count
// the process that started this one, from before the exec.)
#include <cstdint>

namespace ingot {

int64_t ResidentBytes();      // now
int64_t PeakResidentBytes();  // the most so far

}  // namespace ingot
