#include "kernels/fill.h"

#include "kernels/checks.h"

namespace ingot {

void Fill::Check() const {
  INGOT_CHECK(!y.absent(), "fill: y is missing");
  CheckFloats(kName, {y});
}

Work Fill::Cost() const { return {.bytes = static_cast<double>(Bytes(y)), .flops = 0}; }

}  // namespace ingot
