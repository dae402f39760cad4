#include "kernels/cpu/flush_to_zero.h"

#include "gtest/gtest.h"

#ifdef __x86_64__
#include <immintrin.h>

namespace ingot {
namespace {

TEST(FlushToZero, EveryThreadWritesAndReadsDenormalsAsZero) {
  const unsigned before = _mm_getcsr();
  SetFlushToZero();
  int flushed = 0, threads = 0;
#pragma omp parallel reduction(+ : flushed, threads)
  {
    volatile float small = 0x1p-100f, denormal = 0x1p-140f;
    const bool writes = small * 0x1p-40f == 0.0f;
    const bool reads = denormal * 0x1p100f == 0.0f;
    flushed += writes && reads;
    ++threads;
    _mm_setcsr(before);  // the other tests of this process have denormals
  }
  EXPECT_EQ(flushed, threads);
}

}  // namespace
}  // namespace ingot
#endif
