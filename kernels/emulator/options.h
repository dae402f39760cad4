#pragma once
// What a test chooses about the emulator: the order of threads and blocks, and when asynchronous copies land.
// The environment sets the values at start: INGOT_EMULATOR_SCHEDULE=forward|reverse|random|pct,
// INGOT_EMULATOR_COPIES=early|late|random, INGOT_EMULATOR_SEED=N, INGOT_EMULATOR_CAPABILITY=8.0|9.0.
#include <cstdint>

namespace ingot::emulator {

// kForward: the lowest thread that can run, until it waits. kReverse: the highest. kRandom: any, at every wait.
// kPct: random priorities and two changes of priority at random points (probabilistic concurrency testing,
// Burckhardt et al. 2010, doi:10.1145/1735970.1736040). Blocks: ascending, descending, shuffled, shuffled.
enum class Schedule { kForward, kReverse, kRandom, kPct };

// When the bytes of an asynchronous copy are moved: at its issue, when a wait forces it, or at any step between.
enum class Copies { kEarly, kLate, kRandom };

struct Options {
  Schedule schedule = Schedule::kForward;
  Copies copies = Copies::kLate;
  uint64_t seed = 1;  // of kRandom and kPct; the same seed gives the same run
};

const Options& CurrentOptions();
void SetOptions(const Options& options);

const char* Name(Schedule schedule);
const char* Name(Copies copies);

// Sets the options and puts the old ones back.
class ScopedOptions {
 public:
  explicit ScopedOptions(const Options& options) : saved_(CurrentOptions()) { SetOptions(options); }
  ~ScopedOptions() { SetOptions(saved_); }
  ScopedOptions(const ScopedOptions&) = delete;
  ScopedOptions& operator=(const ScopedOptions&) = delete;

 private:
  Options saved_;
};

// Compute capability of the emulated device, times 10: 80, or 90 by INGOT_EMULATOR_CAPABILITY=9.0. It decides which kernels
// are chosen; any kernel runs under either.
int Capability();
void SetCapability(int capability);

class ScopedCapability {
 public:
  explicit ScopedCapability(int capability) : saved_(Capability()) { SetCapability(capability); }
  ~ScopedCapability() { SetCapability(saved_); }
  ScopedCapability(const ScopedCapability&) = delete;
  ScopedCapability& operator=(const ScopedCapability&) = delete;

 private:
  int saved_;
};

// Sums since the start of the process.
struct Counters {
  int64_t switches = 0;         // between fibers
  int64_t barriers = 0;         // arrivals at a barrier
  int64_t warp_operations = 0;  // arrivals at a warp collective
  int64_t matrix_loads = 0;     // ldmatrix, matrices of 8 rows
  int64_t bank_conflicts = 0;   // of these, extra passes over the banks of shared memory
  int64_t wgmmas = 0;           // products by a warpgroup
  int64_t races = 0;            // found by the race build
  int64_t instrumented = 0;     // memory accesses that the race build has seen
};
Counters& CurrentCounters();

}  // namespace ingot::emulator
