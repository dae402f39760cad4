#include "kernels/cpu/onednn.h"

#include <dnnl.h>

#include "core/base/check.h"

namespace ingot {
namespace {

const char* IsaName(dnnl_cpu_isa_t isa) {
  switch (isa) {
    case dnnl_cpu_isa_avx512_core:
    case dnnl_cpu_isa_avx512_core_vnni:
    case dnnl_cpu_isa_avx512_core_bf16:
    case dnnl_cpu_isa_avx512_core_amx:
      return "AVX-512";
    case dnnl_cpu_isa_avx2:
    case dnnl_cpu_isa_avx2_vnni:
      return "AVX2";
    default:
      return "plain";
  }
}

}  // namespace

bool HasOneDnn() { return true; }

void OneDnnSgemm(bool transpose_a, bool transpose_b, int64_t M, int64_t N, int64_t inner, float alpha, const float* a,
                 int64_t stride_a, const float* b, int64_t stride_b, float beta, float* c, int64_t stride_c) {
  const dnnl_status_t status = dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', M, N, inner, alpha, a,
                                          stride_a, b, stride_b, beta, c, stride_c);
  INGOT_CHECK(status == dnnl_success, "dnnl_sgemm failed with status %d", static_cast<int>(status));
}

std::string OneDnnName() {
  const dnnl_version_t& version = *dnnl_version();
  return "oneDNN " + std::to_string(version.major) + "." + std::to_string(version.minor) + "." +
         std::to_string(version.patch) + " (" + IsaName(dnnl_get_effective_cpu_isa()) + ")";
}

}  // namespace ingot
