#pragma once
// wgmma: products of tiles in shared memory by a warpgroup (128 threads whose first warp is a multiple of 4), sm_90a. The
// emulator's bodies: kernels/emulator/hopper.h. Source: PTX ISA 9.0, "Asynchronous Warpgroup Level Matrix Instructions".
//
//   WgmmaM64K16<kMMajorA, kNMajorB>(d, a, b, accumulate)   d (64, N) f32 = a (64, 16) bf16 * b (16, N) bf16, + d where
//                         `accumulate`; N = 2 * registers: 64, 128 or 256. a and b are descriptors. A matrix is K-major
//                         (rows of m or n whose k lie together), or M- or N-major (rows of k)
//   WgmmaM64K16<kNMajorB>(d, a, b, accumulate)   the same with a in registers; N: 64, 80, 96 or 128
//   WgmmaM64K32<A, B>(d, a, b, accumulate)   d (64, N) f32 = a (64, 32) * b (32, N), + d where `accumulate`; A and B each E4m3 or
//                         E5m2, both matrices K-major in shared memory; N: 64, 128 or 256. A tensor core keeps about 14 bits
//                         of these sums
//   WgmmaFence()          before the first product, and between any other access to d or a and a product that uses them
//   WgmmaCommit()         the products so far are a group
//   WgmmaWait<N>(), WgmmaWait<N>(d)   at most the N newest groups are in flight: the tiles of the others may be overwritten.
//                         The second for the group that is d's last: d may be touched behind it
// With w the warp of the warpgroup, g = lane / 4, t = lane % 4:
//   d[i]             row 16w + g + 8 * (i / 2 % 2), column 8 * (i / 4) + 2t + i % 2
//   half h of a[i]   row 16w + g + 8 * (i % 2), k 2t + h + 8 * (i / 2)
//
//   MatrixDescriptor(start, leading, stride, swizzle)   where a matrix lies. A tile is a sequence of boxes that TensorLoad has
//                         brought with 128-byte rows, R rows each (swizzle k128):
//     K-major, box (64 k, R rows)      leading unused, stride 1024: 8 rows. The next 16 k: start + 32 bytes. Of 8-bit elements
//                                      128 k and 32
//     MN-major, boxes (64 mn, R k)     leading R * 128: the next 64 mn, stride 1024: the next 8 k. The next 16 k: + 2048
#include "kernels/cuda/hopper.cuh"

namespace ingot {

__device__ __forceinline__ uint64_t MatrixDescriptor(const void* start, int leading_bytes, int stride_bytes,
                                                     Swizzle swizzle) {
  const auto field = [](uint32_t bytes) { return static_cast<uint64_t>((bytes & 0x3ffff) >> 4); };
  const uint64_t type = swizzle == Swizzle::k128 ? 1 : swizzle == Swizzle::k64 ? 2 : swizzle == Swizzle::k32 ? 3 : 0;
  return field(SharedAddress(start)) | field(static_cast<uint32_t>(leading_bytes)) << 16 |
         field(static_cast<uint32_t>(stride_bytes)) << 32 | type << 62;
}

// The same matrix that many bytes further on.
__device__ __forceinline__ uint64_t Advanced(uint64_t descriptor, int bytes) {
  return descriptor + static_cast<uint64_t>(bytes / 16);
}

}  // namespace ingot

#ifdef __CUDACC__

#define INGOT_D32                                         \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15" \
  ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define INGOT_D40 INGOT_D32 ",%32,%33,%34,%35,%36,%37,%38,%39"
#define INGOT_D48 INGOT_D40 ",%40,%41,%42,%43,%44,%45,%46,%47"
#define INGOT_D64                                                    \
  INGOT_D32                                                          \
  ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47" \
  ",%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define INGOT_D128                                                               \
  INGOT_D64                                                                      \
  ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79"             \
  ",%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95"             \
  ",%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111" \
  ",%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
#define INGOT_INOUT8(i)                                                                                       \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), \
      "+f"(d[i + 7])
#define INGOT_INOUT32(i) INGOT_INOUT8(i), INGOT_INOUT8(i + 8), INGOT_INOUT8(i + 16), INGOT_INOUT8(i + 24)
#define INGOT_INOUT40(i) INGOT_INOUT32(i), INGOT_INOUT8(i + 32)
#define INGOT_INOUT48(i) INGOT_INOUT40(i), INGOT_INOUT8(i + 40)
#define INGOT_INOUT64(i) INGOT_INOUT32(i), INGOT_INOUT32(i + 32)
#define INGOT_INOUT128(i) INGOT_INOUT64(i), INGOT_INOUT64(i + 64)

