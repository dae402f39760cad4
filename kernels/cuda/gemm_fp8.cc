#include "kernels/cuda/gemm_fp8.h"

#include "kernels/checks.h"

namespace ingot::cuda {
namespace {

void CheckOperand(const Fp8Operand& x) {
  INGOT_CHECK(x.values.dtype == DType::kE4m3 || x.values.dtype == DType::kE5m2,
              "gemm of fp8: an operand is %s, not e4m3 or e5m2", Name(x.values.dtype));
  INGOT_CHECK(x.scales != nullptr || Count(x.values) == 0, "gemm of fp8: an operand has no scales");
}

}  // namespace

void GemmFp8::Check() const {
  constexpr int64_t kTerms = 16;  // that begin at 16 bytes
  INGOT_CHECK_SHAPE(a.values, M(), K());
  INGOT_CHECK_SHAPE(b.values, N(), K());
  INGOT_CHECK_SHAPE(c, M(), N());
  INGOT_CHECK_OPTIONAL_SHAPE(bias, N());
  INGOT_CHECK(K() > 0 && K() % kTerms == 0, "gemm of fp8: sums have %lld terms; a multiple of 16 is needed",
              static_cast<long long>(K()));
  CheckOperand(a);
  CheckOperand(b);
  CheckFloats("gemm of fp8", {c, bias});
  INGOT_CHECK(beta == 0 || beta == 1, "gemm of fp8: beta is %g, not 0 or 1", static_cast<double>(beta));
  CheckApart("gemm of fp8", {c}, {a.values, b.values, bias});
}

}  // namespace ingot::cuda
