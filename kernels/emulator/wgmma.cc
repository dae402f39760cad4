#include "kernels/emulator/wgmma.h"

#include <array>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "core/base/bf16.h"
#include "kernels/emulator/fail.h"
#include "kernels/emulator/race.h"
#include "kernels/emulator/sanitizer.h"
#include "kernels/emulator/scheduler.h"
#include "kernels/emulator/shared_matrix.h"
#include "kernels/emulator/synchronize.h"

namespace ingot::emulator {
namespace {

constexpr int kRows = 64;
constexpr int kMostDepth = 32;
constexpr int kMostColumns = 256;
constexpr int kMostPending = 7;
constexpr int kPieceBytes = 16;  // which lie together in shared memory
constexpr int kDepthBytes = 32;

// What 128 threads keep in their registers, while wgmma holds it.
struct Accumulator {
  std::array<float*, kWarpgroup> of_thread;
  int registers;
  std::vector<float> values;  // (64, N)
  int in_flight = 0;          // operations
};

struct Operation {
  WgmmaOperands operands;
  MatrixDescriptor a, b;
  float a_values[kRows][kMostDepth];  // where a comes from registers, which are read at issue
  std::shared_ptr<Accumulator> d;
  uint32_t clock = 0;
  Site site;
  bool done = false;
};

struct Warpgroup {
  bool fenced = false;
  std::vector<std::shared_ptr<Accumulator>> held;
  std::deque<std::vector<Operation>> groups;  // oldest first; the last is open
  race::Engine engine;
};

Copies policy = Copies::kLate;
Random random_step;
std::array<Warpgroup, kMaxThreads / kWarpgroup> warpgroups;

struct Argument {
  float* d;
  int registers;
  WgmmaOperands operands;
  int pending;
  int warpgroup;
  Site site;
};

int ThisWarpgroup() { return TheScheduler().current().linear / kWarpgroup; }

struct Cell {
  int row, column;
};
Cell CellOfAccumulator(int thread, int i) {
  const int lane = thread % kWarp;
  return {16 * (thread / kWarp) + lane / 4 + 8 * (i / 2 % 2), 8 * (i / 4) + 2 * (lane % 4) + i % 2};
}

float Half(uint32_t pair, int half) { return ToFloat(Bf16{static_cast<uint16_t>(pair >> (16 * half))}); }

// One operand in shared memory.
struct Operand {
  const MatrixDescriptor& matrix;
  bool mn_major;
  DType type;
  int size;  // M or N
  int element() const { return static_cast<int>(SizeOf(type)); }
};
Operand OperandA(const Operation& operation) {
  return {operation.a, operation.operands.a_mn_major, operation.operands.a_type, kRows};
}
Operand OperandB(const Operation& operation) {
  return {operation.b, operation.operands.b_mn_major, operation.operands.b_type, 2 * operation.d->registers};
}

// Calls visit(mn, k, 16 bytes of elements at that place and behind it, along the major direction).
template <typename Visit>
void ForEachPiece(const Operand& operand, const Site& site, const Visit& visit) {
  const int element = operand.element(), piece = kPieceBytes / element;
  const int mn_step = operand.mn_major ? piece : 1, k_step = operand.mn_major ? 1 : piece;
  for (int mn = 0; mn < operand.size; mn += mn_step) {
    for (int k = 0; k < kDepthBytes / element; k += k_step) {
      const uint32_t address = PieceAddress(operand.matrix, operand.mn_major, mn, k, element);
      visit(mn, k, SharedBytes(address, kPieceBytes, "wgmma", site));
    }
  }
}

float ElementAt(const unsigned char* bytes, DType type) {
  if (type == DType::kE4m3) return ToFloat(E4m3{*bytes});
  if (type == DType::kE5m2) return ToFloat(E5m2{*bytes});
  Bf16 element;
  std::memcpy(&element, bytes, sizeof element);
  return ToFloat(element);
}

// store(mn, k) is the place of an element.
template <typename Store>
void ReadMatrix(const Operand& operand, const Site& site, const Store& store) {
  const int element = operand.element();
  ForEachPiece(operand, site, [&](int mn, int k, const unsigned char* bytes) {
    for (int i = 0; i < kPieceBytes / element; ++i) {
      store(operand.mn_major ? mn + i : mn, operand.mn_major ? k : k + i) =
          ElementAt(bytes + i * element, operand.type);
    }
  });
}

void Run(Operation& operation) {
  if (operation.done) return;
  operation.done = true;
  const WgmmaOperands& operands = operation.operands;
  const int columns = 2 * operation.d->registers;
  static float b[kMostDepth][kMostColumns];  // one operation runs at a time
  if (operands.a_registers == nullptr) {
    ReadMatrix(OperandA(operation), operation.site, [&](int m, int k) -> float& { return operation.a_values[m][k]; });
  }
  const Operand operand_b = OperandB(operation);
  ReadMatrix(operand_b, operation.site, [&](int n, int k) -> float& { return b[k][n]; });
  const int depth = kDepthBytes / operand_b.element();
  for (int m = 0; m < kRows; ++m) {
    float* const row = operation.d->values.data() + m * columns;
    for (int n = 0; !operands.accumulate && n < columns; ++n) row[n] = 0;
    for (int k = 0; k < depth; ++k) {
      for (int n = 0; n < columns; ++n) row[n] += operation.a_values[m][k] * b[k][n];
    }
  }
}

void Take(Accumulator& accumulator, int first_thread) {
  const int columns = 2 * accumulator.registers;
  accumulator.values.resize(static_cast<size_t>(kRows * columns));
  for (int thread = 0; thread < kWarpgroup; ++thread) {
    float* const d = accumulator.of_thread[static_cast<size_t>(thread)];
    const size_t bytes = static_cast<size_t>(accumulator.registers) * sizeof(float);
    for (int i = 0; i < accumulator.registers; ++i) {
      const Cell cell = CellOfAccumulator(thread, i);
      accumulator.values[static_cast<size_t>(cell.row * columns + cell.column)] = d[i];
    }
    std::memset(d, 0xFF, bytes);
    PoisonMemory(d, bytes);
    race::HideRegisters(first_thread + thread, d, bytes);
  }
}

void GiveBack(const Accumulator& accumulator, int first_thread, const Site& site) {
  const int columns = 2 * accumulator.registers;
  for (int thread = 0; thread < kWarpgroup; ++thread) {
    float* const d = accumulator.of_thread[static_cast<size_t>(thread)];
    UnpoisonMemory(d, static_cast<size_t>(accumulator.registers) * sizeof(float));
    race::ShowRegisters(first_thread + thread, d);
    for (int i = 0; i < accumulator.registers; ++i) {
      uint32_t bits = 0;
      std::memcpy(&bits, &d[i], sizeof bits);
      if (bits != 0xffffffffu) {
        Fail("wgmma.wait_group at %s:%u: accumulator %d of thread %d was written before the wait", site.file, site.line,
             i, first_thread + thread);
      }
      const Cell cell = CellOfAccumulator(thread, i);
      d[i] = accumulator.values[static_cast<size_t>(cell.row * columns + cell.column)];
    }
  }
}

const Argument& At(void* const* arguments, int thread) { return *static_cast<const Argument*>(arguments[thread]); }

std::shared_ptr<Accumulator> AccumulatorOf(Warpgroup& group, void* const* arguments) {
  const Argument& first = At(arguments, 0);
  for (const std::shared_ptr<Accumulator>& held : group.held) {
    if (held->of_thread[0] == first.d && held->registers == first.registers) return held;
  }
  auto accumulator = std::make_shared<Accumulator>();
  accumulator->registers = first.registers;
  for (int thread = 0; thread < kWarpgroup; ++thread) {
    accumulator->of_thread[static_cast<size_t>(thread)] = At(arguments, thread).d;
  }
  Take(*accumulator, first.warpgroup * kWarpgroup);
  return group.held.emplace_back(accumulator);
}

void CheckThreadsAgree(void* const* arguments) {
  const Argument& first = At(arguments, 0);
  for (int thread = 1; thread < kWarpgroup; ++thread) {
    const WgmmaOperands &one = first.operands, &other = At(arguments, thread).operands;
    if (one.a == other.a && one.b == other.b && one.accumulate == other.accumulate) continue;
    Fail("wgmma at %s:%u: thread %d of the warpgroup gives other descriptors than thread 0", first.site.file,
         first.site.line, thread);
  }
}

// Each row is looked at as an access of another thread of the warpgroup, since all of them must know that it is there.
void Touch(const Warpgroup& group, const Operation& operation, int first_thread) {
  const auto touch = [&](const Operand& operand) {
    ForEachPiece(operand, operation.site, [&](int mn, int k, const unsigned char* bytes) {
      const int thread = first_thread + (operand.mn_major ? mn + 11 * k : 2 * mn) % kWarpgroup;
      group.engine.Touch(thread, operation.clock, bytes, kPieceBytes, false, operation.site);
    });
  };
  if (operation.operands.a_registers == nullptr) touch(OperandA(operation));
  touch(OperandB(operation));
}

void ReadRegistersOfA(Operation& operation, void* const* arguments) {
  for (int thread = 0; thread < kWarpgroup; ++thread) {
    const uint32_t* const a = At(arguments, thread).operands.a_registers;
    const int row = 16 * (thread / kWarp) + thread % kWarp / 4, k = 2 * (thread % 4);
    for (int i = 0; i < 4; ++i) {
      for (int half = 0; half < 2; ++half) {
        operation.a_values[row + 8 * (i % 2)][k + half + 8 * (i / 2)] = Half(a[i], half);
      }
    }
  }
}

void Issue(void* const* arguments) {
  const Argument& first = At(arguments, 0);
  Warpgroup& group = warpgroups[static_cast<size_t>(first.warpgroup)];
  if (!group.fenced) {
    Fail("wgmma at %s:%u: no wgmma.fence since the warpgroup last touched its registers", first.site.file,
         first.site.line);
  }
  CheckThreadsAgree(arguments);
  if (group.groups.empty()) group.groups.emplace_back();
  Operation& operation = group.groups.back().emplace_back();
  operation.operands = first.operands;
  operation.site = first.site;
  operation.b = DecodeDescriptor(first.operands.b, first.site);
  if (first.operands.a_registers == nullptr) {
    operation.a = DecodeDescriptor(first.operands.a, first.site);
  } else {
    ReadRegistersOfA(operation, arguments);
  }
  operation.d = AccumulatorOf(group, arguments);
  ++operation.d->in_flight;
  ++CurrentCounters().wgmmas;
  operation.clock = group.engine.Issue();
  if (kRaceBuild) Touch(group, operation, first.warpgroup * kWarpgroup);
  if (policy == Copies::kEarly) Run(operation);
}

void Wait(void* const* arguments) {
  const Argument& first = At(arguments, 0);
  Warpgroup& group = warpgroups[static_cast<size_t>(first.warpgroup)];
  const int first_thread = first.warpgroup * kWarpgroup;
  while (static_cast<int>(group.groups.size()) - 1 > first.pending) {
    for (Operation& operation : group.groups.front()) {
      Run(operation);
      --operation.d->in_flight;
      group.engine.Complete(operation.clock);
    }
    group.groups.pop_front();
  }
  std::erase_if(group.held, [&](const std::shared_ptr<Accumulator>& held) {
    if (held->in_flight > 0) return false;
    GiveBack(*held, first_thread, first.site);
    return true;
  });
  if (group.held.empty()) group.fenced = false;
  for (int thread = first_thread; thread < first_thread + kWarpgroup; ++thread) group.engine.Teach(thread);
}

}  // namespace

void Wgmma(float* d, int registers, const WgmmaOperands& operands, Site site) {
  Argument argument{d, registers, operands, 0, ThisWarpgroup(), site};
  WarpgroupCollective("wgmma.mma_async", &argument, Issue, site);
}

void WgmmaFence(Site site) {
  Argument argument{
      .d = nullptr, .registers = 0, .operands = {}, .pending = 0, .warpgroup = ThisWarpgroup(), .site = site};
  WarpgroupCollective(
      "wgmma.fence", &argument,
      [](void* const* arguments) { warpgroups[static_cast<size_t>(At(arguments, 0).warpgroup)].fenced = true; }, site);
}

void WgmmaCommit(Site site) {
  Argument argument{
      .d = nullptr, .registers = 0, .operands = {}, .pending = 0, .warpgroup = ThisWarpgroup(), .site = site};
  WarpgroupCollective(
      "wgmma.commit_group", &argument,
      [](void* const* arguments) {
        auto& groups = warpgroups[static_cast<size_t>(At(arguments, 0).warpgroup)].groups;
        if (groups.empty()) groups.emplace_back();
        groups.emplace_back();
      },
      site);
}

void WgmmaWait(int pending, Site site) {
  if (pending < 0 || pending > kMostPending) {
    Fail("wgmma.wait_group at %s:%u: %d groups; the number is 0 to %d", site.file, site.line, pending, kMostPending);
  }
  Argument argument{
      .d = nullptr, .registers = 0, .operands = {}, .pending = pending, .warpgroup = ThisWarpgroup(), .site = site};
  WarpgroupCollective("wgmma.wait_group", &argument, Wait, site);
}

void StartWgmma(const Options& options) {
  policy = options.copies;
  random_step = Random(options.seed * 2 + 5);
}

void CheckNoWgmmaInFlight() {
  for (Warpgroup& group : warpgroups) {
    for (const std::vector<Operation>& operations : group.groups) {
      if (operations.empty()) continue;
      const Site& site = operations.front().site;
      Fail("wgmma at %s:%u: the block has ended without waiting for it", site.file, site.line);
    }
    group = Warpgroup();
  }
}

// The oldest operation of one warpgroup: those of a warpgroup run in order.
void RunWgmmaAtRandom() {
  if (random_step.Below(4) != 0) return;
  Warpgroup& group = warpgroups[random_step.Below(static_cast<uint32_t>(warpgroups.size()))];
  for (std::vector<Operation>& operations : group.groups) {
    for (Operation& operation : operations) {
      if (!operation.done) return Run(operation);
    }
  }
}

}  // namespace ingot::emulator
