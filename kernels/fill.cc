#include "kernels/fill.h"

namespace ingot {

void Fill::Check() const { INGOT_CHECK(!y.absent(), "y is required"); }

Work Fill::Cost() const { return {.bytes = static_cast<double>(Bytes(y)), .flops = 0}; }

}  // namespace ingot
