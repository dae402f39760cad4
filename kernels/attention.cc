#include "kernels/attention.h"

#include "kernels/checks.h"

namespace ingot {
namespace {

void CheckHeads(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& document_start) {
  const int64_t B = q.dim(0), H = q.dim(1), T = q.dim(2), D = q.dim(3), K = k.dim(1);
  INGOT_CHECK_SHAPE(k, B, K, T, D);
  INGOT_CHECK_SHAPE(v, B, K, T, D);
  INGOT_CHECK_OPTIONAL_SHAPE(document_start, B, T);
  INGOT_CHECK_DTYPE(document_start, DType::kI32);
  INGOT_CHECK(K > 0 && H % K == 0, "%lld query heads do not divide among %lld key heads", static_cast<long long>(H),
              static_cast<long long>(K));
}

// Pairs of a query and a key it sees, without documents: B * H * T * (T + 1) / 2.
double CausalPairs(const Tensor& q) {
  const double T = static_cast<double>(q.dim(2));
  return static_cast<double>(q.dim(0) * q.dim(1)) * T * (T + 1) / 2;
}

}  // namespace

void AttentionForward::Check() const {
  CheckHeads(q, k, v, document_start);
  const int64_t B = q.dim(0), H = q.dim(1), T = q.dim(2), D = q.dim(3);
  INGOT_CHECK_SHAPE(y, B, T, H * D);
  INGOT_CHECK_SHAPE(lse, B, H, T);
  CheckFloats(kName, {q, k, v, y});
  CheckF32(kName, {lse});
  INGOT_CHECK(scale >= 0, "scale %g", static_cast<double>(scale));
  CheckApart(kName, {y, lse}, {q, k, v, document_start});
}

Work AttentionForward::Cost() const {
  return {.bytes = static_cast<double>(Bytes(q) + Bytes(k) + Bytes(v) + Bytes(y) + Bytes(lse)),
          .flops = 4.0 * static_cast<double>(q.dim(3)) * CausalPairs(q)};
}

void AttentionBackward::Check() const {
  CheckHeads(q, k, v, document_start);
  const int64_t B = q.dim(0), H = q.dim(1), T = q.dim(2), D = q.dim(3), K = k.dim(1);
  INGOT_CHECK_SHAPE(dy, B, T, H * D);
  INGOT_CHECK_SHAPE(y, B, T, H * D);
  INGOT_CHECK_SHAPE(lse, B, H, T);
  INGOT_CHECK_SHAPE(dq, B, H, T, D);
  INGOT_CHECK_SHAPE(dk, B, K, T, D);
  INGOT_CHECK_SHAPE(dv, B, K, T, D);
  CheckFloats(kName, {dy, q, k, v, y, dq, dk, dv});
  CheckF32(kName, {lse});
  INGOT_CHECK(scale >= 0, "scale %g", static_cast<double>(scale));
  CheckApart(kName, {dq, dk, dv}, {dy, q, k, v, document_start, y, lse});
}

Work AttentionBackward::Cost() const {
  const double inputs = static_cast<double>(Bytes(dy) + Bytes(q) + Bytes(k) + Bytes(v) + Bytes(y) + Bytes(lse));
  return {.bytes = inputs + static_cast<double>(Bytes(dq) + Bytes(dk) + Bytes(dv)),
          .flops = 10.0 * static_cast<double>(q.dim(3)) * CausalPairs(q)};
}

}  // namespace ingot
