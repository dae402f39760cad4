#include "kernels/cast.h"

#include "kernels/checks.h"
#include "kernels/cpu/rows.h"

namespace ingot {
namespace {

float Rounded(float value, float) { return value; }
Bf16 Rounded(float value, Bf16) { return ToBf16(value); }
float Widened(float value) { return value; }
float Widened(Bf16 value) { return ToFloat(value); }

template <typename From, typename To>
void Convert(const Tensor& x, const Tensor& y) {
  const From* const in = x.data<From>();
  To* const out = y.data<To>();
  const int64_t N = Count(x);
#pragma omp parallel for simd if (WorthThreads(N))
  for (int64_t n = 0; n < N; ++n) out[n] = Rounded(Widened(in[n]), To{});
}

template <typename From>
void ConvertFrom(const Tensor& x, const Tensor& y) {
  y.dtype == DType::kF32 ? Convert<From, float>(x, y) : Convert<From, Bf16>(x, y);
}

}  // namespace

void Cast::OnCpu(Context&) const {
  CheckMemory(kName, {x, y});
  x.dtype == DType::kF32 ? ConvertFrom<float>(x, y) : ConvertFrom<Bf16>(x, y);
}

}  // namespace ingot
