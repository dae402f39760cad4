#include "kernels/cast.h"

#include "kernels/checks.h"
#include "kernels/cpu/rows.h"

namespace ingot {

void Cast::OnCpu(Context&) const {
  CheckMemory(kName, {x, y});
  const int64_t N = Count(x);
  if (x.dtype == DType::kF32) {
    const float* const in = x.data<float>();
    Bf16* const out = y.data<Bf16>();
#pragma omp parallel for if (WorthThreads(N))
    for (int64_t n = 0; n < N; ++n) out[n] = ToBf16(in[n]);
  } else {
    const Bf16* const in = x.data<Bf16>();
    float* const out = y.data<float>();
#pragma omp parallel for if (WorthThreads(N))
    for (int64_t n = 0; n < N; ++n) out[n] = ToFloat(in[n]);
  }
}

}  // namespace ingot
