#include "tests/kernels/emulator/seeded_bugs.h"

#include <cstdint>
#include <vector>

#include "kernels/cuda/device.cuh"
#include "tests/kernels/emulator/device_array.h"

namespace ingot {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;
constexpr int kWidth = 256;  // of a row

struct RowShared {
  float scratch[kWarps];
};

template <Bug kBug>
__device__ __forceinline__ float BrokenBlockSum(float v, float* scratch) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  v = WarpSum(v);
  if (lane == 0) scratch[kBug == Bug::kSharedOverrun ? warp + 1 : warp] = v;
  if (kBug != Bug::kNoBarrierAfterWrite) {
    __syncthreads();
  }
  const float sum = WarpSum(lane < kWarps ? scratch[lane] : 0.0f);
  if (kBug != Bug::kNoBarrierBeforeReuse) {
    __syncthreads();
  }
  return sum;
}

// y[r,c] = (x[r,c] - mean_c x[r,:]) * sum_c x[r,c]^2 * w[c]
template <Bug kBug>
__global__ void RowKernel(const float* x, const float* w, float* y) {
  auto& shared = SharedStorage<RowShared>();
  const int thread = static_cast<int>(threadIdx.x);
  const float* const row = x + blockIdx.x * kWidth;
  float sum = 0, squares = 0;
  for (int c = thread; c < kWidth; c += kThreads) {
    sum += row[c];
    squares += row[c] * row[c];
  }
  sum = BrokenBlockSum<kBug>(sum, shared.scratch);
  squares = BrokenBlockSum<kBug>(squares, shared.scratch);
  for (int c = thread; c < kWidth; c += kThreads) {
    const float weight = w[kBug == Bug::kReadPastTheEnd ? c + 1 : c];
    y[blockIdx.x * kWidth + c] = (row[c] - sum / kWidth) * squares * weight;
  }
}

template <Bug kBug>
bool RowsAreRight() {
  constexpr int kRows = 3;
  std::vector<float> x_values(kRows * kWidth), w_values(kWidth);
  for (size_t i = 0; i < x_values.size(); ++i) x_values[i] = static_cast<float>(i % 13) - 5;
  for (size_t i = 0; i < w_values.size(); ++i) w_values[i] = static_cast<float>(i % 5) + 1;
  const DeviceArray<float> x("x", x_values), w("w", w_values), y("y", std::vector<float>(x_values.size()));
  Launch(RowKernel<kBug>, LaunchConfig{.grid = kRows, .block = kThreads, .shared = sizeof(RowShared)}, x.data(),
         w.data(), y.data());
  const std::vector<float> found = y.Values();
  for (int i = 0; i < kRows * kWidth; ++i) {
    float sum = 0, squares = 0;  // whole numbers: exact in any order
    for (int c = 0; c < kWidth; ++c) {
      const float value = x_values[i / kWidth * kWidth + c];
      sum += value;
      squares += value * value;
    }
    if (found[i] != (x_values[i] - sum / kWidth) * squares * w_values[i % kWidth]) return false;
  }
  return true;
}

constexpr int kStages = 3;
constexpr int kTile = 256;  // floats: two packs a thread of the first half

struct PipelineShared {
  alignas(16) float tile[kStages][kTile];
};

// y[i] = sum over tiles of x[tile][(i + 67) % kTile]: each thread reads what others have copied.
template <Bug kBug>
__global__ void PipelineKernel(const float* x, float* y, int tiles) {
  constexpr int kAhead = kBug == Bug::kNoBarrierBeforeOverwrite ? kStages : kStages - 1;
  auto& shared = SharedStorage<PipelineShared>();
  const int thread = static_cast<int>(threadIdx.x);
  const auto load = [&](int tile) {
    if (thread < kTile / 4 && tile < tiles) {
      float* const target = &shared.tile[tile % kStages][thread * 4];
      CopyAsync16(target, x + tile * kTile + thread * 4);
      if (kBug == Bug::kCopyTwiceInOneGroup) CopyAsync16(target, x + thread * 4);
    }
    CopyAsyncCommit();
  };
  for (int tile = 0; tile < kAhead; ++tile) load(tile);
  float sums[2] = {};
  for (int tile = 0; tile < tiles; ++tile) {
    CopyAsyncWait<kBug == Bug::kWaitTooLax ? kAhead : kAhead - 1>();
    if (kBug != Bug::kNoBarrierAfterWait) {
      __syncthreads();
    }
    for (int i = 0; i < 2; ++i) sums[i] += shared.tile[tile % kStages][(thread + i * kThreads + 67) % kTile];
    if (kBug == Bug::kNoBarrierAfterWait) {
      __syncthreads();
    }
    load(tile + kAhead);
  }
  if (kBug == Bug::kCopyNotWaitedFor) load(0);
  if (kBug != Bug::kCopyNotWaitedFor) CopyAsyncWait<0>();
  for (int i = 0; i < 2; ++i) y[thread + i * kThreads] = sums[i];
}

