#include "kernels/quantize_fp8.h"

#include "kernels/cuda/fp8_tile.cuh"

namespace ingot {
namespace {

// Traffic: x read once.
template <typename Scalar>
struct Elements {
  const Scalar* x;
  int64_t C;
  template <int kCount>
  __device__ __forceinline__ void operator()(int64_t r, int64_t c, float (&values)[kCount]) const {
    LoadFloats(x + r * C + c, values);
  }
};

}  // namespace

void QuantizeFp8::OnCuda(Context& ctx) const {
  const int64_t C = x.dim(1);
  DispatchFloat(x.dtype, [&]<typename Scalar>() {
    LaunchFp8Tiles(Elements<Scalar>{x.data<Scalar>(), C}, InFp8Packs(C, {x}), y, ctx.stream());
  });
}

}  // namespace ingot
