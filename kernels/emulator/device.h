#pragma once
// CUDA's keywords and functions for a kernel that runs on the emulator, and the emulator's half of what
// kernels/cuda/device.cuh offers. Included by device.cuh alone.
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include "core/base/bf16.h"
#include "kernels/emulator/fail.h"
#include "kernels/emulator/launch.h"
#include "kernels/emulator/site.h"
#include "kernels/emulator/stream.h"
#include "kernels/emulator/synchronize.h"
#include "kernels/emulator/thread.h"
#include "kernels/emulator/warp.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __shared__ static_assert(false, "shared memory comes from SharedStorage<S>()");
#define threadIdx (::ingot::emulator::current_thread->index)
#define blockIdx (::ingot::emulator::current_block.index)
#define blockDim (::ingot::emulator::current_block.size)
#define gridDim (::ingot::emulator::current_block.grid)
// A trailing parameter that carries the caller's line, and how it is passed on; nothing in the GPU build.
#define INGOT_AT_SITE , INGOT_SITE
#define INGOT_PASS_SITE , site
#define INGOT_ONLY_SITE site

__forceinline__ void __syncthreads(INGOT_SITE) { ::ingot::emulator::Barrier(0, 0, site); }
__forceinline__ void __syncwarp(uint32_t mask = 0xffffffffu, INGOT_SITE) { ::ingot::emulator::SyncWarp(mask, site); }
__forceinline__ uint32_t __ballot_sync(uint32_t mask, bool predicate, INGOT_SITE) {
  return ::ingot::emulator::Ballot(mask, predicate, site);
}
__forceinline__ int __any_sync(uint32_t mask, bool predicate, INGOT_SITE) {
  return ::ingot::emulator::Ballot(mask, predicate, site) != 0;
}
__forceinline__ int __all_sync(uint32_t mask, bool predicate, INGOT_SITE) {
  return ::ingot::emulator::Ballot(mask, predicate, site) == mask;
}
__forceinline__ void __threadfence() { ::ingot::emulator::ThreadFence(); }

namespace ingot::emulator {

template <typename T>
__forceinline__ T ShuffleValue(Shuffle kind, uint32_t mask, T value, int operand, int width, Site site) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = ShuffleBits(kind, mask, bits, operand, width, site);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

template <typename T>
__forceinline__ T AtomicValue(Atomic operation, T* address, T value, T compared, Site site) {
  static_assert(std::is_integral_v<T> && (sizeof(T) == 4 || sizeof(T) == 8),
                "only integers: a sum of floats would depend on the order of threads");
  return static_cast<T>(AtomicBits(operation, address, static_cast<int>(sizeof(T)), std::is_signed_v<T>,
                                   static_cast<uint64_t>(value), static_cast<uint64_t>(compared), site));
}

}  // namespace ingot::emulator

template <typename T>
__forceinline__ T __shfl_sync(uint32_t mask, T value, int lane, int width = 32, INGOT_SITE) {
  return ::ingot::emulator::ShuffleValue(::ingot::emulator::Shuffle::kIndex, mask, value, lane, width, site);
}
template <typename T>
__forceinline__ T __shfl_up_sync(uint32_t mask, T value, unsigned delta, int width = 32, INGOT_SITE) {
  return ::ingot::emulator::ShuffleValue(::ingot::emulator::Shuffle::kUp, mask, value, static_cast<int>(delta), width,
                                         site);
}
template <typename T>
__forceinline__ T __shfl_down_sync(uint32_t mask, T value, unsigned delta, int width = 32, INGOT_SITE) {
  return ::ingot::emulator::ShuffleValue(::ingot::emulator::Shuffle::kDown, mask, value, static_cast<int>(delta), width,
                                         site);
}
template <typename T>
__forceinline__ T __shfl_xor_sync(uint32_t mask, T value, int lane_mask, int width = 32, INGOT_SITE) {
  return ::ingot::emulator::ShuffleValue(::ingot::emulator::Shuffle::kXor, mask, value, lane_mask, width, site);
}

