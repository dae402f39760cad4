#include "core/base/check.h"
#include "kernels/cpu/onednn.h"

namespace ingot {

bool HasOneDnn() { return false; }

void OneDnnSgemm(bool, bool, int64_t, int64_t, int64_t, float, const float*, int64_t, const float*, int64_t, float,
                 float*, int64_t) {
  INGOT_CHECK(false, "this build has no oneDNN");
}

std::string OneDnnName() { return "none"; }

}  // namespace ingot