template <Bug kBug>
bool PipelineIsRight() {
  constexpr int kTiles = kStages + 3;
  std::vector<float> x_values(kTiles * kTile);
  for (size_t i = 0; i < x_values.size(); ++i) x_values[i] = static_cast<float>(i % 1021);
  const DeviceArray<float> x("x", x_values), y("y", std::vector<float>(kTile));
  Launch(PipelineKernel<kBug>, LaunchConfig{.block = kThreads, .shared = sizeof(PipelineShared)}, x.data(), y.data(),
         kTiles);
  const std::vector<float> found = y.Values();
  for (int i = 0; i < kTile; ++i) {
    float sum = 0;
    for (int tile = 0; tile < kTiles; ++tile) sum += x_values[tile * kTile + (i + 67) % kTile];
    if (found[i] != sum) return false;
  }
  return true;
}

struct SmallShared {
  int values[64];
};

template <Bug kBug>
__global__ void NeighbourKernel(int* out) {
  auto& shared = SharedStorage<SmallShared>();
  const int thread = static_cast<int>(threadIdx.x);
  if (kBug != Bug::kUninitialisedRead) shared.values[thread] = thread;
  if (kBug == Bug::kSyncwarpNone) __syncwarp();
  // A shuffle lets lanes meet, but orders no memory.
  const int one = __shfl_sync(kAllLanes, 1, 0);
  out[thread] = shared.values[thread ^ 1] * one;
}

template <Bug kBug>
__global__ void BlocksKernel(int* out) {
  if (threadIdx.x != 0) return;
  if (kBug == Bug::kAllBlocksWrite) out[0] += 1;
  if (kBug == Bug::kAllBlocksWriteAtomically) atomicAdd(out, 1);
}

template <Bug kBug>
__global__ void MeetingKernel(int* out) {
  const int thread = static_cast<int>(threadIdx.x);
  int value = 1;
  if (kBug == Bug::kExitBeforeBarrier) {
    if (thread == 5) return;
    __syncthreads();
  }
  if (kBug == Bug::kDivergentBarrier) {
    // clang-format off
    if (thread < 32) __syncthreads(); else __syncthreads();
    // clang-format on
  }
  if (kBug == Bug::kUnequalBarrierCounts) {
    for (int i = 0; i < 2 + (thread == 3); ++i) __syncthreads();
  }
  if (kBug == Bug::kLanesMissing && thread % 32 < 16) value = __shfl_xor_sync(kAllLanes, value, 1);
  if (kBug == Bug::kShuffleFromOutsideTheMask && thread % 32 < 16) value = __shfl_down_sync(0xffffu, value, 8);
  if (kBug == Bug::kBarrierOfOddCount) BarrierSync(1, 33);
  out[thread] = value;
}

template <Bug kBug>
__global__ void AddressKernel(float* out) {
  if (threadIdx.x != 0) return;
  if (kBug == Bug::kMisalignedVector) Store16(out + 8, Load16(out + 1));
  if (kBug == Bug::kMisalignedScalar) {
    const char* const odd = reinterpret_cast<const char*>(out) + blockDim.x / 32;  // g++ trusts an offset it knows
    out[0] = *reinterpret_cast<const float*>(odd);
  }
  if (kBug == Bug::kDeviceOverrun) out[64] = 1;
}

// The last block to come adds what all blocks have left in memory.
template <Bug kBug>
__global__ void LastBlockKernel(int* parts, uint32_t* count, int* sum) {
  if (threadIdx.x != 0) return;
  parts[blockIdx.x] = static_cast<int>(blockIdx.x);
  if (kBug == Bug::kLastBlockNone) __threadfence();
  if (atomicInc(count, gridDim.x - 1) != gridDim.x - 1) return;
  if (kBug == Bug::kLastBlockNone) __threadfence();
  int total = 0;
  for (unsigned i = 0; i < gridDim.x; ++i) total += parts[i];
  *sum = total;
}

__global__ void EmptyKernel() {}

template <Bug kBug>
bool NeighboursAreRight() {
  const DeviceArray<int> out("out", std::vector<int>(64));
  Launch(NeighbourKernel<kBug>, LaunchConfig{.block = 64, .shared = sizeof(SmallShared)}, out.data());
  const std::vector<int> found = out.Values();
  for (int i = 0; i < 64; ++i) {
    if (found[i] != (i ^ 1)) return false;
  }
  return true;
}

