#include "kernels/cpu/blas.h"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "tests/kernels/op_test.h"

namespace ingot {
namespace {

TEST(Blas, IsRightAndHasAName) {
  std::string problem;
  EXPECT_TRUE(BlasIsRight(&problem)) << problem;
  EXPECT_THAT(BlasName(), testing::MatchesRegex("(OpenBLAS|oneDNN) [0-9.]+ \\(.+\\)"));
}

TEST(Blas, RefusesAnUnknownWish) {
  const char* const before = std::getenv("INGOT_BLAS");
  const std::string kept = before == nullptr ? "" : before;
  setenv("INGOT_BLAS", "mkl", 1);
  std::string problem;
  EXPECT_FALSE(BlasIsRight(&problem));
  EXPECT_EQ(problem, "INGOT_BLAS must be openblas or onednn, not 'mkl'");
  before == nullptr ? unsetenv("INGOT_BLAS") : setenv("INGOT_BLAS", kept.c_str(), 1);
}

// With beta = 0 the output is written, whatever it held; nothing beside it is touched.
TEST(Blas, OutputIsWrittenNotRead) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const int64_t M : {1, 2, 17, 64}) {
    for (const bool transpose : {false, true}) {
      const int64_t N = 5, inner = 33, stride = 8;
      const Floats a(M * inner, 1.0f), b(inner * N, 2.0f);
      Floats c(M * stride, nan);
#pragma omp parallel
#pragma omp master
      Sgemm(false, transpose, M, N, inner, 1, a.data(), inner, b.data(), transpose ? inner : N, 0, c.data(), stride);
      for (int64_t i = 0; i < M * stride; ++i) {
        if (i % stride < N) {
          EXPECT_EQ(c[i], 66.0f);
        } else {
          EXPECT_TRUE(std::isnan(c[i]));
        }
      }
    }
  }
}

// A panel inside a parallel region has the same bits with any number of threads: the libraries compute on one thread.
TEST(Blas, PanelsAreSingleThreaded) {
  const int64_t M = 200, N = 300, inner = 1000;
  const Floats a = Normal(M * inner, 1), b = Normal(N * inner, 2);
  ExpectSameBitsForThreads([&] {
    Floats c(M * N);
#pragma omp parallel
#pragma omp master
    Sgemm(false, true, M, N, inner, 1, a.data(), inner, b.data(), inner, 0, c.data(), N);
    return c;
  });
}

}  // namespace
}  // namespace ingot
