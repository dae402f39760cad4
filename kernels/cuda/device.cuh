#pragma once
// Every word of CUDA that a kernel of ours may use. nvcc compiles it for a GPU; any C++ compiler compiles the same .cu
// file against the emulator (kernels/emulator). A .cu file includes its op's header, this one and the standard library;
// it holds no build switch, no PTX, no <<<>>>.
//
// CUDA's own names hold in both builds: __global__, __device__, __forceinline__, __launch_bounds__, __grid_constant__,
// threadIdx, blockIdx, blockDim, gridDim, dim3, __syncthreads, __syncwarp, __shfl_{,up_,down_,xor_}sync,
// __{ballot,any,all}_sync, __threadfence, and atomicAdd, atomicMax, atomicMin, atomicExch, atomicInc on integers only.
//
//   Launch(Kernel<T>, LaunchConfig{.grid = .., .block = .., .shared = bytes, .stream = ctx.stream()}, arguments...)
//   SharedStorage<S>()       the block's shared memory as a struct S of arrays; bytes: sizeof(S). It begins as NaN
//   Vec16<T>                 16 bytes of T: v[i], Vec16<T>::kSize
//   Load16(p), Store16(p, v) of an aligned address; Load16(p, n), Store16(p, v, n): the first min(n, kSize) elements
//                            (n <= 0: none) of any address, the rest reads as zero
//   ToFloat(x), FromFloat<T>(f)   T is float or Bf16, rounded to nearest even
//   BitCast<To>(x), Min, Max      what std has no device form of
//   Exp, Exp2, Log, Log2, Rsqrt, Sigmoid, Divide   hardware's approximations on a GPU, 1 to 2 ulp for ordinary values
//   Tanh, Sqrt               accurate
//   WarpSum, WarpMax         over 32 lanes, in every lane, in the order of xor shuffles by 16, 8, 4, 2, 1
//   BlockSum, BlockMax(v, scratch)   over a block of at most 1024 threads, a multiple of 32; scratch: float[32], shared
//   DispatchFloat(dtype, [&]<typename Scalar>() { ... })   host: f32 or bf16
// and the instructions of ptx.cuh.
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/base/bf16.h"
#include "core/base/check.h"
#include "core/base/dtype.h"
#ifdef __CUDACC__
#include "kernels/cuda/gpu.cuh"
#else
#include "kernels/emulator/device.h"
#endif
#include "kernels/cuda/ptx.cuh"

namespace ingot {

inline constexpr uint32_t kAllLanes = 0xffffffffu;

template <typename T>
__host__ __device__ __forceinline__ constexpr T Min(T a, T b) {
  return b < a ? b : a;
}
template <typename T>
__host__ __device__ __forceinline__ constexpr T Max(T a, T b) {
  return a < b ? b : a;
}

__device__ __forceinline__ float ToFloat(float x) { return x; }

template <typename T>
__device__ __forceinline__ T FromFloat(float x) {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, Bf16>);
  if constexpr (std::is_same_v<T, float>) {
    return x;
  } else {
    return RoundToBf16(x);
  }
}

// Halves of a pair of bf16 in a register.
__device__ __forceinline__ float LowHalf(uint32_t pair) { return BitCast<float>(pair << 16); }
__device__ __forceinline__ float HighHalf(uint32_t pair) { return BitCast<float>(pair & 0xffff0000u); }

__device__ __forceinline__ float Sigmoid(float x) { return Divide(1.0f, 1.0f + Exp(-x)); }

template <typename T>
struct alignas(16) Vec16 {
  static constexpr int kSize = 16 / sizeof(T);
  T values[kSize];
  __device__ __forceinline__ T& operator[](int i) { return values[i]; }
  __device__ __forceinline__ const T& operator[](int i) const { return values[i]; }
};

