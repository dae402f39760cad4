#include <cstdint>
#include <vector>

#include "core/base/bf16.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/wgmma.cuh"
#include "tests/kernels/emulator/device_array.h"
#include "tests/kernels/emulator/seeded_bugs.h"

namespace ingot {
namespace {

constexpr int kSide = 64;  // of every tile
constexpr int kTileBytes = kSide * kSide * 2;
constexpr int kStages = 3;
constexpr int kConsumers = 128;
constexpr int kRegisters = kSide / 2;

struct Stage {
  alignas(1024) uint16_t a[kSide * kSide];
  alignas(1024) uint16_t b[kSide * kSide];
};

struct ProductShared {
  Stage stage[kStages + 1];  // the last is room for a tile that is not where it should be
  Mbarrier full[kStages], empty[kStages];
};

template <Bug kBug>
__device__ __forceinline__ void Produce(ProductShared& shared, const TensorMap& a, const TensorMap& b, int tiles) {
  for (int tile = 0; tile < tiles; ++tile) {
    const int s = tile % kStages;
    const auto parity = static_cast<uint32_t>(tile / kStages % 2);
    if (kBug != Bug::kProducerDoesNotWait) {
      MbarrierWait(shared.empty[s], kBug == Bug::kWrongParityOfProducer ? parity : parity ^ 1);
    }
    if (kBug == Bug::kNothingExpected) {
      MbarrierArrive(shared.full[s]);
    } else {
      MbarrierArriveExpect(shared.full[s], kBug == Bug::kHalfExpected ? kTileBytes : 2 * kTileBytes);
    }
    if (kBug == Bug::kArrivesTwice) MbarrierArrive(shared.full[s]);
    TensorLoad(shared.stage[s].a, a, shared.full[s], tile * kSide, 0);
    TensorLoad(shared.stage[s].b, b, shared.full[s], tile * kSide, 0);
  }
}

template <Bug kBug>
__device__ __forceinline__ uint64_t DescriptorOf(const uint16_t* tile) {
  const auto* const start = reinterpret_cast<const char*>(tile) + (kBug == Bug::kTileOffItsPeriod ? 128 : 0);
  const Swizzle swizzle = kBug == Bug::kWrongSwizzle ? Swizzle::k64 : Swizzle::k128;
  return MatrixDescriptor(start, 1, kBug == Bug::kWrongStride ? 512 : 1024, swizzle);
}

// A tile is read and written again, as a kernel does that changes its operand in place.
template <Bug kBug>
__device__ __forceinline__ void StoreOperand(uint16_t* tile) {
  for (int i = static_cast<int>(threadIdx.x); i < kSide * kSide; i += kConsumers) {
    volatile uint16_t* const element = tile + i;
    *element = static_cast<uint16_t>(*element ^ 0x8000u);
  }
  if (kBug == Bug::kOperandStoredNone) FenceProxyAsync();
  BarrierSync(1, kConsumers);
}

template <Bug kBug>
__device__ __forceinline__ void Multiply(ProductShared& shared, float (&d)[kRegisters], int s, bool accumulate) {
  if (kBug != Bug::kNoWgmmaFence) WgmmaFence();
  const uint64_t a = DescriptorOf<kBug>(shared.stage[s].a), b = DescriptorOf<kBug>(shared.stage[s].b);
  const int other = kBug == Bug::kDescriptorsDiffer && threadIdx.x == 77 ? 16 : 0;
  for (int step = 0; step < 4; ++step) {
    WgmmaM64K16<false, false>(d, Advanced(a, 32 * step + other), Advanced(b, 32 * step), accumulate || step > 0);
  }
  WgmmaCommit();
}

template <Bug kBug>
__device__ __forceinline__ void Consume(ProductShared& shared, float (&d)[kRegisters], int tiles) {
  constexpr bool kWaitsLate = kBug == Bug::kReleasedBeforeRead || kBug == Bug::kWgmmaNotWaitedFor;
  const bool no_wait = kBug == Bug::kConsumerDoesNotWait || (kBug == Bug::kOneWarpDoesNotWait && threadIdx.x < 32);
  for (int tile = 0; tile < tiles; ++tile) {
    const int s = tile % kStages;
    const auto parity = static_cast<uint32_t>(tile / kStages % 2);
    if (!no_wait) MbarrierWait(shared.full[s], kBug == Bug::kWrongParityOfConsumer ? parity ^ 1 : parity);
    if (kBug == Bug::kOperandStoredNone || kBug == Bug::kOperandStoredWithoutProxyFence) {
      StoreOperand<kBug>(shared.stage[s].a);
    }
    Multiply<kBug>(shared, d, s, tile > 0);
    float early = 0;
    if (kBug == Bug::kAccumulatorRead) early = d[3];
    if (kBug == Bug::kAccumulatorWritten) d[3] = 1;
    if (!kWaitsLate) WgmmaWait<0>(d);
    if (kBug == Bug::kAccumulatorRead) d[3] += 0 * early;
    MbarrierArrive(shared.empty[s]);
  }
  if (kBug == Bug::kReleasedBeforeRead) WgmmaWait<0>(d);
}

// c (64, 64) = sum over tiles of a (64, 64) * transpose of b (64, 64)
template <Bug kBug>
__global__ void __launch_bounds__(256, 1)
    ProductKernel(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, float* c, int tiles) {
  auto& shared = SharedStorage<ProductShared>();
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) {
    for (int s = 0; s < kStages; ++s) {
      MbarrierInit(shared.full[s], 1);
      MbarrierInit(shared.empty[s], kConsumers);
    }
    if (kBug != Bug::kNoFenceAfterInit) FenceMbarrierInit();
  }
  if (kBug != Bug::kNoBarrierAfterInit) __syncthreads();
  if (thread >= kConsumers) {
    RegistersGiveBack<40>();
    if (thread == kConsumers) Produce<kBug>(shared, a, b, tiles);
    return;
  }
  RegistersTake<248>();
  if (kBug == Bug::kMbarrierOverwritten && thread == 9) *reinterpret_cast<uint64_t*>(&shared.full[1]) = 0;
  float d[kRegisters] = {};
  Consume<kBug>(shared, d, tiles);
  const int row = thread / 32 * 16 + thread % 32 / 4, column = thread % 4 * 2;
  for (int i = 0; i < kRegisters; ++i) c[(row + i / 2 % 2 * 8) * kSide + i / 4 * 8 + column + i % 2] = d[i];
}

cuda::TensorMapLayout TilesOf(const uint16_t* base, int columns) {
  return {.base = base,
          .rank = 2,
          .sizes = {columns, kSide},
          .strides = {1, columns},
          .box = {kSide, kSide},
          .swizzle = Swizzle::k128};
}

float Value(size_t i, int modulus) { return static_cast<float>(static_cast<int>(i) % modulus) - 3; }

template <Bug kBug>
bool ProductIsRight() {
  constexpr int kTiles = kStages + 3, kDepth = kTiles * kSide;
  const bool negated = kBug == Bug::kOperandStoredNone || kBug == Bug::kOperandStoredWithoutProxyFence;
  std::vector<uint16_t> a_bits(kSide * kDepth), b_bits(kSide * kDepth);
  for (size_t i = 0; i < a_bits.size(); ++i) {
    a_bits[i] = ToBf16(Value(i, 11)).bits;
    b_bits[i] = ToBf16(Value(i, 7)).bits;
  }
  const DeviceArray<uint16_t> a("a", a_bits), b("b", b_bits);
  const DeviceArray<float> c("c", std::vector<float>(kSide * kSide));
  Launch(ProductKernel<kBug>, LaunchConfig{.block = 256, .shared = sizeof(ProductShared)},
         cuda::MakeTensorMap(TilesOf(a.data(), kDepth)), cuda::MakeTensorMap(TilesOf(b.data(), kDepth)), c.data(),
         kTiles);
  const std::vector<float> found = c.Values();
  for (int m = 0; m < kSide; ++m) {
    for (int n = 0; n < kSide; ++n) {
      float sum = 0;  // whole numbers: exact in any order
      for (int k = 0; k < kDepth; ++k) sum += Value(m * kDepth + k, 11) * Value(n * kDepth + k, 7);
      if (found[m * kSide + n] != (negated ? -sum : sum)) return false;
    }
  }
  return true;
}

struct OutShared {
  alignas(1024) uint16_t tile[kSide * kSide];
};

template <Bug kBug>
__global__ void OutKernel(const __grid_constant__ TensorMap map, int tiles) {
  auto& shared = SharedStorage<OutShared>();
  const int thread = static_cast<int>(threadIdx.x);
  for (int tile = 0; tile < tiles; ++tile) {
    if (kBug != Bug::kBufferWrittenWhileRead && thread == 0) BulkWaitRead<0>();
    __syncthreads();
    for (int i = thread; i < kSide * kSide; i += kConsumers) shared.tile[i] = static_cast<uint16_t>(tile + 1);
    if (kBug != Bug::kStoredWithoutProxyFence) FenceProxyAsync();
    __syncthreads();
    if (thread == 0) {
      TensorStore(map, shared.tile, tile * kSide, 0);
      BulkCommit();
    }
  }
  if (kBug != Bug::kStoreNotWaitedFor && thread == 0) BulkWait<0>();
}

template <Bug kBug>
bool OutIsRight() {
  constexpr int kTiles = 3, kColumns = kTiles * kSide;
  const DeviceArray<uint16_t> out("out", std::vector<uint16_t>(kColumns * kSide));
  Launch(OutKernel<kBug>, LaunchConfig{.block = kConsumers, .shared = sizeof(OutShared)},
         cuda::MakeTensorMap(TilesOf(out.data(), kColumns)), kTiles);
  const std::vector<uint16_t> found = out.Values();
  for (int i = 0; i < kColumns * kSide; ++i) {
    if (found[i] != i % kColumns / kSide + 1) return false;
  }
  return true;
}

struct RingShared {
  alignas(128) uint32_t numbers[kStages][kConsumers];
  Mbarrier full[kStages], empty[kStages];
};

// Four warps add numbers that another one loads, a stage after another; one lane releases a stage for its warp.
template <Bug kBug>
__global__ void RingKernel(const uint32_t* numbers, uint32_t* sums, int tiles) {
  auto& shared = SharedStorage<RingShared>();
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) {
    for (int s = 0; s < kStages; ++s) {
      MbarrierInit(shared.full[s], 1);
      MbarrierInit(shared.empty[s], kConsumers / 32);
    }
    FenceMbarrierInit();
  }
  __syncthreads();
  if (thread > kConsumers) return;
  uint32_t sum = 0;
  for (int tile = 0; tile < tiles; ++tile) {
    const int s = tile % kStages;
    const auto parity = static_cast<uint32_t>(tile / kStages % 2);
    if (thread == kConsumers) {
      MbarrierWait(shared.empty[s], parity ^ 1);
      MbarrierArriveExpect(shared.full[s], sizeof shared.numbers[s]);
      BulkLoad(shared.numbers[s], numbers + tile * kConsumers, sizeof shared.numbers[s], shared.full[s]);
      continue;
    }
    MbarrierWait(shared.full[s], parity);
    sum += shared.numbers[s][thread];
    if (kBug != Bug::kReleasedByALaneAlone) __syncwarp();
    if (thread % 32 == 0) MbarrierArrive(shared.empty[s]);
  }
  if (thread < kConsumers) sums[thread] = sum;
}

