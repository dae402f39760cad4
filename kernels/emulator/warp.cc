#include "kernels/emulator/warp.h"

#include <algorithm>
#include <cstring>

#include "kernels/emulator/fail.h"
#include "kernels/emulator/race.h"
#include "kernels/emulator/scheduler.h"
#include "kernels/emulator/synchronize.h"

namespace ingot::emulator {
namespace {

struct ShuffleArgument {
  uint64_t value, result;
  Shuffle kind;
  int operand, width;
  Site site;
};

int SourceLane(int lane, const ShuffleArgument& argument) {
  const int width = argument.width, base = lane & ~(width - 1);
  int source = lane;
  switch (argument.kind) {
    case Shuffle::kIndex:
      return base + (argument.operand & (width - 1));
    case Shuffle::kUp:
      source = lane - argument.operand;
      return source < base ? lane : source;
    case Shuffle::kDown:
      source = lane + argument.operand;
      break;
    case Shuffle::kXor:
      source = lane ^ argument.operand;
      break;
  }
  return source >= base + width ? lane : source;
}

void RunShuffle(void* const* arguments, uint32_t mask) {
  for (int lane = 0; lane < kWarp; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    auto& mine = *static_cast<ShuffleArgument*>(arguments[lane]);
    const int source = SourceLane(lane, mine);
    if ((mask >> source & 1) == 0) {
      Fail("shuffle at %s:%u: lane %d reads lane %d, which is not in mask %08x", mine.site.file, mine.site.line, lane,
           source, mask);
    }
    mine.result = static_cast<const ShuffleArgument*>(arguments[source])->value;
  }
}

struct BallotArgument {
  bool predicate;
  uint32_t result;
};

void RunBallot(void* const* arguments, uint32_t mask) {
  uint32_t ballot = 0;
  for (int lane = 0; lane < kWarp; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    if (static_cast<const BallotArgument*>(arguments[lane])->predicate) ballot |= 1u << lane;
  }
  for (int lane = 0; lane < kWarp; ++lane) {
    if ((mask >> lane & 1) != 0) static_cast<BallotArgument*>(arguments[lane])->result = ballot;
  }
}

uint64_t NewValue(Atomic operation, bool is_signed, uint64_t old, uint64_t value, uint64_t compared) {
  const bool less = is_signed ? static_cast<int64_t>(old) < static_cast<int64_t>(value) : old < value;
  switch (operation) {
    case Atomic::kAdd:
      return old + value;
    case Atomic::kMax:
      return less ? value : old;
    case Atomic::kMin:
      return less ? old : value;
    case Atomic::kIncrement:
      return old >= value ? 0 : old + 1;
    case Atomic::kExchange:
      return value;
    case Atomic::kCompareExchange:
      return old == compared ? value : old;
  }
  return old;
}

uint64_t Extended(uint64_t value, int bytes, bool is_signed) {
  if (bytes == 8) return value;
  return is_signed ? static_cast<uint64_t>(int64_t{static_cast<int32_t>(value)}) : value & 0xffffffffu;
}

}  // namespace

uint64_t ShuffleBits(Shuffle kind, uint32_t mask, uint64_t value, int operand, int width, Site site) {
  if (width < 1 || width > kWarp || (width & (width - 1)) != 0) {
    Fail("shuffle at %s:%u: the width is %d; it must be a power of two up to 32", site.file, site.line, width);
  }
  ShuffleArgument argument{value, value, kind, operand, width, site};
  WarpCollective("shuffle", mask, &argument, RunShuffle, false, site);
  return argument.result;
}

uint32_t Ballot(uint32_t mask, bool predicate, Site site) {
  BallotArgument argument{predicate, 0};
  WarpCollective("vote", mask, &argument, RunBallot, false, site);
  return argument.result;
}

void SyncWarp(uint32_t mask, Site site) { WarpCollective("__syncwarp", mask, nullptr, nullptr, true, site); }

uint64_t AtomicBits(Atomic operation, void* address, int bytes, bool is_signed, uint64_t value, uint64_t compared,
                    Site site) {
  if (reinterpret_cast<uintptr_t>(address) % static_cast<uintptr_t>(bytes) != 0) {
    Fail("atomic at %s:%u: the address %p is not %d-byte aligned", site.file, site.line, address, bytes);
  }
  TheScheduler().current().site = site;
  TheScheduler().Yield();
  race::NoteAtomic(address, static_cast<size_t>(bytes), site);
  uint64_t old = 0;
  std::memcpy(&old, address, static_cast<size_t>(bytes));
  old = Extended(old, bytes, is_signed);
  const uint64_t updated =
      NewValue(operation, is_signed, old, Extended(value, bytes, is_signed), Extended(compared, bytes, is_signed));
  std::memcpy(address, &updated, static_cast<size_t>(bytes));  // little-endian: the low bytes
  return old;
}

void ThreadFence() {
  race::NoteFence();
  TheScheduler().Yield();
}

}  // namespace ingot::emulator
