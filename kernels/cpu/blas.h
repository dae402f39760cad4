#pragma once
// The one matrix product of the CPU ops, behind two libraries. Which one is a function of the processor and of the
// environment only, never of a measurement: oneDNN where the processor has AVX-512 (twice as fast as Debian's OpenBLAS
// with its Haswell kernels on Zen 5), else OpenBLAS. INGOT_BLAS=openblas or INGOT_BLAS=onednn overrides the choice.
#include <cstdint>
#include <string>

namespace ingot {

// c = alpha * op(a) * op(b) + beta * c, row-major; op(a) is (M, inner) and op(b) is (inner, N), where op transposes
// if asked to. `stride_*` are elements from row to row as stored. With beta = 0 the old c is not read.
//
// To be called inside an OpenMP parallel region: there both libraries compute on the calling thread alone, so that the
// bits depend on the shape and not on the number of threads. (Outside of one they would use threads of their own.)
void Sgemm(bool transpose_a, bool transpose_b, int64_t M, int64_t N, int64_t inner, float alpha, const float* a,
           int64_t stride_a, const float* b, int64_t stride_b, float beta, float* c, int64_t stride_c);

// Name, version and kernels in use, such as "oneDNN 2.6.3 (AVX-512)".
std::string BlasName();

// Compares products of several shapes, all transposes, with plain loops; takes well under a millisecond. False, with
// what is wrong and what to do in `problem`, for a library that miscomputes on this processor or an INGOT_BLAS that
// names none.
bool BlasIsRight(std::string* problem);

}  // namespace ingot
