// The vocabulary of kernels/cuda/device.cuh, as kernels use it, under every schedule.
#include "kernels/cuda/device.cuh"

#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/emulator/memory.h"
#include "kernels/emulator/options.h"

namespace ingot {
namespace {

using emulator::Copies;
using emulator::Options;
using emulator::Schedule;

class Device : public testing::TestWithParam<Schedule> {
 protected:
  emulator::ScopedOptions options_{{.schedule = GetParam(), .copies = Copies::kRandom, .seed = 7}};
};
INSTANTIATE_TEST_SUITE_P(Schedules, Device,
                         testing::Values(Schedule::kForward, Schedule::kReverse, Schedule::kRandom, Schedule::kPct),
                         [](const auto& schedule) { return emulator::Name(schedule.param); });

__global__ void IndexKernel(int* out) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] += static_cast<int>(block * 1000 + thread);
}

TEST_P(Device, EveryThreadOfEveryBlockRunsOnce) {
  const dim3 grid(3, 2, 2), block(5, 3, 2);
  std::vector<int> out(12 * 30, 0);
  Launch(IndexKernel, LaunchConfig{.grid = grid, .block = block}, out.data());
  for (int i = 0; i < 360; ++i) EXPECT_EQ(out[i], i / 30 * 1000 + i % 30);
}

struct SumShared {
  float scratch[32];
};

__global__ void SumKernel(const float* x, float* sum, float* largest, int64_t n) {
  auto& shared = SharedStorage<SumShared>();
  float v = 0, top = -1e30f;
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
    v += x[i];
    top = Max(top, x[i]);
  }
  v = BlockSum(v, shared.scratch);
  top = BlockMax(top, shared.scratch);
  sum[threadIdx.x] = v;
  largest[threadIdx.x] = top;
}

TEST_P(Device, BlockSumAndMaxGiveEveryThreadTheSame) {
  for (const uint32_t threads : {32u, 96u, 256u, 1024u}) {
    std::vector<float> x(1000), sum(threads), largest(threads);
    std::iota(x.begin(), x.end(), -500.0f);
    Launch(SumKernel, LaunchConfig{.block = threads, .shared = sizeof(SumShared)}, x.data(), sum.data(), largest.data(),
           std::ssize(x));
    EXPECT_THAT(sum, testing::Each(-500.0f));
    EXPECT_THAT(largest, testing::Each(499.0f));
  }
}

struct CopyShared {
  alignas(16) float tile[3][64];
};

// Three stages of cp.async ahead of the sum.
__global__ void PipelineKernel(const float* x, float* out, int tiles) {
  auto& shared = SharedStorage<CopyShared>();
  const int thread = static_cast<int>(threadIdx.x);
  const auto load = [&](int tile) {
    if (thread < 16) CopyAsync16(&shared.tile[tile % 3][thread * 4], x + tile * 64 + thread * 4, tile < tiles);
    CopyAsyncCommit();
  };
  load(0);
  load(1);
  float sum = 0;
  for (int tile = 0; tile < tiles; ++tile) {
    CopyAsyncWait<1>();
    __syncthreads();
    sum += shared.tile[tile % 3][(thread + 1) % 64];
    load(tile + 2);
  }
  CopyAsyncWait<0>();
  out[thread] = sum;
}

TEST_P(Device, CopiesArriveBehindTheirWait) {
  constexpr int kTiles = 6;
  std::vector<float> out(64), x_values(64 * (kTiles + 2));
  std::iota(x_values.begin(), x_values.end(), 0.0f);
  auto* const x = static_cast<float*>(emulator::AllocateMemory(emulator::Space::kDevice, "x", x_values.size() * 4));
  std::copy(x_values.begin(), x_values.end(), x);
  for (const Copies copies : {Copies::kEarly, Copies::kLate, Copies::kRandom}) {
    const emulator::ScopedOptions options({.schedule = GetParam(), .copies = copies, .seed = 3});
    Launch(PipelineKernel, LaunchConfig{.block = 64, .shared = sizeof(CopyShared)}, x, out.data(), kTiles);
    for (int i = 0; i < 64; ++i) EXPECT_EQ(out[i], kTiles * ((i + 1) % 64) + 64 * kTiles * (kTiles - 1) / 2);
  }
  emulator::FreeMemory(x);
}

struct MatrixShared {
  alignas(16) Bf16 a[16][16];
  alignas(16) Bf16 b[8][16];
};

// d (16, 8) = a (16, 16) * b (8, 16)^T, by one warp.
__global__ void MmaKernel(const float* a, const float* b, float* d) {
  auto& shared = SharedStorage<MatrixShared>();
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = lane; i < 256; i += 32) shared.a[i / 16][i % 16] = ToBf16(a[i]);
  for (int i = lane; i < 128; i += 32) shared.b[i / 16][i % 16] = ToBf16(b[i]);
  __syncwarp();
  uint32_t a_registers[4], b_registers[2];
  LoadMatrixX4(a_registers, &shared.a[lane % 16][lane / 16 * 8]);
  LoadMatrixX2(b_registers, &shared.b[lane % 8][lane / 8 % 2 * 8]);
  float sums[4] = {};
  MmaM16N8K16(sums, a_registers, b_registers[0], b_registers[1]);
  for (int i = 0; i < 4; ++i) d[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sums[i];
}

