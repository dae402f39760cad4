#pragma once
// The GPU's half of device.cuh: what nvcc has under other names, and the launch.
#include <cstdint>
#include <tuple>
#include <utility>

#include "core/base/bf16.h"
#include "kernels/cuda/launch.h"

#define INGOT_AT_SITE
#define INGOT_PASS_SITE
#define INGOT_ONLY_SITE

namespace ingot {

template <typename To, typename From>
__device__ __forceinline__ To BitCast(const From& from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof(To));
  return to;
}

__device__ __forceinline__ float Exp(float x) { return __expf(x); }
__device__ __forceinline__ float Exp2(float x) { return exp2f(x); }
__device__ __forceinline__ float Log(float x) { return __logf(x); }
__device__ __forceinline__ float Log2(float x) { return __log2f(x); }
__device__ __forceinline__ float Rsqrt(float x) { return rsqrtf(x); }
__device__ __forceinline__ float Sqrt(float x) { return sqrtf(x); }
__device__ __forceinline__ float Tanh(float x) { return tanhf(x); }
__device__ __forceinline__ float Divide(float a, float b) { return __fdividef(a, b); }

template <typename T>
__device__ __forceinline__ void RequireAligned16(const T*) {}

template <typename S>
__device__ __forceinline__ S& SharedStorage() {
  static_assert(alignof(S) <= 1024);
  extern __shared__ __align__(1024) unsigned char ingot_shared_memory[];
  return *reinterpret_cast<S*>(ingot_shared_memory);
}

struct LaunchConfig {
  dim3 grid = {};
  dim3 block = {};
  size_t shared = 0;
  void* stream = nullptr;
};

// Starts the kernel in the stream's order. Arguments are converted to the kernel's parameter types. A configuration that
// no GPU can run is a programmer's error; what a machine causes is reported by cuda::Synchronize.
template <typename... Parameters, typename... Arguments>
void Launch(void (*kernel)(Parameters...), const LaunchConfig& config, Arguments&&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "the kernel takes another number of arguments");
  std::tuple<std::remove_cv_t<Parameters>...> values(std::forward<Arguments>(arguments)...);
  std::apply(
      [&](auto&... value) {
        void* pointers[] = {static_cast<void*>(&value)..., nullptr};
        cuda::LaunchKernel(reinterpret_cast<const void*>(kernel), {config.grid.x, config.grid.y, config.grid.z},
                           {config.block.x, config.block.y, config.block.z}, config.shared, config.stream, pointers);
      },
      values);
}

}  // namespace ingot
