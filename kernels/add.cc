#include "kernels/add.h"

#include "kernels/checks.h"

namespace ingot {

void Add::Check() const {
  INGOT_CHECK(Count(x) == Count(y), "add: %lld elements to %lld", static_cast<long long>(Count(x)),
              static_cast<long long>(Count(y)));
  INGOT_CHECK_DTYPE(x, DType::kF32);
  INGOT_CHECK_DTYPE(y, DType::kF32);
  CheckApart(kName, {y}, {x});
}

Work Add::Cost() const {
  return {.bytes = static_cast<double>(Bytes(x) + 2 * Bytes(y)), .flops = static_cast<double>(Count(x))};
}

}  // namespace ingot
