#include "kernels/fill.h"

#include "kernels/checks.h"
#include "kernels/cpu/rows.h"

namespace ingot {

void Fill::OnCpu(Context&) const {
  CheckMemory(kName, {y});
  float* const out = y.data<float>();
  const int64_t N = Count(y);
#pragma omp parallel for simd if (WorthThreads(N))
  for (int64_t n = 0; n < N; ++n) out[n] = value;
}

}  // namespace ingot
