#include "kernels/lm_head_cross_entropy.h"

#include "kernels/checks.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/fp8_operands.h"
#include "kernels/cuda/fp8_tile.cuh"
#include "kernels/cuda/gemm.h"
#include "kernels/quantize_fp8.h"

namespace ingot {
namespace {

// Memory plan: the rows go by in chunks. A chunk's logits, in the dtype of x, are the only array of its rows x V; the
// kernel below reads them, turns them into dz where they lie, and the products for dw and dx read them once each. dz is
// kept without `scale`, which the products apply to their fp32 sums.
//   registers  a thread's largest logit so far, where it is, and its sum of exp(z - max)
//   shared     the reductions over the block
//   traffic    logits read twice and written once. The second reading goes backwards, so that it begins with what was
//              read last: rows of 50,304 bf16 logits, two blocks of 1024 threads on each of 132 multiprocessors, are
//              27 MB and come from L2 (50 MB on compute capability 9.0); rows of 152,064 are 80 MB and do in part
// With w8 the kernel leaves two floats a row instead, from which a second one (fp8_tile.cuh) makes dz, scaled, as fp8 in both
// directions: logits read twice, two bytes written each.
constexpr int64_t kChunkRows = 4096;  // enough rows to fill the products' tiles
constexpr int64_t kLongRow = 16384;   // logits from which on a row takes 1024 threads; below, 128
constexpr int32_t kNowhere = 0x7FFFFFFF;

struct Shared {
  float scratch[32];
  int32_t where;
};

// dz[r,v] / scale = factor * exp(z[r,v] - max) - [v = targets[r]]
struct Slope {
  float max, factor;
};

struct RowArgs {
  const int32_t* targets;
  float* losses;
  int32_t* greedy;  // or null
  Slope* slopes;    // or null
  int64_t V;
  float z_loss;
  bool gradient;  // in place
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
  // Not exp(z - lse): a large lse has lost the digits that matter here.
  const float factor = counts ? (1 + 2 * args.z_loss * (row.max + log_sum)) / row.sum : 0.0f;
  if (args.slopes != nullptr && threadIdx.x == 0) args.slopes[blockIdx.x] = {row.max, factor};
  if (!args.gradient) return;
  __syncthreads();  // the target's logit was read
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

// dz as it is rounded to fp8. Traffic: the logits read once.
template <typename Scalar>
struct GradientElements {
  const Scalar* z;
  const Slope* slopes;
  const int32_t* targets;
  int64_t V;
  float scale;
  template <int kCount>
  __device__ __forceinline__ void operator()(int64_t r, int64_t v, float (&dz)[kCount]) const {
    const Slope slope = slopes[r];
    const int32_t target = targets[r];
    LoadFloats(z + r * V + v, dz);
    for (int i = 0; i < kCount; ++i) {
      const float p = slope.factor * Exp(dz[i] - slope.max);
      dz[i] = target < 0 ? 0.0f : scale * (p - (v + i == target ? 1.0f : 0.0f));
    }
  }
};

// With w8 chunks begin where blocks of fp8 do.
int64_t ChunkRows(const LmHeadCrossEntropy& op) {
  const int64_t R = op.x.dim(0), chunks = Max<int64_t>(CeilDivide(R, kChunkRows), 1), rows = CeilDivide(R, chunks);
  return op.w8.absent() ? rows : Min(R, Fp8Matrix::Blocks(rows) * Fp8Matrix::kBlock);
}

// Memory of an fp8 matrix of at most R x C.
class Fp8Memory {
 public:
  Fp8Memory(Context& ctx, int64_t R, int64_t C)
      : rows_(ctx.Scratch<char>(R * C)),
        columns_(ctx.Scratch<char>(R * C)),
        scales_(ctx.Scratch<float>(Fp8Matrix::Blocks(R) * Fp8Matrix::Blocks(C))) {}
  static int64_t Bytes(int64_t R, int64_t C) {
    return 2 * Context::ScratchFor<char>(R * C) +
           Context::ScratchFor<float>(Fp8Matrix::Blocks(R) * Fp8Matrix::Blocks(C));
  }
  Fp8Matrix View(DType dtype, int64_t R, int64_t C) const {
    return {.rows = Tensor(rows_, dtype, {R, C}),
            .columns = Tensor(columns_, dtype, {C, R}),
            .scales = Tensor(scales_, DType::kF32, {Fp8Matrix::Blocks(R), Fp8Matrix::Blocks(C)})};
  }

 private:
  char *rows_, *columns_;
  float* scales_;
};

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

// What the products of a chunk take and leave: logits from x, then dw and dx from the row kernel's outcome.
class PlainProducts {
 public:
  PlainProducts(const LmHeadCrossEntropy& op, Context& ctx, int64_t)
      : op_(op), ctx_(ctx), workspace_(ctx.Scratch<char>(cuda::GemmWorkspaceBytes())) {}
  static int64_t Bytes(const LmHeadCrossEntropy&, int64_t) {
    return Context::ScratchFor<char>(cuda::GemmWorkspaceBytes());
  }
  Slope* slopes() const { return nullptr; }

