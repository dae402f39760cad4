#include "kernels/emulator/options.h"
#include "tests/kernels/schedules.h"

namespace ingot {

void ForEachSchedule(const std::function<void()>& body) {
  using emulator::Copies;
  using emulator::Schedule;
  constexpr emulator::Options kAll[] = {{Schedule::kForward, Copies::kLate, 1},
                                        {Schedule::kReverse, Copies::kEarly, 1},
                                        {Schedule::kRandom, Copies::kRandom, 1},
                                        {Schedule::kPct, Copies::kRandom, 2}};
  for (const emulator::Options& options : kAll) {
    const emulator::ScopedOptions scoped(options);
    body();
  }
}

}  // namespace ingot
