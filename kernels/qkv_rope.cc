#include "kernels/qkv_rope.h"

#include "kernels/cpu/row_blocks.h"

namespace ingot {
namespace {

// Shapes that both directions share: heads q, k, v and their joint rows.
void CheckShapes(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& joint, const Tensor& q_norm,
                 const Tensor& k_norm, const Tensor& angles, const Tensor& positions) {
  const int64_t B = q.dim(0), H = q.dim(1), T = q.dim(2), D = q.dim(3), K = k.dim(1);
  INGOT_CHECK_SHAPE(k, B, K, T, D);
  INGOT_CHECK_SHAPE(v, B, K, T, D);
  INGOT_CHECK_OPTIONAL_SHAPE(joint, B, T, (H + 2 * K) * D);
  INGOT_CHECK(q_norm.absent() == k_norm.absent(), "q_norm and k_norm come together");
  INGOT_CHECK_OPTIONAL_SHAPE(q_norm, D);
  INGOT_CHECK_OPTIONAL_SHAPE(k_norm, D);
  if (angles.absent()) return;
  INGOT_CHECK(D % 2 == 0, "rotation needs an even head width, not %lld", static_cast<long long>(D));
  INGOT_CHECK_SHAPE(angles, angles.dim(0), D / 2, 2);
  INGOT_CHECK_SHAPE(positions, B, T);
  INGOT_CHECK_DTYPE(positions, DType::kI32);
}

double Traffic(const Tensor& q, const Tensor& k, const Tensor& v) {
  return 2.0 * static_cast<double>(Bytes(q) + Bytes(k) + Bytes(v));
}

}  // namespace

void QkvRopeForward::Check() const {
  INGOT_CHECK(!qkv.absent(), "qkv is required");
  CheckShapes(q, k, v, qkv, q_norm, k_norm, angles, positions);
}

Work QkvRopeForward::Cost() const {
  const double rotated = static_cast<double>(Count(q) + Count(k));
  return {.bytes = Traffic(q, k, v),
          .flops = (angles.absent() ? 0 : 3) * rotated + (q_norm.absent() ? 0 : 4) * rotated};
}

void QkvRopeBackward::Check() const {
  INGOT_CHECK(!dqkv.absent(), "dqkv is required");
  CheckShapes(dq, dk, dv, dqkv, q_norm, k_norm, angles, positions);
  INGOT_CHECK(q_norm.absent() || !qkv.absent(), "with norms qkv is needed");
  CheckShapes(dq, dk, dv, qkv, dq_norm, dk_norm, angles, positions);
  INGOT_CHECK(q_norm.absent() == dq_norm.absent(), "norms and their gradients come together");
}

Work QkvRopeBackward::Cost() const {
  const double rotated = static_cast<double>(Count(dq) + Count(dk));
  return {.bytes = Traffic(dq, dk, dv) + (q_norm.absent() ? 0 : 4) * rotated,
          .flops = (angles.absent() ? 0 : 3) * rotated + (q_norm.absent() ? 0 : 11) * rotated};
}

int64_t QkvRopeBackward::ScratchBytes() const {
  if (q_norm.absent()) return 0;
  return 2 * Context::ScratchFor<float>(RowBlocks(dq.dim(0) * dq.dim(2)) * dq.dim(3));
}

}  // namespace ingot
