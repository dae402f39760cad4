#include "kernels/cuda/gemm.h"

#include <cstdlib>

#include "kernels/checks.h"

namespace ingot::cuda {

GemmWish WishedGemm() {
  const char* const variable = std::getenv("INGOT_GEMM");
  const std::string wish = variable == nullptr ? "" : variable;
  if (wish.empty()) return GemmWish::kNone;
  if (wish == "tiled") return GemmWish::kTiled;
  INGOT_CHECK(wish == "sm90", "INGOT_GEMM is '%s'; it must be one of: tiled, sm90", wish.c_str());
  return GemmWish::kSm90;
}

void Gemm::Check() const {
  if (transpose_a) {
    INGOT_CHECK_SHAPE(a, K(), M());
  } else {
    INGOT_CHECK_SHAPE(a, M(), K());
  }
  if (transpose_b) {
    INGOT_CHECK_SHAPE(b, N(), K());
  } else {
    INGOT_CHECK_SHAPE(b, K(), N());
  }
  INGOT_CHECK_SHAPE(c, M(), N());
  INGOT_CHECK_OPTIONAL_SHAPE(bias, N());
  CheckFloats("gemm", {a, b});
  INGOT_CHECK(c.dtype == DType::kF32 || c.dtype == a.dtype, "gemm: %s operands and a %s product", Name(a.dtype),
              Name(c.dtype));
  INGOT_CHECK_DTYPE(bias, c.dtype);
  INGOT_CHECK(aux.absent() == (epilogue == GemmEpilogue::kNone), "gemm: an epilogue and its aux come together");
  INGOT_CHECK_OPTIONAL_SHAPE(aux, M(), N());
  INGOT_CHECK_DTYPE(aux, c.dtype);
  INGOT_CHECK_OPTIONAL_SHAPE(a_sums, M());
  CheckF32("gemm", {a_sums});
  const bool vectors = bias.absent() || a_sums.absent();
  INGOT_CHECK(vectors && (epilogue == GemmEpilogue::kNone || (a_sums.absent() && beta == 0)),
              "gemm: a_sums stand alone, and an epilogue overwrites c");
  INGOT_CHECK(epilogue != GemmEpilogue::kGeluGradient || bias.absent(), "gemm: the gradient of GELU has no bias");
  CheckApart("gemm", {c, a_sums}, {a, b, bias, aux});
}

}  // namespace ingot::cuda