template <typename T>
__device__ __forceinline__ Vec16<std::remove_const_t<T>> Load16(T* p INGOT_AT_SITE) {
  RequireAligned16(p INGOT_PASS_SITE);
  return *reinterpret_cast<const Vec16<std::remove_const_t<T>>*>(p);
}

template <typename T>
__device__ __forceinline__ void Store16(T* p, const std::type_identity_t<Vec16<T>>& v INGOT_AT_SITE) {
  RequireAligned16(p INGOT_PASS_SITE);
  *reinterpret_cast<Vec16<T>*>(p) = v;
}

template <typename T>
__device__ __forceinline__ bool IsWholePack(const T* p, int64_t n) {
  return n >= Vec16<T>::kSize && reinterpret_cast<uintptr_t>(p) % 16 == 0;
}

// The loops have constant lengths so that the pack stays in registers.
template <typename T>
__device__ __forceinline__ Vec16<std::remove_const_t<T>> Load16(T* p, int64_t n INGOT_AT_SITE) {
  using Element = std::remove_const_t<T>;
  if (IsWholePack<Element>(p, n)) return Load16(p INGOT_PASS_SITE);
  Vec16<Element> v;
  for (int i = 0; i < Vec16<Element>::kSize; ++i) {
    v[i] = Element{};
    if (i < n) v[i] = p[i];
  }
  return v;
}

template <typename T>
__device__ __forceinline__ void Store16(T* p, const std::type_identity_t<Vec16<T>>& v, int64_t n INGOT_AT_SITE) {
  if (IsWholePack<T>(p, n)) return Store16(p, v INGOT_PASS_SITE);
  for (int i = 0; i < Vec16<T>::kSize; ++i) {
    if (i < n) p[i] = v[i];
  }
}

__device__ __forceinline__ float WarpSum(float v INGOT_AT_SITE) {
  for (int lanes = 16; lanes > 0; lanes /= 2) v += __shfl_xor_sync(kAllLanes, v, lanes, 32 INGOT_PASS_SITE);
  return v;
}

__device__ __forceinline__ float WarpMax(float v INGOT_AT_SITE) {
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    v = Max(v, __shfl_xor_sync(kAllLanes, v, lanes, 32 INGOT_PASS_SITE));
  }
  return v;
}

// The value of each warp, in every lane `lane` of every warp, or `otherwise` beyond the last warp. The scratch array is
// free again when it returns.
__device__ __forceinline__ float WarpValues(float of_warp, float otherwise, float* scratch INGOT_AT_SITE) {
  const int thread = static_cast<int>(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));
  const int lane = thread % 32;
  const int warps = static_cast<int>(blockDim.x * blockDim.y * blockDim.z) / 32;
  if (lane == 0) scratch[thread / 32] = of_warp;
  __syncthreads(INGOT_ONLY_SITE);
  const float value = lane < warps ? scratch[lane] : otherwise;
  __syncthreads(INGOT_ONLY_SITE);
  return value;
}

__device__ __forceinline__ float BlockSum(float v, float (&scratch)[32] INGOT_AT_SITE) {
  return WarpSum(WarpValues(WarpSum(v INGOT_PASS_SITE), 0.0f, scratch INGOT_PASS_SITE) INGOT_PASS_SITE);
}

__device__ __forceinline__ float BlockMax(float v, float (&scratch)[32] INGOT_AT_SITE) {
  const float lowest = BitCast<float>(0xff800000u);  // -infinity
  return WarpMax(WarpValues(WarpMax(v INGOT_PASS_SITE), lowest, scratch INGOT_PASS_SITE) INGOT_PASS_SITE);
}

template <typename F>
void DispatchFloat(DType dtype, F&& f) {
  if (dtype == DType::kF32) return f.template operator()<float>();
  if (dtype == DType::kBf16) return f.template operator()<Bf16>();
  INGOT_CHECK(false, "no kernel for %s; it takes f32 and bf16", Name(dtype));
}

}  // namespace ingot
