#pragma once
// Host threads for work that is not an op (ops use OpenMP). Waiting is by std::mutex: Debian's Abseil is not
// instrumented for ThreadSanitizer.
#include <cstdint>
#include <functional>

namespace ingot {

// Processors this process may use: affinity mask and cgroup quota considered; at least 1.
int AvailableProcessors();

// Calls body(index) for every index in [0, count), on `threads` threads (0: AvailableProcessors()), handed out one by
// one in ascending order. Returns when all are done. `body` must not throw.
void ParallelFor(int64_t count, int threads, const std::function<void(int64_t)>& body);

}  // namespace ingot