TEST_P(Device, LoadedMatricesMultiply) {
  std::vector<float> a(256), b(128), d(128);
  for (int i = 0; i < 256; ++i) a[i] = static_cast<float>(i % 7 - 3);
  for (int i = 0; i < 128; ++i) b[i] = static_cast<float>(i % 5 - 2);
  Launch(MmaKernel, LaunchConfig{.block = 32, .shared = sizeof(MatrixShared)}, a.data(), b.data(), d.data());
  for (int m = 0; m < 16; ++m) {
    for (int n = 0; n < 8; ++n) {
      float sum = 0;
      for (int k = 0; k < 16; ++k) sum += a[m * 16 + k] * b[n * 16 + k];
      EXPECT_EQ(d[m * 8 + n], sum) << m << ' ' << n;
    }
  }
}

template <typename Scalar>
__global__ void TailKernel(const Scalar* x, Scalar* y, int64_t n) {
  const int64_t begin = int64_t{threadIdx.x} * Vec16<Scalar>::kSize;
  Vec16<Scalar> v = Load16(x + begin, n - begin);
  for (int i = 0; i < v.kSize; ++i) v[i] = FromFloat<Scalar>(ToFloat(v[i]) + 1);
  Store16(y + begin, v, n - begin);
}

template <typename Scalar>
void CheckTails() {
  for (int offset = 0; offset < 3; ++offset) {
    for (int64_t n = 0; n < 40; ++n) {
      std::vector<Scalar> x(64), y(64, FromFloat<Scalar>(-1));
      for (int i = 0; i < 64; ++i) x[i] = FromFloat<Scalar>(static_cast<float>(i));
      Launch(TailKernel<Scalar>, LaunchConfig{.block = 12}, x.data() + offset, y.data() + offset, n);
      for (int64_t i = 0; i < 64; ++i) {
        const bool inside = i >= offset && i < offset + n;
        EXPECT_EQ(ToFloat(y[i]), inside ? static_cast<float>(i + 1) : -1.0f) << offset << ' ' << n << ' ' << i;
      }
    }
  }
}

TEST_P(Device, TailsReadAndWriteNothingBeyondTheEnd) {
  CheckTails<float>();
  CheckTails<Bf16>();
}

__global__ void LastBlockKernel(uint32_t* count, int* last) {
  if (threadIdx.x != 0) return;
  __threadfence();
  if (atomicInc(count, gridDim.x - 1) == gridDim.x - 1) *last += 1;
}

TEST_P(Device, OneBlockIsTheLast) {
  uint32_t count = 0;
  int last = 0;
  for (int i = 0; i < 3; ++i) Launch(LastBlockKernel, LaunchConfig{.grid = 9, .block = 64}, &count, &last);
  EXPECT_EQ(count, 0u);
  EXPECT_EQ(last, 3);
}

__global__ void ShuffleKernel(int* out) {
  const int lane = static_cast<int>(threadIdx.x);
  out[lane] = __shfl_sync(kAllLanes, lane, 5);
  out[32 + lane] = __shfl_sync(kAllLanes, lane, 9, 8);
  out[64 + lane] = __shfl_up_sync(kAllLanes, lane, 2, 16);
  out[96 + lane] = __shfl_down_sync(kAllLanes, lane, 3, 16);
  out[128 + lane] = __shfl_xor_sync(kAllLanes, lane, 17);
  out[160 + lane] = static_cast<int>(__ballot_sync(kAllLanes, lane % 3 == 0));
  out[192 + lane] = __any_sync(kAllLanes, lane == 31) + 2 * __all_sync(kAllLanes, lane < 32) +
                    4 * __any_sync(kAllLanes, false) + 8 * __all_sync(kAllLanes, lane > 0);
}

TEST_P(Device, ShufflesAndVotesFollowThePtxIsa) {
  std::vector<int> out(224);
  Launch(ShuffleKernel, LaunchConfig{.block = 32}, out.data());
  for (int lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(out[lane], 5);
    EXPECT_EQ(out[32 + lane], lane / 8 * 8 + 1);
    EXPECT_EQ(out[64 + lane], lane % 16 < 2 ? lane : lane - 2);
    EXPECT_EQ(out[96 + lane], lane % 16 > 12 ? lane : lane + 3);
    EXPECT_EQ(out[128 + lane], lane ^ 17);
    EXPECT_EQ(static_cast<uint32_t>(out[160 + lane]), 0x49249249u);
    EXPECT_EQ(out[192 + lane], 3);
  }
}

}  // namespace
}  // namespace ingot
