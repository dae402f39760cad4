#pragma once
// The race detector's side of every event. Without the race build (INGOT_RACE_BUILD) all of it is empty.

namespace ingot::emulator {

#ifdef INGOT_RACE_BUILD
inline constexpr bool kRaceBuild = true;
#else
inline constexpr bool kRaceBuild = false;
#endif

}  // namespace ingot::emulator

namespace ingot::emulator::race {

struct Join {  // of threads that meet: each then knows what all knew
  void Gather(int) {}
  void Scatter(int) {}
};

}  // namespace ingot::emulator::race
