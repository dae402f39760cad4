#include "kernels/cpu/flush_to_zero.h"

#include "gtest/gtest.h"

#ifdef __x86_64__
#include <immintrin.h>

namespace ingot {
namespace {

volatile float small = 0x1p-100f, denormal = 0x1p-140f;

// A call of its own: compilers move plain arithmetic across changes of the control register.
[[gnu::noinline]] int Flushes() {
  const volatile float written = small * 0x1p-40f, read = denormal * 0x1p100f;
  return written == 0.0f && read == 0.0f;
}

TEST(FlushToZero, EveryThreadWritesAndReadsDenormalsAsZero) {
  const unsigned before = _mm_getcsr();
  SetFlushToZero();
  int flushed = 0, threads = 0;
#pragma omp parallel reduction(+ : flushed, threads)
  {
    flushed += Flushes();
    ++threads;
  }
#pragma omp parallel
  _mm_setcsr(before);  // the other tests of this process have denormals
  EXPECT_EQ(flushed, threads);
}

}  // namespace
}  // namespace ingot
#endif
