#pragma once
// oneDNN's product, which a build may be without (onednn_absent.cc): Debian has no archive of it to link into a portable
// program.
#include <cstdint>
#include <string>

namespace ingot {

bool HasOneDnn();

// As Sgemm() of blas.h.
void OneDnnSgemm(bool transpose_a, bool transpose_b, int64_t M, int64_t N, int64_t inner, float alpha, const float* a,
                 int64_t stride_a, const float* b, int64_t stride_b, float beta, float* c, int64_t stride_c);

// "oneDNN 2.6.3 (AVX-512)".
std::string OneDnnName();

}  // namespace ingot
