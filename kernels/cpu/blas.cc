#include "kernels/cpu/blas.h"

#include <cblas.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "kernels/cpu/onednn.h"

namespace ingot {
namespace {

enum class Library { kOpenBlas, kOneDnn };

Library Choose() {
  const char* const wish = std::getenv("INGOT_BLAS");
  if (!HasOneDnn() || (wish != nullptr && std::string(wish) == "openblas")) return Library::kOpenBlas;
  if (wish != nullptr && std::string(wish) == "onednn") return Library::kOneDnn;
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f")) return Library::kOneDnn;
#endif
  return Library::kOpenBlas;
}

Library Chosen() {
  static const Library library = Choose();
  return library;
}

void OpenBlasSgemm(bool transpose_a, bool transpose_b, int64_t M, int64_t N, int64_t inner, float alpha, const float* a,
                   int64_t stride_a, const float* b, int64_t stride_b, float beta, float* c, int64_t stride_c) {
  const auto narrow = [](int64_t value) { return static_cast<blasint>(value); };
  if (M == 1 && !transpose_a) {  // as a product with a vector, which the library does not see by itself
    const bool rows_are_inner = !transpose_b;
    return cblas_sgemv(CblasRowMajor, rows_are_inner ? CblasTrans : CblasNoTrans, narrow(rows_are_inner ? inner : N),
                       narrow(rows_are_inner ? N : inner), alpha, b, narrow(stride_b), a, 1, beta, c, 1);
  }
  cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans,
              narrow(M), narrow(N), narrow(inner), alpha, a, narrow(stride_a), b, narrow(stride_b), beta, c,
              narrow(stride_c));
}

struct Case {
  bool transpose_a, transpose_b;
  int64_t M, N, inner;
};

// Whether one product with small integers as elements, exact in fp32 in any order, is right to the last bit.
bool IsRight(const Case& test) {
  const auto [transpose_a, transpose_b, M, N, inner] = test;
  const auto value = [](int64_t i) { return static_cast<float>((i * 37 + 11) % 23 - 11); };
  std::vector<float> a(M * inner), b(inner * N), c(M * N);
  for (size_t i = 0; i < a.size(); ++i) a[i] = value(static_cast<int64_t>(i));
  for (size_t i = 0; i < b.size(); ++i) b[i] = value(static_cast<int64_t>(i) + 5);
  for (size_t i = 0; i < c.size(); ++i) c[i] = value(static_cast<int64_t>(i) + 9);
  std::vector<float> want(c);
  for (int64_t m = 0; m < M; ++m) {
    for (int64_t n = 0; n < N; ++n) {
      float sum = 0;
      for (int64_t i = 0; i < inner; ++i) {
        sum += a[transpose_a ? i * M + m : m * inner + i] * b[transpose_b ? n * inner + i : i * N + n];
      }
      want[m * N + n] = 2.0f * sum + want[m * N + n];
    }
  }
  Sgemm(transpose_a, transpose_b, M, N, inner, 2.0f, a.data(), transpose_a ? M : inner, b.data(),
        transpose_b ? inner : N, 1.0f, c.data(), N);
  return c == want;
}

}  // namespace

void Sgemm(bool transpose_a, bool transpose_b, int64_t M, int64_t N, int64_t inner, float alpha, const float* a,
           int64_t stride_a, const float* b, int64_t stride_b, float beta, float* c, int64_t stride_c) {
  if (M == 0 || N == 0) return;
  if (Chosen() == Library::kOpenBlas) {
    return OpenBlasSgemm(transpose_a, transpose_b, M, N, inner, alpha, a, stride_a, b, stride_b, beta, c, stride_c);
  }
  OneDnnSgemm(transpose_a, transpose_b, M, N, inner, alpha, a, stride_a, b, stride_b, beta, c, stride_c);
}

std::string BlasName() {
  if (Chosen() == Library::kOpenBlas) {
    const std::string config = openblas_get_config();  // "OpenBLAS 0.3.21 ..."
    return config.substr(0, config.find(' ', config.find(' ') + 1)) + " (" + openblas_get_corename() + ")";
  }
  return OneDnnName();
}

bool BlasIsRight(std::string* problem) {
  const char* const wish = std::getenv("INGOT_BLAS");
  if (wish != nullptr && std::string(wish) != "openblas" && std::string(wish) != "onednn") {
    *problem = "INGOT_BLAS must be openblas or onednn, not '" + std::string(wish) + "'";
    return false;
  }
  if (wish != nullptr && std::string(wish) == "onednn" && !HasOneDnn()) {
    *problem = "INGOT_BLAS=onednn, but this build has OpenBLAS alone";
    return false;
  }
  static constexpr int64_t kShapes[][3] = {{64, 64, 64}, {1, 33, 17}, {37, 19, 65}, {5, 130, 3}, {129, 1, 40}};
  bool right = true;
#pragma omp parallel
#pragma omp master
  for (const auto& [M, N, inner] : kShapes) {
    for (int transposes = 0; transposes < 4; ++transposes) {
      right = right && IsRight({(transposes & 1) != 0, (transposes & 2) != 0, M, N, inner});
    }
  }
  if (right) return true;
  *problem = BlasName() + " computes wrong matrix products on this processor. ";
  *problem += Chosen() == Library::kOpenBlas
                  ? "Set OPENBLAS_CORETYPE (for example to Haswell) or INGOT_BLAS=onednn in the environment."
                  : "Set INGOT_BLAS=openblas in the environment.";
  return false;
}

}  // namespace ingot
