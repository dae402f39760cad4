#pragma once
// The instructions that CUDA C++ has no words for, from sm_80 on, and the only inline PTX besides hopper.cuh and
// wgmma.cuh. Without nvcc the emulator's reference bodies stand under the same names (kernels/emulator/instructions.h).
// Sources: PTX ISA 9.0, sections named below. With lane l: g = l / 4, t = l % 4.
//
//   CopyAsync16(shared, source, valid)   cp.async.cg, 16 bytes, both addresses 16-byte aligned; zeros if not valid
//   CopyAsyncCommit(), CopyAsyncWait<N>()   the thread's copies so far are a group; at most N groups stay in flight. The
//                                        wait is for the caller's copies alone: a barrier must follow before others read
//   LoadMatrixX{1,2,4}[Transposed](r, row)  ldmatrix: lane 8 * j + i gives the 16-byte row i of matrix j; r[j] holds
//                                        elements (g, 2t), (g, 2t + 1) of matrix j, or its transposed one
//   MmaM16N8K16(d, a, b0, b1)            d (16, 8) f32 += a (16, 16) bf16 * b (16, 8) bf16; half h of register i is
//                                        a[g + 8 * (i % 2)][2t + h + 8 * (i / 2)], b[2t + h + 8 * i][g], and
//                                        d[i] is d[g + 8 * (i / 2)][2t + i % 2]
//   BarrierSync(id, threads), BarrierArrive(id, threads)   bar.sync and bar.arrive; id 1..15, threads % 32 = 0
//   PackBf16x2(low, high)                two floats rounded to bf16, `low` in the low half
//   PackFp8x4<Fp8>(a, b, c, d)           four floats rounded as by ToFp8<Fp8>(), `a` in the lowest byte
#ifdef __CUDACC__

#include <cstdint>

#include "core/base/bf16.h"
#include "core/base/fp8.h"

namespace ingot {

__device__ __forceinline__ uint32_t SharedAddress(const void* shared) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

__device__ __forceinline__ void CopyAsync16(void* shared, const void* source, bool valid = true) {
  const int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(SharedAddress(shared)), "l"(source), "r"(bytes)
               : "memory");
}
__device__ __forceinline__ void CopyAsyncCommit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kPending>
__device__ __forceinline__ void CopyAsyncWait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

__device__ __forceinline__ void LoadMatrixX4(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(SharedAddress(row))
               : "memory");
}
__device__ __forceinline__ void LoadMatrixX2(uint32_t (&r)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(SharedAddress(row))
               : "memory");
}
__device__ __forceinline__ void LoadMatrixX1(uint32_t& r, const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(r) : "r"(SharedAddress(row)) : "memory");
}
__device__ __forceinline__ void LoadMatrixX4Transposed(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(SharedAddress(row))
               : "memory");
}
__device__ __forceinline__ void LoadMatrixX2Transposed(uint32_t (&r)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(SharedAddress(row))
               : "memory");
}
__device__ __forceinline__ void LoadMatrixX1Transposed(uint32_t& r, const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];"
               : "=r"(r)
               : "r"(SharedAddress(row))
               : "memory");
}

__device__ __forceinline__ void MmaM16N8K16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void BarrierSync(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
__device__ __forceinline__ void BarrierArrive(int id, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

__device__ __forceinline__ uint32_t PackBf16x2(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

__device__ __forceinline__ Bf16 RoundToBf16(float x) {
  uint16_t bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return {bits};
}

// The instruction is of sm_89 and later.
template <typename Fp8>
__device__ __forceinline__ uint32_t PackFp8x2(float low, float high) {
#if __CUDA_ARCH__ >= 890
  uint16_t pair;
  if constexpr (Fp8Format<Fp8>::kMantissaBits == 3) {
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(high), "f"(low));
  } else {
    asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(high), "f"(low));
  }
  return pair;
#else
  return uint32_t{ToFp8<Fp8>(low).bits} | uint32_t{ToFp8<Fp8>(high).bits} << 8;
#endif
}
template <typename Fp8>
__device__ __forceinline__ uint32_t PackFp8x4(float a, float b, float c, float d) {
  return PackFp8x2<Fp8>(a, b) | PackFp8x2<Fp8>(c, d) << 16;
}

// Two to the power x, to 2 ulp; denormal arguments and results are zero. PTX ISA, "ex2".
__device__ __forceinline__ float Exp2Approximate(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

}  // namespace ingot

#else
#include "kernels/emulator/instructions.h"  // IWYU pragma: export
#endif
