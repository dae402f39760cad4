#include "kernels/cuda/runtime.h"
#include "kernels/cuda/tensor_map.h"
#include "tests/kernels/device_sm90.h"

namespace ingot {

bool CanRunSm90() { return cuda::SelectDevice(0).ok() && cuda::HasSm90(); }

OnSm90::OnSm90() : capability_before_(0) {}
OnSm90::~OnSm90() = default;

}  // namespace ingot
