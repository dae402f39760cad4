#pragma once
#include <cstdint>

namespace ingot {

// a[i] += b[i].
inline void AddInto(float* a, const float* b, int64_t count) {
  for (int64_t i = 0; i < count; ++i) a[i] += b[i];
}

}  // namespace ingot
