#include "kernels/qkv_rope.h"

#include <cmath>

#include "kernels/cpu/row_blocks.h"

namespace ingot {
namespace {

// (a, b) -> (a cos - b sin, b cos + a sin) for the D/2 pairs of a head; `angles` holds cosine and sine by turns, and
// `direction` is -1 to turn back.
void Rotate(const float* x, const float* angles, float direction, int64_t D, float* out) {
  const int64_t half = D / 2;
  for (int64_t j = 0; j < half; ++j) {
    const float cosine = angles[2 * j], sine = direction * angles[2 * j + 1];
    const float a = x[j], b = x[j + half];
    out[j] = a * cosine - b * sine;
    out[j + half] = b * cosine + a * sine;
  }
}

float RootMeanSquareInverse(const float* x, int64_t D, float eps) {
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t d = 0; d < D; ++d) squares += x[d] * x[d];
  return 1.0f / std::sqrt(squares / static_cast<float>(D) + eps);
}

// One query or key head; norm and angles may be null.
void ForwardHead(const float* x, const float* norm, const float* angles, float eps, int64_t D, float* out) {
  if (norm != nullptr) {
    const float rstd = RootMeanSquareInverse(x, D, eps);
    for (int64_t d = 0; d < D; ++d) out[d] = x[d] * rstd * norm[d];
    x = out;
  }
  if (angles != nullptr) {
    Rotate(x, angles, 1, D, out);
  } else if (x != out) {
    std::copy(x, x + D, out);
  }
}

// The way back: dout -> dx; dnorm += this head's share.
void BackwardHead(const float* dout, const float* x, const float* norm, const float* angles, float eps, int64_t D,
                  float* dx, float* dnorm) {
  if (norm == nullptr) {
    if (angles != nullptr) {
      Rotate(dout, angles, -1, D, dx);
    } else {
      std::copy(dout, dout + D, dx);
    }
    return;
  }
  constexpr int64_t kWidest = 1024;
  INGOT_CHECK(D <= kWidest, "head width %lld", static_cast<long long>(D));
  float turned[kWidest];
  if (angles != nullptr) {
    Rotate(dout, angles, -1, D, turned);
    dout = turned;
  }
  const float rstd = RootMeanSquareInverse(x, D, eps);
  float dot = 0;
#pragma omp simd reduction(+ : dot)
  for (int64_t d = 0; d < D; ++d) dot += dout[d] * norm[d] * x[d];
  const float pull = dot / static_cast<float>(D) * rstd * rstd;
  for (int64_t d = 0; d < D; ++d) {
    const float value = x[d];  // dx may be x
    dnorm[d] += dout[d] * value * rstd;
    dx[d] = rstd * (dout[d] * norm[d] - value * pull);
  }
}

}  // namespace

void QkvRopeForward::OnCpu(Context&) const {
  const int64_t B = q.dim(0), H = q.dim(1), T = q.dim(2), D = q.dim(3), K = k.dim(1);
  const float* const norms[] = {q_norm.data<float>(), k_norm.data<float>()};
#pragma omp parallel for if (Count(qkv) > kParallelElements)
  for (int64_t row = 0; row < B * T; ++row) {
    const int64_t b = row / T, t = row % T;
    const float* const heads = qkv.data<float>() + row * (H + 2 * K) * D;
    const float* const turn = angles.absent() ? nullptr : angles.data<float>() + positions.data<int32_t>()[row] * D;
    for (int64_t h = 0; h < H; ++h) {
      ForwardHead(heads + h * D, norms[0], turn, eps, D, q.data<float>() + ((b * H + h) * T + t) * D);
    }
    for (int64_t j = 0; j < K; ++j) {
      const int64_t place = ((b * K + j) * T + t) * D;
      ForwardHead(heads + (H + j) * D, norms[1], turn, eps, D, k.data<float>() + place);
      ForwardHead(heads + (H + K + j) * D, nullptr, nullptr, eps, D, v.data<float>() + place);
    }
  }
}

void QkvRopeBackward::OnCpu(Context& ctx) const {
  const int64_t B = dq.dim(0), H = dq.dim(1), T = dq.dim(2), D = dq.dim(3), K = dk.dim(1), R = B * T;
  const int64_t blocks = RowBlocks(R), width = (H + 2 * K) * D;
  const bool norms = !q_norm.absent();
  float* const dq_norms = norms ? ctx.Scratch<float>(blocks * D) : nullptr;
  float* const dk_norms = norms ? ctx.Scratch<float>(blocks * D) : nullptr;
#pragma omp parallel for if (Count(dqkv) > kParallelElements)
  for (int64_t block = 0; block < blocks; ++block) {
    float* const dq_block = norms ? dq_norms + block * D : nullptr;
    float* const dk_block = norms ? dk_norms + block * D : nullptr;
    if (norms) std::fill(dq_block, dq_block + D, 0.0f);
    if (norms) std::fill(dk_block, dk_block + D, 0.0f);
    for (int64_t row = block * kRowsPerBlock; row < std::min((block + 1) * kRowsPerBlock, R); ++row) {
      const int64_t b = row / T, t = row % T;
      const float* const x = norms ? qkv.data<float>() + row * width : nullptr;
      float* const out = dqkv.data<float>() + row * width;
      const float* const turn = angles.absent() ? nullptr : angles.data<float>() + positions.data<int32_t>()[row] * D;
      for (int64_t h = 0; h < H; ++h) {
        BackwardHead(dq.data<float>() + ((b * H + h) * T + t) * D, norms ? x + h * D : nullptr, q_norm.data<float>(),
                     turn, eps, D, out + h * D, dq_block);
      }
      for (int64_t j = 0; j < K; ++j) {
        const int64_t place = ((b * K + j) * T + t) * D;
        BackwardHead(dk.data<float>() + place, norms ? x + (H + j) * D : nullptr, k_norm.data<float>(), turn, eps, D,
                     out + (H + j) * D, dk_block);
        BackwardHead(dv.data<float>() + place, nullptr, nullptr, nullptr, eps, D, out + (H + K + j) * D, nullptr);
      }
    }
  }
  if (!norms) return;
  FoldBlocks(dq_norms, blocks, D, dq_norm.data<float>());
  FoldBlocks(dk_norms, blocks, D, dk_norm.data<float>());
}

}  // namespace ingot
