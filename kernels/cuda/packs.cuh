#pragma once
// How kernels move memory: threads take packs of up to 16 bytes, widen them to float, and round once when they store.
#include <cstdint>
#include <initializer_list>

#include "core/base/tensor.h"
#include "kernels/cuda/device.cuh"

namespace ingot {

// x = p[0, kWidth), by accesses of at most 16 bytes, to whose size p is aligned.
template <int kWidth, typename T>
__device__ __forceinline__ void LoadFloats(const T* p, float (&x)[kWidth]) {
  constexpr int kPart = kWidth * sizeof(T) > 16 ? 16 / sizeof(T) : kWidth;
  struct alignas(kPart * sizeof(T)) Part {
    T v[kPart];
  };
  for (int i = 0; i < kWidth; i += kPart) {
    const Part part = *reinterpret_cast<const Part*>(p + i);
    for (int j = 0; j < kPart; ++j) x[i + j] = ToFloat(part.v[j]);
  }
}

// p[0, kWidth) = x, each element rounded to nearest.
template <int kWidth, typename T>
__device__ __forceinline__ void StoreFloats(T* p, const float (&x)[kWidth]) {
  constexpr int kPart = kWidth * sizeof(T) > 16 ? 16 / sizeof(T) : kWidth;
  struct alignas(kPart * sizeof(T)) Part {
    T v[kPart];
  };
  for (int i = 0; i < kWidth; i += kPart) {
    Part part;
    for (int j = 0; j < kPart; ++j) part.v[j] = FromFloat<T>(x[i + j]);
    *reinterpret_cast<Part*>(p + i) = part;
  }
}

// x as it will be read again from a tensor of T.
template <typename T>
__device__ __forceinline__ float Rounded(float x) {
  return ToFloat(FromFloat<T>(x));
}

// Whether rows of `width` elements can be moved in packs of 16 bytes of `dtype`: every row begins at a multiple of 16
// bytes. Absent tensors pass.
inline bool InPacks(DType dtype, int64_t width, std::initializer_list<Tensor> tensors) {
  if (width % (16 / SizeOf(dtype)) != 0) return false;
  for (const Tensor& t : tensors) {
    if (reinterpret_cast<uintptr_t>(t.ptr) % 16 != 0) return false;
  }
  return true;
}

// Calls f.operator()<Scalar, kWidth>() for elements of `dtype` in packs of 16 bytes, or else one by one.
template <typename F>
void DispatchPacks(DType dtype, bool in_packs, F&& f) {
  DispatchFloat(dtype, [&]<typename Scalar>() {
    if (in_packs) {
      f.template operator()<Scalar, static_cast<int>(16 / sizeof(Scalar))>();
    } else {
      f.template operator()<Scalar, 1>();
    }
  });
}

inline int64_t CeilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline dim3 Blocks(int64_t x, int64_t y = 1) { return dim3(static_cast<uint32_t>(x), static_cast<uint32_t>(y)); }

// Element-wise kernels over N elements: a thread a pack, the pack that N cuts short element by element.
constexpr int kFlatThreads = 256;
inline LaunchConfig FlatLaunch(int64_t N, int width, void* stream) {
  return {
      .grid = Blocks(CeilDivide(N, int64_t{width} * kFlatThreads)), .block = Blocks(kFlatThreads), .stream = stream};
}
// Calls body.operator()<width>(n) for the elements [n, n + width) of the calling thread.
template <int kWidth, typename Body>
__device__ __forceinline__ void ForMyPack(int64_t N, const Body& body) {
  int64_t n = (int64_t{blockIdx.x} * kFlatThreads + threadIdx.x) * kWidth;
  if (n + kWidth <= N) return body.template operator()<kWidth>(n);
  for (; n < N; ++n) body.template operator()<1>(n);
}

// Kernels over R rows of `width` elements: a thread a pack, 256 threads a block, which lie along the row as far as it
// reaches and across rows beyond that.
inline LaunchConfig RowLaunch(int64_t R, int64_t width, int pack, void* stream) {
  constexpr int64_t kThreads = 256;
  const int64_t packs = CeilDivide(width, pack);
  int64_t along = 1;
  while (along < packs && along < kThreads) along *= 2;
  return {.grid = Blocks(CeilDivide(R, kThreads / along), CeilDivide(packs, along)),
          .block = Blocks(along, kThreads / along),
          .stream = stream};
}
// The place of the calling thread in such a kernel.
struct RowPlace {
  int64_t row, column;
};
template <int kWidth>
__device__ __forceinline__ RowPlace MyRowPlace() {
  return {int64_t{blockIdx.x} * blockDim.y + threadIdx.y, (int64_t{blockIdx.y} * blockDim.x + threadIdx.x) * kWidth};
}

}  // namespace ingot
