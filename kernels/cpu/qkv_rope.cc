#include "kernels/qkv_rope.h"

#include <algorithm>
#include <cmath>

#include "kernels/checks.h"
#include "kernels/cpu/rows.h"

namespace ingot {
namespace {

// One of q, k and v, or its gradient: `heads` heads of which the first stands at `first` in a row of qkv.
struct Part {
  float* data;        // (B, heads, T, D)
  const float* norm;  // (D) or null
  float* dnorm;       // (D) or null
  int64_t heads, first;
  bool rotates;
};

// `out` may be `in`. direction -1 rotates back.
void Rotate(const float* in, const float* angles, float direction, int64_t D, float* out) {
  const int64_t half = D / 2;
#pragma omp simd
  for (int64_t j = 0; j < half; ++j) {
    const float cosine = angles[2 * j], sine = direction * angles[2 * j + 1], a = in[j], b = in[j + half];
    out[j] = a * cosine - b * sine;
    out[j + half] = b * cosine + a * sine;
  }
}

float Rstd(const float* u, int64_t D, float eps) {
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t d = 0; d < D; ++d) squares += u[d] * u[d];
  return 1.0f / std::sqrt(squares / static_cast<float>(D) + eps);
}

void ForwardHead(const float* u, const float* norm, const float* angles, int64_t D, float eps, float* out) {
  if (norm != nullptr) {
    const float rstd = Rstd(u, D, eps);
#pragma omp simd
    for (int64_t d = 0; d < D; ++d) out[d] = u[d] * rstd * norm[d];
    u = out;
  }
  if (angles != nullptr) {
    Rotate(u, angles, 1.0f, D, out);
  } else if (u != out) {
    std::copy_n(u, D, out);
  }
}

// `du` may be `u`.
void NormBackward(const float* dn, const float* u, const float* norm, int64_t D, float eps, float* du, float* dnorm) {
  const float rstd = Rstd(u, D, eps);
  float dot = 0;
#pragma omp simd reduction(+ : dot)
  for (int64_t d = 0; d < D; ++d) dot += dn[d] * norm[d] * u[d];
  const float pull = dot / static_cast<float>(D) * rstd * rstd;
#pragma omp simd
  for (int64_t d = 0; d < D; ++d) {
    const float x = u[d];
    dnorm[d] += dn[d] * x * rstd;
    du[d] = rstd * (dn[d] * norm[d] - x * pull);
  }
}

// Of row r = (b, t): where its head h of a part begins, and its angles.
int64_t HeadBegin(const Part& part, int64_t r, int64_t h, int64_t T, int64_t D) {
  return ((r / T * part.heads + h) * T + r % T) * D;
}
const float* AnglesOfRow(const Tensor& angles, const Tensor& positions, int64_t r, int64_t D) {
  return angles.absent() ? nullptr : angles.data<float>() + positions.data<int32_t>()[r] * D;
}

}  // namespace

void QkvRopeForward::OnCpu(Context&) const {
  CheckMemory(kName, {qkv, q_norm, k_norm, angles, positions, q, k, v});
  if (!angles.absent()) CheckIndices(kName, positions, angles.dim(0));
  const int64_t H = q.dim(1), T = q.dim(2), D = q.dim(3), K = k.dim(1), R = q.dim(0) * T, row = (H + 2 * K) * D;
  const float* const in = qkv.data<float>();
  const Part parts[] = {{q.data<float>(), q_norm.data<float>(), nullptr, H, 0, true},
                        {k.data<float>(), k_norm.data<float>(), nullptr, K, H, true},
                        {v.data<float>(), nullptr, nullptr, K, H + K, false}};
#pragma omp parallel for if (WorthThreads(R * row))
  for (int64_t r = 0; r < R; ++r) {
    const float* const row_angles = AnglesOfRow(angles, positions, r, D);
    for (const Part& part : parts) {
      for (int64_t h = 0; h < part.heads; ++h) {
        ForwardHead(in + r * row + (part.first + h) * D, part.norm, part.rotates ? row_angles : nullptr, D, eps,
                    part.data + HeadBegin(part, r, h, T, D));
      }
    }
  }
}

// With norms, each block of rows has its sums of dq_norm and dk_norm there and room for the gradient of one head.
int64_t QkvRopeBackward::ScratchBytes() const {
  const int64_t blocks = RowBlocks(dq.dim(0) * dq.dim(2)).count;
  return q_norm.absent() ? 0 : Context::ScratchFor<float>(blocks * 3 * dq.dim(3));
}

void QkvRopeBackward::OnCpu(Context& ctx) const {
  CheckMemory(kName, {dq, dk, dv, qkv, q_norm, k_norm, angles, positions, dqkv, dq_norm, dk_norm});
  if (!angles.absent()) CheckIndices(kName, positions, angles.dim(0));
  const int64_t H = dq.dim(1), T = dq.dim(2), D = dq.dim(3), K = dk.dim(1), row = (H + 2 * K) * D;
  const Pieces blocks = RowBlocks(dq.dim(0) * T);
  const bool norms = !q_norm.absent();
  const float* const in = qkv.data<float>();
  float* const din = dqkv.data<float>();
  float* const scratch = norms ? ctx.Scratch<float>(blocks.count * 3 * D) : nullptr;
#pragma omp parallel for if (WorthThreads(blocks.total * row))
  for (int64_t block = 0; block < blocks.count; ++block) {
    float* const sums = norms ? scratch + block * 3 * D : nullptr;
    if (norms) std::fill_n(sums, 2 * D, 0.0f);
    const Part parts[] = {{dq.data<float>(), q_norm.data<float>(), sums, H, 0, true},
                          {dk.data<float>(), k_norm.data<float>(), norms ? sums + D : nullptr, K, H, true},
                          {dv.data<float>(), nullptr, nullptr, K, H + K, false}};
    for (int64_t r = blocks.begin(block); r < blocks.begin(block) + blocks.length(block); ++r) {
      const float* const row_angles = AnglesOfRow(angles, positions, r, D);
      for (const Part& part : parts) {
        for (int64_t h = 0; h < part.heads; ++h) {
          const float* dn = part.data + HeadBegin(part, r, h, T, D);
          const int64_t head = r * row + (part.first + h) * D;
          float* const rotated = part.norm != nullptr ? sums + 2 * D : din + head;
          if (part.rotates && row_angles != nullptr) {
            Rotate(dn, row_angles, -1.0f, D, rotated);
            dn = rotated;
          }
          if (part.norm != nullptr) {
            NormBackward(dn, in + head, part.norm, D, eps, din + head, part.dnorm);
          } else if (dn != rotated) {
            std::copy_n(dn, D, rotated);
          }
        }
      }
    }
  }
  if (!norms) return;
  AddPartials(scratch, blocks.count, 3 * D, D, dq_norm.data<float>());
  AddPartials(scratch + D, blocks.count, 3 * D, D, dk_norm.data<float>());
}

}  // namespace ingot
