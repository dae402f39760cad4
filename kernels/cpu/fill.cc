#include "kernels/fill.h"

#include "kernels/cpu/row_blocks.h"

namespace ingot {

void Fill::OnCpu(Context&) const {
  const int64_t N = Count(y);
  float* const out = y.data<float>();
#pragma omp parallel for simd if (parallel : N > kParallelElements)
  for (int64_t n = 0; n < N; ++n) out[n] = value;
}

}  // namespace ingot
