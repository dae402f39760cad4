#include "tests/kernels/schedules.h"

namespace ingot {

void ForEachSchedule(const std::function<void()>& body) {
  for (int run = 0; run < 3; ++run) body();
}

}  // namespace ingot
