#include "kernels/emulator/launch.h"

#include <mutex>
#include <utility>

#include "kernels/emulator/async_copy.h"
#include "kernels/emulator/bulk_copy.h"
#include "kernels/emulator/crash.h"
#include "kernels/emulator/fail.h"
#include "kernels/emulator/mbarrier.h"
#include "kernels/emulator/memory.h"
#include "kernels/emulator/race.h"
#include "kernels/emulator/scheduler.h"
#include "kernels/emulator/synchronize.h"
#include "kernels/emulator/wgmma.h"

namespace ingot::emulator {
namespace {

void CheckSizes(const Grid& grid) {
  const uint64_t threads = uint64_t{grid.block.x} * grid.block.y * grid.block.z;
  if (threads < 1 || threads > kMaxThreads || grid.block.z > 64) {
    Fail("launch: a block of %u x %u x %u threads; it has 1 to 1024, z at most 64", grid.block.x, grid.block.y,
         grid.block.z);
  }
  if (grid.grid.x < 1 || grid.grid.x > 0x7fffffffu || grid.grid.y < 1 || grid.grid.y > 65535 || grid.grid.z < 1 ||
      grid.grid.z > 65535) {
    Fail("launch: a grid of %u x %u x %u blocks; x is 1 to 2^31 - 1, y and z are 1 to 65535", grid.grid.x, grid.grid.y,
         grid.grid.z);
  }
  if (grid.shared_bytes > kMaxSharedBytes) {
    Fail("launch: %zu bytes of shared memory; a block has at most %zu", grid.shared_bytes, kMaxSharedBytes);
  }
}

// A permutation of 0..n-1 without a table: steps of a length that shares no factor with n.
class BlockOrder {
 public:
  BlockOrder(uint64_t blocks, const Options& options, Random& random) : blocks_(blocks), step_(1), next_(0) {
    if (options.schedule == Schedule::kForward) return;
    next_ = blocks - 1;
    step_ = blocks - 1;  // descending
    if (options.schedule == Schedule::kReverse || blocks < 3) return;
    next_ = random.Next() % blocks;
    do {
      step_ = 1 + random.Next() % (blocks - 1);
    } while (CommonFactor(step_, blocks) != 1);
  }
  uint64_t Next() { return std::exchange(next_, (next_ + step_) % blocks_); }

 private:
  static uint64_t CommonFactor(uint64_t a, uint64_t b) {
    while (b != 0) a = std::exchange(b, a % b);
    return a;
  }
  uint64_t blocks_, step_, next_;
};

void StartAsynchronous(const Options& options) {
  StartCopies(options);
  StartBulkCopies(options);
  StartWgmma(options);
  Scheduler& scheduler = TheScheduler();
  scheduler.progress = LandOneBulkCopy;
  scheduler.step = nullptr;
  if (options.copies != Copies::kRandom) return;
  scheduler.step = [] {
    LandCopiesAtRandom();
    LandBulkCopiesAtRandom();
    RunWgmmaAtRandom();
  };
}

void RunBlocks(const Grid& grid, const Scheduler::Body& body) {
  Scheduler& scheduler = TheScheduler();
  const int threads = static_cast<int>(grid.block.x * grid.block.y * grid.block.z);
  const uint64_t blocks = uint64_t{grid.grid.x} * grid.grid.y * grid.grid.z;
  BlockOrder order(blocks, CurrentOptions(), scheduler.random());
  for (uint64_t i = 0; i < blocks; ++i) {
    const uint64_t block = order.Next(), plane = uint64_t{grid.grid.x} * grid.grid.y;
    current_block.index = {static_cast<uint32_t>(block % grid.grid.x),
                           static_cast<uint32_t>(block % plane / grid.grid.x), static_cast<uint32_t>(block / plane)};
    current_block.shared =
        static_cast<unsigned char*>(AllocateMemory(Space::kShared, "of the block", grid.shared_bytes));
    ResetBarriers();
    ResetMbarriers();
    ResetRegisterPool();
    race::StartBlock(threads, static_cast<uint32_t>(block));
    scheduler.RunBlock(threads, body);
    CheckAllExited();
    CheckNoCopyInFlight();
    CheckNoBulkCopyInFlight();
    CheckNoWgmmaInFlight();
    CheckMbarriers();
    FreeMemory(std::exchange(current_block.shared, nullptr));
  }
}

}  // namespace

void RunGrid(const Grid& grid, void (*call)(const void* context), const void* context) {
  static std::mutex one_launch_at_a_time;
  const std::lock_guard lock(one_launch_at_a_time);
  CheckSizes(grid);
  current_block = {
      .index = {}, .size = grid.block, .grid = grid.grid, .shared = nullptr, .shared_bytes = grid.shared_bytes};
  TheScheduler().StartLaunch(CurrentOptions());
  StartAsynchronous(CurrentOptions());
  ReportCrashes();
  race::StartLaunch();
  RunBlocks(grid, {call, context});
  race::EndLaunch();
}

}  // namespace ingot::emulator
