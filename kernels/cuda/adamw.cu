#include "kernels/adamw.h"

#include "kernels/adamw_factors.h"
#include "kernels/cuda/packs.cuh"

namespace ingot {
namespace {

// Memory plan: element-wise, a thread owns 8 elements. Traffic: w, gradient, m, v read, w, m, v written once (28 bytes an
// element, 20 with bf16 moments), and 2 bytes for the bf16 copy.
template <typename Moment, int kWidth>
__global__ void AdamWKernel(float* w, const float* gradient, Moment* m, Moment* v, Bf16* w_bf16, AdamWFactors k,
                            AdamWRounding rounding, int64_t N) {
  ForMyPack<kWidth>(N, [&]<int kCount>(int64_t n) {
    float weights[kCount], g[kCount], first[kCount], second[kCount];
    LoadFloats(w + n, weights);
    LoadFloats(gradient + n, g);
    LoadFloats(m + n, first);
    LoadFloats(v + n, second);
    for (int i = 0; i < kCount; ++i) {
      const float scaled = k.scale * g[i];
      first[i] = k.beta1 * first[i] + k.new1 * scaled;
      second[i] = k.beta2 * second[i] + k.new2 * scaled * scaled;
      weights[i] = weights[i] * k.keep - k.rate * first[i] / (Sqrt(second[i]) * k.root + k.eps);
    }
    if constexpr (sizeof(Moment) == sizeof(Bf16)) rounding.Round(n, first, second);
    StoreFloats(w + n, weights);
    StoreFloats(m + n, first);
    StoreFloats(v + n, second);
    if (w_bf16 != nullptr) StoreFloats(w_bf16 + n, weights);
  });
}

}  // namespace

void AdamW::OnCuda(Context& ctx) const {
  const int64_t N = Count(w);
  if (N == 0) return;
  const bool in_packs = InPacks(DType::kBf16, 0, {w, gradient, m, v, w_bf16});
  DispatchFloat(m.dtype, [&]<typename Moment>() {
    const auto launch = [&](auto kernel, int width) {
      Launch(kernel, FlatLaunch(N, width, ctx.stream()), w.data<float>(), gradient.data<float>(), m.data<Moment>(),
             v.data<Moment>(), w_bf16.data<Bf16>(), AdamWFactors(*this), AdamWRounding(*this), N);
    };
    in_packs ? launch(AdamWKernel<Moment, 8>, 8) : launch(AdamWKernel<Moment, 1>, 1);
  });
}

}  // namespace ingot
