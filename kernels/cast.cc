#include "kernels/cast.h"

#include "kernels/checks.h"

namespace ingot {

void Cast::Check() const {
  INGOT_CHECK(Count(x) == Count(y), "cast: %lld elements into %lld", static_cast<long long>(Count(x)),
              static_cast<long long>(Count(y)));
  INGOT_CHECK(
      (x.dtype == DType::kF32 && y.dtype == DType::kBf16) || (x.dtype == DType::kBf16 && y.dtype == DType::kF32),
      "cast: from f32 to bf16 or back, not from %s to %s", Name(x.dtype), Name(y.dtype));
  CheckApart(kName, {y}, {x});
}

Work Cast::Cost() const { return {.bytes = static_cast<double>(Bytes(x) + Bytes(y)), .flops = 0}; }

}  // namespace ingot