template <Bug kBug>
bool BlocksAreRight() {
  const DeviceArray<int> out("out", std::vector<int>(1));
  Launch(BlocksKernel<kBug>, LaunchConfig{.grid = 4, .block = 32}, out.data());
  return out.Values()[0] == 4;
}

template <Bug kBug>
bool MeetingIsRight() {
  const DeviceArray<int> out("out", std::vector<int>(64));
  Launch(MeetingKernel<kBug>, LaunchConfig{.block = 64}, out.data());
  return out.Values() == std::vector<int>(64, 1);
}

template <Bug kBug>
bool AddressesAreRight() {
  const DeviceArray<float> out("out", std::vector<float>(64));
  Launch(AddressKernel<kBug>, LaunchConfig{.block = 32}, out.data());
  return out.Values() == std::vector<float>(64);
}

template <Bug kBug>
bool LastBlockIsRight() {
  const DeviceArray<int> parts("parts", std::vector<int>(8)), sum("sum", std::vector<int>(1));
  const DeviceArray<uint32_t> count("count", {0});
  Launch(LastBlockKernel<kBug>, LaunchConfig{.grid = 8, .block = 32}, parts.data(), count.data(), sum.data());
  return sum.Values()[0] == 28;
}

__global__ void InlineKernel(const float* x, float* y) {
  const int begin = static_cast<int>(threadIdx.x) * Vec16<float>::kSize;
  Store16(y + begin, Load16(x + begin));
}

bool LaunchIsRefused(Bug bug) {
  if (bug == Bug::kTooMuchShared) Launch(EmptyKernel, LaunchConfig{.shared = 227 * 1024 + 1});
  if (bug == Bug::kTooManyThreads) Launch(EmptyKernel, LaunchConfig{.block = dim3(32, 33)});
  return true;
}

}  // namespace

bool ResultIsRight(Bug bug) {
  switch (bug) {
#define INGOT_CASE(name, function) \
  case Bug::name:                  \
    return function<Bug::name>();
    INGOT_CASE(kNone, RowsAreRight)
    INGOT_CASE(kNoBarrierAfterWrite, RowsAreRight)
    INGOT_CASE(kNoBarrierBeforeReuse, RowsAreRight)
    INGOT_CASE(kReadPastTheEnd, RowsAreRight)
    INGOT_CASE(kSharedOverrun, RowsAreRight)
    INGOT_CASE(kPipelineNone, PipelineIsRight)
    INGOT_CASE(kWaitTooLax, PipelineIsRight)
    INGOT_CASE(kNoBarrierAfterWait, PipelineIsRight)
    INGOT_CASE(kNoBarrierBeforeOverwrite, PipelineIsRight)
    INGOT_CASE(kCopyNotWaitedFor, PipelineIsRight)
    INGOT_CASE(kCopyTwiceInOneGroup, PipelineIsRight)
    INGOT_CASE(kSyncwarpNone, NeighboursAreRight)
    INGOT_CASE(kNoSyncwarp, NeighboursAreRight)
    INGOT_CASE(kUninitialisedRead, NeighboursAreRight)
    INGOT_CASE(kAllBlocksWrite, BlocksAreRight)
    INGOT_CASE(kAllBlocksWriteAtomically, BlocksAreRight)
    INGOT_CASE(kExitBeforeBarrier, MeetingIsRight)
    INGOT_CASE(kDivergentBarrier, MeetingIsRight)
    INGOT_CASE(kUnequalBarrierCounts, MeetingIsRight)
    INGOT_CASE(kLanesMissing, MeetingIsRight)
    INGOT_CASE(kShuffleFromOutsideTheMask, MeetingIsRight)
    INGOT_CASE(kMisalignedVector, AddressesAreRight)
    INGOT_CASE(kMisalignedScalar, AddressesAreRight)
    INGOT_CASE(kBarrierOfOddCount, MeetingIsRight)
    INGOT_CASE(kDeviceOverrun, AddressesAreRight)
    INGOT_CASE(kLastBlockWithoutFence, LastBlockIsRight)
    INGOT_CASE(kLastBlockNone, LastBlockIsRight)
#undef INGOT_CASE
    case Bug::kTooMuchShared:
    case Bug::kTooManyThreads:
      return LaunchIsRefused(bug);
    default:
      return HopperResultIsRight(bug);
  }
}

bool InlineAccessesAreRight() {
  const std::vector<float> values(kInlineAccesses * Vec16<float>::kSize, 3);
  const DeviceArray<float> x("x", values), y("y", std::vector<float>(values.size()));
  Launch(InlineKernel, LaunchConfig{.block = kInlineAccesses}, x.data(), y.data());
  return y.Values() == values;
}

}  // namespace ingot
