#include "kernels/copy.h"

#include <cstring>

#include "kernels/checks.h"

namespace ingot {

void Copy::OnCpu(Context&) const {
  CheckMemory(kName, {x, y});
  if (Count(x) > 0) std::memcpy(y.ptr, x.ptr, static_cast<size_t>(Bytes(x)));
}

}  // namespace ingot
