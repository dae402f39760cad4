#include "kernels/qkv_rope.h"

#include "kernels/checks.h"

namespace ingot {
namespace {

// What forward and backward have in common; q, k, v are the gradients there.
void CheckHeads(const char* op, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& q_norm,
                const Tensor& k_norm, const Tensor& angles, const Tensor& positions) {
  const int64_t B = q.dim(0), H = q.dim(1), T = q.dim(2), D = q.dim(3), K = k.dim(1);
  INGOT_CHECK_SHAPE(q, B, H, T, D);
  INGOT_CHECK_SHAPE(k, B, K, T, D);
  INGOT_CHECK_SHAPE(v, B, K, T, D);
  INGOT_CHECK(q_norm.absent() == k_norm.absent(), "%s: q_norm and k_norm are given both or not at all", op);
  INGOT_CHECK_OPTIONAL_SHAPE(q_norm, D);
  INGOT_CHECK_OPTIONAL_SHAPE(k_norm, D);
  INGOT_CHECK(angles.absent() || !positions.absent(), "%s: angles need positions", op);
  INGOT_CHECK(angles.absent() || D % 2 == 0, "%s: heads of odd width %lld cannot be rotated", op,
              static_cast<long long>(D));
  INGOT_CHECK_OPTIONAL_SHAPE(angles, angles.dims[0], D / 2, 2);
  INGOT_CHECK_OPTIONAL_SHAPE(positions, B, T);
  INGOT_CHECK_DTYPE(positions, DType::kI32);
  CheckF32(op, {angles});
}

double Traffic(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& positions) {
  return static_cast<double>(Bytes(q) + Bytes(k) + Bytes(v) + Bytes(positions));
}

double Rotated(const Tensor& q, const Tensor& k) { return static_cast<double>(Count(q) + Count(k)); }

}  // namespace

void QkvRopeForward::Check() const {
  CheckHeads(kName, q, k, v, q_norm, k_norm, angles, positions);
  const int64_t B = q.dim(0), H = q.dim(1), T = q.dim(2), D = q.dim(3), K = k.dim(1);
  INGOT_CHECK_SHAPE(qkv, B, T, (H + 2 * K) * D);
  CheckFloats(kName, {qkv, q_norm, k_norm, q, k, v});
  CheckApart(kName, {q, k, v}, {qkv, q_norm, k_norm, angles, positions});
}

// Three operations an element for the rotation, four for the norm.
Work QkvRopeForward::Cost() const {
  return {.bytes = static_cast<double>(Bytes(qkv)) + Traffic(q, k, v, positions),
          .flops = ((angles.absent() ? 0 : 3) + (q_norm.absent() ? 0 : 4)) * Rotated(q, k)};
}

void QkvRopeBackward::Check() const {
  CheckHeads(kName, dq, dk, dv, q_norm, k_norm, angles, positions);
  const int64_t B = dq.dim(0), H = dq.dim(1), T = dq.dim(2), D = dq.dim(3), K = dk.dim(1);
  INGOT_CHECK(!qkv.absent() || q_norm.absent(), "qkv is needed with norms");
  INGOT_CHECK_OPTIONAL_SHAPE(qkv, B, T, (H + 2 * K) * D);
  INGOT_CHECK_SHAPE(dqkv, B, T, (H + 2 * K) * D);
  INGOT_CHECK(dq_norm.absent() == q_norm.absent() && dk_norm.absent() == k_norm.absent(),
              "a norm and its gradient are given both or not at all");
  INGOT_CHECK_OPTIONAL_SHAPE(dq_norm, D);
  INGOT_CHECK_OPTIONAL_SHAPE(dk_norm, D);
  CheckFloats(kName, {dq, dk, dv, qkv, q_norm, k_norm, dqkv});
  CheckF32(kName, {dq_norm, dk_norm});
  CheckApart(kName, {dqkv, dq_norm, dk_norm}, {dq, dk, dv, q_norm, k_norm, angles, positions});
  CheckApart(kName, {dq_norm, dk_norm}, {qkv});
  INGOT_CHECK_SAME_OR_APART(dqkv, qkv);
}

Work QkvRopeBackward::Cost() const {
  return {.bytes = static_cast<double>(Bytes(qkv) + Bytes(dqkv)) + Traffic(dq, dk, dv, positions),
          .flops = ((angles.absent() ? 0 : 3) + (q_norm.absent() ? 0 : 13)) * Rotated(dq, dk)};
}

}  // namespace ingot
