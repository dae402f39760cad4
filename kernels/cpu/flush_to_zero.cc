#include "kernels/cpu/flush_to_zero.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace ingot {

void SetFlushToZero() {
#pragma omp parallel
  {
#if defined(__x86_64__)
    _mm_setcsr(_mm_getcsr() | 0x8040u);  // FTZ and DAZ
#elif defined(__aarch64__)
    unsigned long control;
    asm volatile("mrs %0, fpcr" : "=r"(control));
    asm volatile("msr fpcr, %0" : : "r"(control | (1ul << 24)));  // FZ
#endif
  }
}

}  // namespace ingot
