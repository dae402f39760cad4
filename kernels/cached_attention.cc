#include "kernels/cached_attention.h"

#include "kernels/checks.h"

namespace ingot {

void CachedAttention::Check() const {
  const int64_t H = q.dim(0), N = q.dim(1), D = q.dim(2), K = k_new.dim(0), P = k_cache.dim(1);
  INGOT_CHECK_SHAPE(k_new, K, N, D);
  INGOT_CHECK_SHAPE(v_new, K, N, D);
  INGOT_CHECK_SHAPE(k_cache, K, P, D);
  INGOT_CHECK_SHAPE(v_cache, K, P, D);
  INGOT_CHECK_SHAPE(y, N, H * D);
  INGOT_CHECK(K > 0 && H % K == 0, "%lld query heads do not divide among %lld key heads", static_cast<long long>(H),
              static_cast<long long>(K));
  CheckFloats(kName, {q, k_new, v_new, k_cache, v_cache, y});
  CheckApart(kName, {k_cache, v_cache, y}, {q, k_new, v_new});
  INGOT_CHECK(scale >= 0, "scale %g", static_cast<double>(scale));
  INGOT_CHECK(past >= 0 && past + N <= P, "%lld old and %lld new tokens in a cache of %lld",
              static_cast<long long>(past), static_cast<long long>(N), static_cast<long long>(P));
}

Work CachedAttention::Cost() const {
  const double N = static_cast<double>(q.dim(1)), keys = static_cast<double>(past) + N;
  const double width = static_cast<double>(k_new.dim(0) * k_new.dim(2));
  return {.bytes = 2 * keys * width * static_cast<double>(SizeOf(k_cache.dtype)) +
                   static_cast<double>(Bytes(q) + Bytes(k_new) + Bytes(v_new) + Bytes(y)),
          .flops = 4.0 * static_cast<double>(Count(q)) * (static_cast<double>(past) + (N + 1) / 2)};
}

}  // namespace ingot
