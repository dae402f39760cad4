#include "kernels/cast.h"

#include "kernels/checks.h"

namespace ingot {

void Cast::Check() const {
  INGOT_CHECK(!x.absent() && !y.absent(), "cast: x or y is missing");
  INGOT_CHECK(x.rank == y.rank && x.dims == y.dims, "cast: x and y differ in shape");
  CheckFloats(kName, {x});
  CheckFloats(kName, {y});
  CheckApart(kName, {y}, {x});
}

Work Cast::Cost() const { return {.bytes = static_cast<double>(Bytes(x) + Bytes(y)), .flops = 0}; }

}  // namespace ingot
