#include "kernels/lm_head_cross_entropy.h"

#include "kernels/checks.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/gemm.h"

namespace ingot {
namespace {

// Memory plan: the rows go by in chunks. A chunk's logits, in the dtype of x, are the only array of its rows x V; the
// kernel below reads them, turns them into dz where they lie, and the products for dw and dx read them once each. dz is
// kept without `scale`, which the products apply to their fp32 sums.
//   registers  a thread's largest logit so far, where it is, and its sum of exp(z - max)
//   shared     the reductions over the block
//   traffic    logits read twice and written once. The second reading goes backwards, so that it begins with what was
//              read last: with one block of 1024 threads on a multiprocessor, 132 rows of 152,064 bf16 logits are 40 MB
//              and fit the 50 MB of L2 of compute capability 9.0
constexpr int64_t kChunkRows = 4096;  // enough rows to fill the products' tiles
constexpr int64_t kLongRow = 16384;   // logits from which on a row takes 1024 threads; below, 128
constexpr int32_t kNowhere = 0x7FFFFFFF;

struct Shared {
  float scratch[32];
  int32_t where;
};

struct RowArgs {
  const int32_t* targets;
  float* losses;
  int32_t* greedy;  // or null
  int64_t V;
  float z_loss;
  bool gradient;
};

// What is known of a row of logits, by one thread of its own part, then by all of all.
struct RowStats {
  float max = -INFINITY;
  float sum = 0;  // of exp(z - max)
  int32_t where = kNowhere;
};

template <typename Scalar>
__device__ __forceinline__ RowStats StatsOfThread(const Scalar* z, int64_t V) {
  constexpr int kSize = Vec16<Scalar>::kSize;
  RowStats stats;
  for (int64_t v = int64_t{threadIdx.x} * kSize; v < V; v += int64_t{blockDim.x} * kSize) {
    const Vec16<Scalar> pack = Load16(z + v, V - v);
    float x[kSize], max = stats.max;
#pragma unroll
    for (int i = 0; i < kSize; ++i) {
      x[i] = v + i < V ? ToFloat(pack[i]) : -INFINITY;
      if (x[i] > max) stats.where = static_cast<int32_t>(v + i);
      max = Max(max, x[i]);
    }
    const float shift = max == -INFINITY ? 0.0f : max;
    stats.sum *= Exp(stats.max - shift);
#pragma unroll
    for (int i = 0; i < kSize; ++i) stats.sum += Exp(x[i] - shift);
    stats.max = max;
  }
  return stats;
}

__device__ __forceinline__ RowStats StatsOfBlock(const RowStats& part, Shared& s) {
  if (threadIdx.x == 0) s.where = kNowhere;
  RowStats all;
  all.max = BlockMax(part.max, s.scratch);
  all.sum = BlockSum(part.sum * Exp(part.max - all.max), s.scratch);
  if (part.max == all.max) atomicMin(&s.where, part.where);  // of integers: any order gives the same
  __syncthreads();
  all.where = s.where;
  return all;
}

// One row a block.
template <typename Scalar, int kThreads>
__global__ void __launch_bounds__(kThreads) RowKernel(Scalar* logits, const RowArgs args) {
  constexpr int kSize = Vec16<Scalar>::kSize;
  Shared& s = SharedStorage<Shared>();
  Scalar* const z = logits + int64_t{blockIdx.x} * args.V;
  const int32_t target = args.targets[blockIdx.x];
  const bool counts = target >= 0;
  const RowStats row = StatsOfBlock(StatsOfThread(z, args.V), s);
  const float log_sum = Log(row.sum);
  if (threadIdx.x == 0) {
    // A target outside the vocabulary is the caller's mistake: it reads nothing and shows as NaN.
    const float target_z = counts && target < args.V ? ToFloat(z[target]) : BitCast<float>(0x7FC00000u);
    args.losses[blockIdx.x] = counts ? row.max - target_z + log_sum : 0.0f;
    if (args.greedy != nullptr) args.greedy[blockIdx.x] = row.where == kNowhere ? 0 : row.where;
  }
  if (!args.gradient) return;
  __syncthreads();  // the target's logit was read
  // Not exp(z - lse): a large lse has lost the digits that matter here.
  const float factor = counts ? (1 + 2 * args.z_loss * (row.max + log_sum)) / row.sum : 0.0f;
  const int64_t step = int64_t{kThreads} * kSize;
  for (int64_t v = (args.V - 1) / step * step + int64_t{threadIdx.x} * kSize; v >= 0; v -= step) {
    Vec16<Scalar> pack = Load16(z + v, args.V - v);
#pragma unroll
    for (int i = 0; i < kSize; ++i) {
      const float p = factor * Exp(ToFloat(pack[i]) - row.max);
      pack[i] = FromFloat<Scalar>(counts ? p - (v + i == target ? 1.0f : 0.0f) : 0.0f);
    }
    Store16(z + v, pack, args.V - v);
  }
}

int64_t ChunkRows(int64_t R) {
  const int64_t chunks = Max<int64_t>((R + kChunkRows - 1) / kChunkRows, 1);
  return (R + chunks - 1) / chunks;
}

template <typename Scalar>
void LaunchRows(Scalar* logits, int64_t rows, const RowArgs& args, void* stream) {
  const bool is_long = args.V >= kLongRow;
  const LaunchConfig config = {.grid = dim3(static_cast<unsigned>(rows)),
                               .block = dim3(is_long ? 1024 : 128),
                               .shared = sizeof(Shared),
                               .stream = stream};
  if (is_long) return Launch(RowKernel<Scalar, 1024>, config, logits, args);
  Launch(RowKernel<Scalar, 128>, config, logits, args);
}

}  // namespace

int64_t LmHeadCrossEntropy::CudaScratchBytes() const {
  const int64_t logits = ChunkRows(x.dim(0)) * w.dim(0) * SizeOf(x.dtype);
  return Context::ScratchFor<char>(logits) + Context::ScratchFor<char>(cuda::GemmWorkspaceBytes());
}

void LmHeadCrossEntropy::OnCuda(Context& ctx) const {
  CheckMemory(kName, {x, w, targets, losses, greedy, dx, dw});
  const int64_t R = x.dim(0), C = x.dim(1), V = w.dim(0), chunk = ChunkRows(R);
  INGOT_CHECK(V < kNowhere, "a vocabulary of %lld", static_cast<long long>(V));
  char* const memory = ctx.Scratch<char>(chunk * V * SizeOf(x.dtype));
  char* const workspace = ctx.Scratch<char>(cuda::GemmWorkspaceBytes());
  for (int64_t first = 0; first < R; first += chunk) {
    const int64_t rows = Min(chunk, R - first);
    const Tensor z(memory, x.dtype, {rows, V}), x_rows = Slice(x, first * C, {rows, C});
    cuda::RunGemm({.a = x_rows, .b = w, .c = z, .transpose_b = true}, workspace, ctx.stream());
    const RowArgs args = {.targets = targets.data<int32_t>() + first,
                          .losses = losses.data<float>() + first,
                          .greedy = greedy.absent() ? nullptr : greedy.data<int32_t>() + first,
                          .V = V,
                          .z_loss = z_loss,
                          .gradient = !dx.absent()};
    DispatchFloat(x.dtype, [&]<typename Scalar>() { LaunchRows(z.data<Scalar>(), rows, args, ctx.stream()); });
    if (dx.absent()) continue;
    cuda::RunGemm({.a = z, .b = x_rows, .c = dw, .transpose_a = true, .alpha = scale, .beta = 1}, workspace,
                  ctx.stream());
    cuda::RunGemm({.a = z, .b = w, .c = Slice(dx, first * C, {rows, C}), .alpha = scale}, workspace, ctx.stream());
  }
}

}  // namespace ingot
