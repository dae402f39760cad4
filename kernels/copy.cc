#include "kernels/copy.h"

#include "kernels/checks.h"

namespace ingot {

void Copy::Check() const {
  INGOT_CHECK(Count(x) == Count(y), "copy: %lld elements into %lld", static_cast<long long>(Count(x)),
              static_cast<long long>(Count(y)));
  INGOT_CHECK(x.dtype == y.dtype, "copy: %s into %s", Name(x.dtype), Name(y.dtype));
  CheckApart(kName, {y}, {x});
}

Work Copy::Cost() const { return {.bytes = static_cast<double>(Bytes(x) + Bytes(y)), .flops = 0}; }

}  // namespace ingot