// Operands behind the accumulators: numbers of a's descriptor, b's, the predicate, the transposes.
#define INGOT_WGMMA(n, registers, a_at, b_at, p_at, a_major_at, b_major_at)                                          \
  template <bool kMMajorA, bool kNMajorB>                                                                            \
  __device__ __forceinline__ void WgmmaM64K16(float(&d)[registers], uint64_t a, uint64_t b, bool accumulate) {       \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #p_at                                                          \
                 ", 0;\n"                                                                                            \
                 "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" INGOT_D##registers                     \
                 "}, %" #a_at ", %" #b_at ", p, 1, 1, %" #a_major_at ", %" #b_major_at ";\n}"                        \
                 : INGOT_INOUT##registers(0)                                                                         \
                 : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)), "n"(kMMajorA ? 1 : 0), "n"(kNMajorB ? 1 : 0)); \
  }
#define INGOT_WGMMA_REGISTERS(n, registers, a0, a1, a2, a3, b_at, p_at, b_major_at)                       \
  template <bool kNMajorB>                                                                                \
  __device__ __forceinline__ void WgmmaM64K16(float(&d)[registers], const uint32_t(&a)[4], uint64_t b,    \
                                              bool accumulate) {                                          \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #p_at                                               \
                 ", 0;\n"                                                                                 \
                 "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" INGOT_D##registers          \
                 "}, {%" #a0 ",%" #a1 ",%" #a2 ",%" #a3 "}, %" #b_at ", p, 1, 1, %" #b_major_at ";\n}"    \
                 : INGOT_INOUT##registers(0)                                                              \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(accumulate)), \
                   "n"(kNMajorB ? 1 : 0));                                                                \
  }

#define INGOT_WGMMA_FP8_OF(n, registers, a_at, b_at, p_at, types)                                      \
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #p_at ", 0;\nwgmma.mma_async.sync.aligned.m64n" #n \
               "k32.f32." types " {" INGOT_D##registers "}, %" #a_at ", %" #b_at ", p, 1, 1;\n}"       \
               : INGOT_INOUT##registers(0)                                                             \
               : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)))
#define INGOT_WGMMA_FP8(n, registers, a_at, b_at, p_at)                                                        \
  template <typename A, typename B>                                                                            \
  __device__ __forceinline__ void WgmmaM64K32(float(&d)[registers], uint64_t a, uint64_t b, bool accumulate) { \
    constexpr bool kA4 = Fp8Format<A>::kMantissaBits == 3, kB4 = Fp8Format<B>::kMantissaBits == 3;             \
    if constexpr (kA4 && kB4) INGOT_WGMMA_FP8_OF(n, registers, a_at, b_at, p_at, "e4m3.e4m3");                 \
    if constexpr (kA4 && !kB4) INGOT_WGMMA_FP8_OF(n, registers, a_at, b_at, p_at, "e4m3.e5m2");                \
    if constexpr (!kA4 && kB4) INGOT_WGMMA_FP8_OF(n, registers, a_at, b_at, p_at, "e5m2.e4m3");                \
    if constexpr (!kA4 && !kB4) INGOT_WGMMA_FP8_OF(n, registers, a_at, b_at, p_at, "e5m2.e5m2");               \
  }

namespace ingot {

INGOT_WGMMA_FP8(64, 32, 32, 33, 34)
INGOT_WGMMA_FP8(128, 64, 64, 65, 66)
INGOT_WGMMA_FP8(256, 128, 128, 129, 130)
INGOT_WGMMA(64, 32, 32, 33, 34, 35, 36)
INGOT_WGMMA(128, 64, 64, 65, 66, 67, 68)
INGOT_WGMMA(256, 128, 128, 129, 130, 131, 132)
INGOT_WGMMA_REGISTERS(64, 32, 32, 33, 34, 35, 36, 37, 38)
INGOT_WGMMA_REGISTERS(80, 40, 40, 41, 42, 43, 44, 45, 46)
INGOT_WGMMA_REGISTERS(96, 48, 48, 49, 50, 51, 52, 53, 54)
INGOT_WGMMA_REGISTERS(128, 64, 64, 65, 66, 67, 68, 69, 70)

__device__ __forceinline__ void WgmmaFence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void WgmmaCommit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

template <int kPending>
__device__ __forceinline__ void WgmmaWait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}
// The empty statements tell the compiler that the accumulators change here, so that it reads none of them earlier.
template <int kPending, int kRegisters>
__device__ __forceinline__ void WgmmaWait(float (&d)[kRegisters]) {
  WgmmaWait<kPending>();
#pragma unroll
  for (int i = 0; i < kRegisters; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

}  // namespace ingot

#undef INGOT_WGMMA
#undef INGOT_WGMMA_REGISTERS
#undef INGOT_WGMMA_FP8
#undef INGOT_WGMMA_FP8_OF
#undef INGOT_D32
#undef INGOT_D40
#undef INGOT_D48
#undef INGOT_D64
#undef INGOT_D128
#undef INGOT_INOUT8
#undef INGOT_INOUT32
#undef INGOT_INOUT40
#undef INGOT_INOUT48
#undef INGOT_INOUT64
#undef INGOT_INOUT128
#endif