template <typename T>
__forceinline__ T atomicAdd(T* address, std::type_identity_t<T> value, INGOT_SITE) {
  return ::ingot::emulator::AtomicValue(::ingot::emulator::Atomic::kAdd, address, value, T{}, site);
}
template <typename T>
__forceinline__ T atomicMax(T* address, std::type_identity_t<T> value, INGOT_SITE) {
  return ::ingot::emulator::AtomicValue(::ingot::emulator::Atomic::kMax, address, value, T{}, site);
}
template <typename T>
__forceinline__ T atomicMin(T* address, std::type_identity_t<T> value, INGOT_SITE) {
  return ::ingot::emulator::AtomicValue(::ingot::emulator::Atomic::kMin, address, value, T{}, site);
}
template <typename T>
__forceinline__ T atomicExch(T* address, std::type_identity_t<T> value, INGOT_SITE) {
  return ::ingot::emulator::AtomicValue(::ingot::emulator::Atomic::kExchange, address, value, T{}, site);
}
__forceinline__ uint32_t atomicInc(uint32_t* address, uint32_t limit, INGOT_SITE) {
  return ::ingot::emulator::AtomicValue(::ingot::emulator::Atomic::kIncrement, address, limit, 0u, site);
}

namespace ingot {

template <typename To, typename From>
__forceinline__ To BitCast(const From& from) {
  return std::bit_cast<To>(from);
}

// Approximations on a GPU (see the GPU's half in device.cuh); here the functions of the C library.
__forceinline__ float Exp(float x) { return std::exp(x); }
__forceinline__ float Exp2(float x) { return std::exp2(x); }
__forceinline__ float Log(float x) { return std::log(x); }
__forceinline__ float Log2(float x) { return std::log2(x); }
__forceinline__ float Sqrt(float x) { return std::sqrt(x); }
__forceinline__ float Rsqrt(float x) { return 1.0f / std::sqrt(x); }
__forceinline__ float Tanh(float x) { return std::tanh(x); }
__forceinline__ float Divide(float a, float b) { return a / b; }
__forceinline__ float Exp2Approximate(float x) { return std::exp2(x); }

__forceinline__ Bf16 RoundToBf16(float x) { return ToBf16(x); }

template <typename S>
__forceinline__ S& SharedStorage(INGOT_SITE) {
  static_assert(alignof(S) <= 1024);
  if (sizeof(S) > emulator::current_block.shared_bytes) {
    emulator::Fail("SharedStorage at %s:%u has %zu bytes; the launch gave the block %zu", site.file, site.line,
                   sizeof(S), emulator::current_block.shared_bytes);
  }
  return *reinterpret_cast<S*>(emulator::current_block.shared);
}

__forceinline__ void RequireAligned16(const void* p INGOT_AT_SITE) {
  if (reinterpret_cast<uintptr_t>(p) % 16 != 0) {
    emulator::Fail("misaligned access at %s:%u: %p is not 16-byte aligned", site.file, site.line, p);
  }
}

struct LaunchConfig {
  dim3 grid = {};
  dim3 block = {};
  size_t shared = 0;
  void* stream = nullptr;
};

// See kernels/cuda/device.cuh.
template <typename... Parameters, typename... Arguments>
void Launch(void (*kernel)(Parameters...), const LaunchConfig& config, Arguments&&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "the kernel takes another number of arguments");
  struct Call {
    void (*kernel)(Parameters...);
    std::tuple<Parameters...> values;
  };
  const Call call{kernel, std::tuple<Parameters...>(std::forward<Arguments>(arguments)...)};
  const emulator::Grid grid{config.grid, config.block, config.shared, config.stream};
  emulator::Enqueue(config.stream, [grid, call] {
    emulator::RunGrid(
        grid,
        [](const void* context) {
          std::apply(static_cast<const Call*>(context)->kernel, static_cast<const Call*>(context)->values);
        },
        &call);
  });
}

}  // namespace ingot
