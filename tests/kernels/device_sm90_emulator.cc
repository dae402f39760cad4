#include <cstdlib>

#include "kernels/emulator/options.h"
#include "tests/kernels/device_sm90.h"

namespace ingot {

bool CanRunSm90() { return true; }

OnSm90::OnSm90() : capability_before_(emulator::Capability()) {
  emulator::SetCapability(90);
  setenv("INGOT_GEMM", "sm90", 1);
}

OnSm90::~OnSm90() {
  unsetenv("INGOT_GEMM");
  emulator::SetCapability(capability_before_);
}

}  // namespace ingot