  void Logits(const Tensor& x, const Tensor& z) const {
    cuda::RunGemm({.a = x, .b = op_.w, .c = z, .transpose_b = true}, workspace_, ctx_.stream());
  }
  void Gradients(const Tensor& x, const Tensor& z, const RowArgs&, const Tensor& dx) const {
    const float scale = op_.scale;
    cuda::RunGemm({.a = z, .b = x, .c = op_.dw, .transpose_a = true, .alpha = scale, .beta = 1}, workspace_,
                  ctx_.stream());
    cuda::RunGemm({.a = z, .b = op_.w, .c = dx, .alpha = scale}, workspace_, ctx_.stream());
  }

 private:
  const LmHeadCrossEntropy& op_;
  Context& ctx_;
  char* workspace_;
};

class Fp8Products {
 public:
  Fp8Products(const LmHeadCrossEntropy& op, Context& ctx, int64_t rows)
      : op_(op),
        ctx_(ctx),
        x8_(ctx, rows, op.x.dim(1)),
        dz8_(ctx, op.dx.absent() ? 0 : rows, op.V()),
        slopes_(ctx.Scratch<Slope>(rows)) {}
  static int64_t Bytes(const LmHeadCrossEntropy& op, int64_t rows) {
    return Fp8Memory::Bytes(rows, op.x.dim(1)) + Fp8Memory::Bytes(op.dx.absent() ? 0 : rows, op.V()) +
           Context::ScratchFor<Slope>(rows);
  }
  Slope* slopes() const { return slopes_; }

  void Logits(const Tensor& x, const Tensor& z) const {
    const Fp8Matrix x8 = X8(x);
    QuantizeFp8{.x = x, .y = x8}.OnCuda(ctx_);
    cuda::RunGemmFp8({.a = cuda::ByRows(x8), .b = cuda::ByRows(op_.w8), .c = z}, ctx_.stream());
  }
  void Gradients(const Tensor& x, const Tensor& z, const RowArgs& args, const Tensor& dx) const {
    const int64_t V = op_.V();
    const Fp8Matrix x8 = X8(x), dz8 = dz8_.View(DType::kE5m2, z.dim(0), V);
    DispatchFloat(z.dtype, [&]<typename Scalar>() {
      LaunchFp8TilesAs<E5m2>(GradientElements<Scalar>{z.data<Scalar>(), slopes_, args.targets, V, op_.scale},
                             InFp8Packs(V, {z}), dz8, ctx_.stream());
    });
    cuda::RunGemmFp8({.a = cuda::ByColumns(dz8), .b = cuda::ByColumns(x8), .c = op_.dw, .beta = 1}, ctx_.stream());
    cuda::RunGemmFp8({.a = cuda::ByRows(dz8), .b = cuda::ByColumns(op_.w8), .c = dx}, ctx_.stream());
  }

 private:
  Fp8Matrix X8(const Tensor& x) const {
    Fp8Matrix x8 = x8_.View(op_.w8.dtype(), x.dim(0), x.dim(1));
    if (op_.dx.absent()) x8.columns = {};
    return x8;
  }

  const LmHeadCrossEntropy& op_;
  Context& ctx_;
  Fp8Memory x8_, dz8_;
  Slope* slopes_;
};

template <typename Products>
void RunChunks(const LmHeadCrossEntropy& op, Context& ctx) {
  const int64_t R = op.x.dim(0), C = op.x.dim(1), V = op.V(), chunk = ChunkRows(op);
  char* const memory = ctx.Scratch<char>(chunk * V * SizeOf(op.x.dtype));
  const Products products(op, ctx, chunk);
  for (int64_t first = 0; first < R; first += chunk) {
    const int64_t rows = Min(chunk, R - first);
    const Tensor z(memory, op.x.dtype, {rows, V}), x = Slice(op.x, first * C, {rows, C});
    products.Logits(x, z);
    const RowArgs args = {.targets = op.targets.data<int32_t>() + first,
                          .losses = op.losses.data<float>() + first,
                          .greedy = op.greedy.absent() ? nullptr : op.greedy.data<int32_t>() + first,
                          .slopes = products.slopes(),
                          .V = V,
                          .z_loss = op.z_loss,
                          .gradient = !op.dx.absent() && products.slopes() == nullptr};
    DispatchFloat(z.dtype, [&]<typename Scalar>() { LaunchRows(z.data<Scalar>(), rows, args, ctx.stream()); });
    if (!op.dx.absent()) products.Gradients(x, z, args, Slice(op.dx, first * C, {rows, C}));
  }
}

}  // namespace

int64_t LmHeadCrossEntropy::CudaScratchBytes() const {
  const int64_t rows = ChunkRows(*this), logits = Context::ScratchFor<char>(rows * V() * SizeOf(x.dtype));
  return logits + (w8.absent() ? PlainProducts::Bytes(*this, rows) : Fp8Products::Bytes(*this, rows));
}

void LmHeadCrossEntropy::OnCuda(Context& ctx) const {
  CheckMemory(kName, {x, w, targets, losses, greedy, dx, dw, w8.rows, w8.columns, w8.scales});
  INGOT_CHECK(V() < kNowhere, "a vocabulary of %lld", static_cast<long long>(V()));
  w8.absent() ? RunChunks<PlainProducts>(*this, ctx) : RunChunks<Fp8Products>(*this, ctx);
}

}  // namespace ingot
