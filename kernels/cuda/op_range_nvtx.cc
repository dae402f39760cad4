#include <nvtx3/nvToolsExt.h>

#include "kernels/cuda/op_range.h"

namespace ingot::cuda {

OpRange::OpRange(const char* name) { nvtxRangePushA(name); }
OpRange::~OpRange() { nvtxRangePop(); }

}  // namespace ingot::cuda
