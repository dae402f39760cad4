#include "kernels/add.h"

#include "kernels/checks.h"
#include "kernels/cpu/rows.h"

namespace ingot {

void Add::OnCpu(Context&) const {
  CheckMemory(kName, {x, y});
  const float* const in = x.data<float>();
  float* const out = y.data<float>();
  const int64_t N = Count(x);
#pragma omp parallel for simd if (WorthThreads(N))
  for (int64_t n = 0; n < N; ++n) out[n] += in[n];
}

void AddAndClear::OnCpu(Context&) const {
  CheckMemory(kName, {x, y});
  float *const in = x.data<float>(), *const out = y.data<float>();
  const int64_t N = Count(x);
#pragma omp parallel for simd if (WorthThreads(N))
  for (int64_t n = 0; n < N; ++n) {
    out[n] += in[n];
    in[n] = 0;
  }
}

}  // namespace ingot
