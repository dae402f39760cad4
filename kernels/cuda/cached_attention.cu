#include "kernels/cached_attention.h"

#include "kernels/checks.h"
#include "kernels/cuda/attention_args.h"
#include "kernels/cuda/device.cuh"

namespace ingot {
namespace {

// Memory plan: the new keys and values are appended first, by a kernel of their own. Several new tokens (a prompt) then
// take the training kernels of attention_forward.cu. One new token is bound by reading the cache once: a block owns kKeys
// keys of one key head for kHeads query heads of its group, so that many blocks share a long cache, and leaves its
// softmax's maximum, sum and unnormalised y in scratch; a second kernel joins the pieces of a head in order.
//   registers  a thread is a key for the scores (its row read in 16-byte packs), a column for the sums over keys
//   shared     the queries and the probabilities of the piece, as floats
//   traffic    cache once (for each kHeads heads of a group); pieces: (D + 2) floats a head and kKeys keys
constexpr int kKeys = 128;
constexpr int kThreads = kKeys;
constexpr int kHeads = 8;

struct DecodeArgs {
  int H, K, D, P, keys;  // keys: old ones and the new one
  float scale;
};

// Of the scores of one piece: the largest, and the sum of exp(score - max).
struct Piece {
  float max, sum;
};

struct DecodeShared {
  float q[kHeads][kMaxPlainWidth];
  float p[kHeads][kKeys];
  float reduced[32];
};

// The new tokens' `row` elements of each head go to `past` elements behind the beginning of a cache head of `stride`.
template <typename Scalar>
__global__ void AppendKernel(const Scalar* k_new, const Scalar* v_new, Scalar* k_cache, Scalar* v_cache, int64_t count,
                             int64_t row, int64_t stride, int64_t past) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const int64_t to = i / row * stride + past + i % row;
  k_cache[to] = k_new[i];
  v_cache[to] = v_new[i];
}

// scores[h] = q[h] . row, in the order of d.
template <typename Scalar>
__device__ __forceinline__ void Dot(float (&scores)[kHeads], const float (&q)[kHeads][kMaxPlainWidth],
                                    const Scalar* row, int D) {
  for (int h = 0; h < kHeads; ++h) scores[h] = 0;
  for (int d = 0; d < D; d += Vec16<Scalar>::kSize) {
    const Vec16<Scalar> k = Load16(row + d, D - d);
#pragma unroll
    for (int i = 0; i < Vec16<Scalar>::kSize; ++i) {
#pragma unroll
      for (int h = 0; h < kHeads; ++h) scores[h] += q[h][d + i] * ToFloat(k[i]);
    }
  }
}

// Grid (pieces, K, groups of kHeads heads). Heads behind the group's last one compute with q = 0 and store nothing.
template <typename Scalar>
__global__ void __launch_bounds__(kThreads) PieceKernel(const Scalar* q, const Scalar* k_cache, const Scalar* v_cache,
                                                        float* sums, Piece* pieces, const DecodeArgs args) {
  auto& s = SharedStorage<DecodeShared>();
  const int thread = static_cast<int>(threadIdx.x), group = args.H / args.K, D = args.D;
  const int first_head = static_cast<int>(blockIdx.z) * kHeads, heads = Min(kHeads, group - first_head);
  const int64_t head = int64_t{blockIdx.y} * group + first_head, cache = int64_t{blockIdx.y} * args.P * D;
  const int first = static_cast<int>(blockIdx.x) * kKeys, valid = Min(kKeys, args.keys - first);
  for (int i = thread; i < kHeads * kMaxPlainWidth; i += kThreads) {
    const int h = i / kMaxPlainWidth, d = i % kMaxPlainWidth;
    s.q[h][d] = h < heads && d < D ? ToFloat(q[(head + h) * D + d]) * args.scale : 0.0f;
  }
  __syncthreads();
  float scores[kHeads];
  Dot(scores, s.q, k_cache + cache + int64_t{first + Min(thread, valid - 1)} * D, D);
  for (int h = 0; h < heads; ++h) {
    const float score = thread < valid ? scores[h] : -INFINITY;
    const float max = BlockMax(score, s.reduced), p = Exp(score - max), sum = BlockSum(p, s.reduced);
    s.p[h][thread] = p;
    if (thread == 0) pieces[(head + h) * gridDim.x + blockIdx.x] = {max, sum};
  }
  __syncthreads();
  for (int d = thread; d < D; d += kThreads) {
    float y[kHeads] = {};
    for (int key = 0; key < valid; ++key) {
      const float v = ToFloat(v_cache[cache + int64_t{first + key} * D + d]);
#pragma unroll
      for (int h = 0; h < kHeads; ++h) {
        if (h < heads) y[h] += s.p[h][key] * v;
      }
    }
#pragma unroll
    for (int h = 0; h < kHeads; ++h) {
      if (h < heads) sums[((head + h) * gridDim.x + blockIdx.x) * D + d] = y[h];
    }
  }
}

// Joins the pieces of a head. Grid (H).
template <typename Scalar>
__global__ void JoinKernel(const float* sums, const Piece* pieces, Scalar* y, int count, int D) {
  const int64_t head = blockIdx.x;
  float max = -INFINITY;
  for (int piece = 0; piece < count; ++piece) max = Max(max, pieces[head * count + piece].max);
  for (int d = static_cast<int>(threadIdx.x); d < D; d += static_cast<int>(blockDim.x)) {
    float total = 0, sum = 0;
    for (int piece = 0; piece < count; ++piece) {
      const Piece part = pieces[head * count + piece];
      const float weight = Exp(part.max - max);
      total += part.sum * weight;
      sum += sums[(head * count + piece) * D + d] * weight;
    }
    y[head * D + d] = FromFloat<Scalar>(sum / total);
  }
}

int64_t PiecesOf(int64_t keys) { return (keys + kKeys - 1) / kKeys; }

template <typename Scalar>
void Append(const CachedAttention& op, Context& ctx) {
  const int64_t K = op.k_new.dim(0), N = op.k_new.dim(1), D = op.k_new.dim(2), P = op.k_cache.dim(1);
  Launch(AppendKernel<Scalar>,
         {.grid = dim3(static_cast<unsigned>((K * N * D + 255) / 256)), .block = dim3(256), .stream = ctx.stream()},
         op.k_new.data<Scalar>(), op.v_new.data<Scalar>(), op.k_cache.data<Scalar>(), op.v_cache.data<Scalar>(),
         K * N * D, N * D, P * D, op.past * D);
}

template <typename Scalar>
void Decode(const CachedAttention& op, Context& ctx) {
  const int64_t H = op.q.dim(0), D = op.q.dim(2), K = op.k_new.dim(0), P = op.k_cache.dim(1);
  const int64_t count = PiecesOf(op.past + 1), groups = (H / K + kHeads - 1) / kHeads;
  float* const sums = ctx.Scratch<float>(H * count * D);
  Piece* const pieces = ctx.Scratch<Piece>(H * count);
  const DecodeArgs args = {.H = static_cast<int>(H),
                           .K = static_cast<int>(K),
                           .D = static_cast<int>(D),
                           .P = static_cast<int>(P),
                           .keys = static_cast<int>(op.past + 1),
                           .scale = AttentionScale(op.scale, D)};
  Launch(PieceKernel<Scalar>,
         {.grid = dim3(static_cast<unsigned>(count), static_cast<unsigned>(K), static_cast<unsigned>(groups)),
          .block = dim3(kThreads),
          .shared = sizeof(DecodeShared),
          .stream = ctx.stream()},
         op.q.data<Scalar>(), op.k_cache.data<Scalar>(), op.v_cache.data<Scalar>(), sums, pieces, args);
  Launch(JoinKernel<Scalar>, {.grid = dim3(static_cast<unsigned>(H)), .block = dim3(128), .stream = ctx.stream()}, sums,
         pieces, op.y.data<Scalar>(), static_cast<int>(count), static_cast<int>(D));
}

template <typename Scalar>
void Prompt(const CachedAttention& op, Context& ctx) {
  const int64_t D = op.q.dim(2);
  RunAttentionForward(AttentionForwardArgs<Scalar>{.q = op.q.data<Scalar>(),
                                                   .k = op.k_cache.data<Scalar>(),
                                                   .v = op.v_cache.data<Scalar>(),
                                                   .starts = nullptr,
                                                   .y = op.y.data<Scalar>(),
                                                   .lse = nullptr,
                                                   .B = 1,
                                                   .H = static_cast<int>(op.q.dim(0)),
                                                   .K = static_cast<int>(op.k_new.dim(0)),
                                                   .N = static_cast<int>(op.q.dim(1)),
                                                   .D = static_cast<int>(D),
                                                   .past = static_cast<int>(op.past),
                                                   .kv_stride = op.k_cache.dim(1) * D,
                                                   .scale = AttentionScale(op.scale, D)},
                      ctx);
}

}  // namespace

// By the size of the cache, not by how full it is: one plan serves a whole generation.
int64_t CachedAttention::CudaScratchBytes() const {
  if (q.dim(1) != 1) return 0;
  const int64_t rows = q.dim(0) * PiecesOf(k_cache.dim(1));
  return Context::ScratchFor<float>(rows * q.dim(2)) + Context::ScratchFor<Piece>(rows);
}

void CachedAttention::OnCuda(Context& ctx) const {
  CheckMemory(kName, {q, k_new, v_new, k_cache, v_cache, y});
  INGOT_CHECK(q.dim(2) <= kMaxPlainWidth, "heads of width %lld, the limit is %d", static_cast<long long>(q.dim(2)),
              kMaxPlainWidth);
  DispatchFloat(q.dtype, [&]<typename Scalar>() {
    Append<Scalar>(*this, ctx);
    if (q.dim(1) == 1) {
      Decode<Scalar>(*this, ctx);
    } else {
      Prompt<Scalar>(*this, ctx);
    }
  });
}

}  // namespace ingot