template <Bug kBug>
bool RingIsRight() {
  constexpr int kTiles = 2 * kStages + 2;
  std::vector<uint32_t> values(size_t{kTiles} * kConsumers);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<uint32_t>(i * 7 % 1009);
  const DeviceArray<uint32_t> numbers("numbers", values), sums("sums", std::vector<uint32_t>(kConsumers));
  Launch(RingKernel<kBug>, LaunchConfig{.block = kConsumers + 32, .shared = sizeof(RingShared)}, numbers.data(),
         sums.data(), kTiles);
  const std::vector<uint32_t> found = sums.Values();
  for (int thread = 0; thread < kConsumers; ++thread) {
    uint32_t sum = 0;
    for (int tile = 0; tile < kTiles; ++tile) sum += values[tile * kConsumers + thread];
    if (found[thread] != sum) return false;
  }
  return true;
}

// Two warpgroups want more registers than there are, and the third keeps its own.
__global__ void __launch_bounds__(384, 1) RegistersKernel() {
  if (threadIdx.x < 256) RegistersTake<232>();
}

template <Bug kBug>
bool RegistersSuffice() {
  Launch(RegistersKernel, LaunchConfig{.block = 384});
  return true;
}

}  // namespace

bool HopperResultIsRight(Bug bug) {
  switch (bug) {
#define INGOT_CASE(name, function) \
  case Bug::name:                  \
    return function<Bug::name>();
    INGOT_CASE(kHopperNone, ProductIsRight)
    INGOT_CASE(kNoBarrierAfterInit, ProductIsRight)
    INGOT_CASE(kNoFenceAfterInit, ProductIsRight)
    INGOT_CASE(kNothingExpected, ProductIsRight)
    INGOT_CASE(kHalfExpected, ProductIsRight)
    INGOT_CASE(kWrongParityOfConsumer, ProductIsRight)
    INGOT_CASE(kWrongParityOfProducer, ProductIsRight)
    INGOT_CASE(kProducerDoesNotWait, ProductIsRight)
    INGOT_CASE(kConsumerDoesNotWait, ProductIsRight)
    INGOT_CASE(kOneWarpDoesNotWait, ProductIsRight)
    INGOT_CASE(kReleasedBeforeRead, ProductIsRight)
    INGOT_CASE(kArrivesTwice, ProductIsRight)
    INGOT_CASE(kNoWgmmaFence, ProductIsRight)
    INGOT_CASE(kAccumulatorRead, ProductIsRight)
    INGOT_CASE(kAccumulatorWritten, ProductIsRight)
    INGOT_CASE(kWgmmaNotWaitedFor, ProductIsRight)
    INGOT_CASE(kWrongSwizzle, ProductIsRight)
    INGOT_CASE(kWrongStride, ProductIsRight)
    INGOT_CASE(kTileOffItsPeriod, ProductIsRight)
    INGOT_CASE(kDescriptorsDiffer, ProductIsRight)
    INGOT_CASE(kMbarrierOverwritten, ProductIsRight)
    INGOT_CASE(kOperandStoredNone, ProductIsRight)
    INGOT_CASE(kOperandStoredWithoutProxyFence, ProductIsRight)
    INGOT_CASE(kTooFewRegisters, RegistersSuffice)
    INGOT_CASE(kRingNone, RingIsRight)
    INGOT_CASE(kReleasedByALaneAlone, RingIsRight)
    INGOT_CASE(kTensorStoreNone, OutIsRight)
    INGOT_CASE(kStoredWithoutProxyFence, OutIsRight)
    INGOT_CASE(kStoreNotWaitedFor, OutIsRight)
    INGOT_CASE(kBufferWrittenWhileRead, OutIsRight)
#undef INGOT_CASE
    default:
      return false;
  }
}

}  // namespace ingot
