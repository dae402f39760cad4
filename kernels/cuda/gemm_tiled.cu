#include "kernels/cuda/gemm_tiled.h"

#include "kernels/cuda/device.cuh"

namespace ingot::cuda {
namespace {

constexpr int kTile = 64;   // rows and columns of c that a block owns
constexpr int kDepth = 16;  // terms of the sum that are in shared memory at a time
constexpr int kSide = 16;   // threads along each side of a tile
constexpr int kOwn = kTile / kSide;

struct Tiles {
  float a[kDepth][kTile + 1];  // the odd row keeps transposed stores apart in the banks
  float b[kDepth][kTile + 1];
};

// a[m,k] = a[m * a_m + k * a_k] and so on: a transpose is another pair of strides.
template <typename In, typename Out>
struct Args {
  const In* a;
  const In* b;
  Out* c;
  const Out* bias;  // or null
  int64_t M, N, K, a_m, a_k, b_k, b_n;
  float alpha, beta;
};

// Elements [row, row + kTile) x [k, k + kDepth) of a matrix with `rows` x `depth` elements; zeros outside.
template <typename In>
__device__ __forceinline__ void LoadTile(const In* x, int64_t row, int64_t rows, int64_t row_stride, int64_t k,
                                         int64_t depth, int64_t k_stride, float (&tile)[kDepth][kTile + 1]) {
  for (int i = static_cast<int>(threadIdx.x); i < kTile * kDepth; i += kSide * kSide) {
    // Neighbours in memory go to neighbouring threads.
    const int along_k = k_stride == 1 ? i % kDepth : i / kTile;
    const int along_row = k_stride == 1 ? i / kDepth : i % kTile;
    const bool inside = row + along_row < rows && k + along_k < depth;
    tile[along_k][along_row] = inside ? ToFloat(x[(row + along_row) * row_stride + (k + along_k) * k_stride]) : 0.0f;
  }
}

// Memory plan: a block owns 64 x 64 elements of c, a thread 4 x 4 of them in registers, 16 rows and columns apart.
//   shared   16 terms of the rows of a and of the columns of b, widened to f32
//   traffic  a is read N / 64 times, b M / 64 times, c once (twice with beta)
template <typename In, typename Out>
__global__ void __launch_bounds__(kSide* kSide) TiledKernel(const Args<In, Out> args) {
  Tiles& tiles = SharedStorage<Tiles>();
  const int64_t m0 = int64_t{blockIdx.x} * kTile, n0 = int64_t{blockIdx.y} * kTile;
  const int x = static_cast<int>(threadIdx.x) % kSide, y = static_cast<int>(threadIdx.x) / kSide;
  float sum[kOwn][kOwn] = {};
  for (int64_t k = 0; k < args.K; k += kDepth) {
    LoadTile(args.a, m0, args.M, args.a_m, k, args.K, args.a_k, tiles.a);
    LoadTile(args.b, n0, args.N, args.b_n, k, args.K, args.b_k, tiles.b);
    __syncthreads();
    for (int d = 0; d < kDepth; ++d) {
      for (int i = 0; i < kOwn; ++i) {
        for (int j = 0; j < kOwn; ++j) sum[i][j] += tiles.a[d][y + i * kSide] * tiles.b[d][x + j * kSide];
      }
    }
    __syncthreads();
  }
  for (int i = 0; i < kOwn; ++i) {
    for (int j = 0; j < kOwn; ++j) {
      const int64_t m = m0 + y + i * kSide, n = n0 + x + j * kSide;
      if (m >= args.M || n >= args.N) continue;
      float value = args.alpha * sum[i][j];
      if (args.beta != 0) value += args.beta * ToFloat(args.c[m * args.N + n]);
      if (args.bias != nullptr) value += ToFloat(args.bias[n]);
      args.c[m * args.N + n] = FromFloat<Out>(value);
    }
  }
}

template <typename In, typename Out>
void LaunchTiled(const Gemm& gemm, void* stream) {
  const int64_t stride_a = gemm.a.dim(1), stride_b = gemm.b.dim(1);
  const Args<In, Out> args = {.a = gemm.a.data<In>(),
                              .b = gemm.b.data<In>(),
                              .c = gemm.c.data<Out>(),
                              .bias = gemm.bias.data<Out>(),
                              .M = gemm.M(),
                              .N = gemm.N(),
                              .K = gemm.K(),
                              .a_m = gemm.transpose_a ? 1 : stride_a,
                              .a_k = gemm.transpose_a ? stride_a : 1,
                              .b_k = gemm.transpose_b ? 1 : stride_b,
                              .b_n = gemm.transpose_b ? stride_b : 1,
                              .alpha = gemm.alpha,
                              .beta = gemm.beta};
  const auto tiles = [](int64_t n) { return static_cast<unsigned>((n + kTile - 1) / kTile); };
  Launch(TiledKernel<In, Out>,
         {.grid = dim3(tiles(args.M), tiles(args.N)),
          .block = dim3(kSide * kSide),
          .shared = sizeof(Tiles),
          .stream = stream},
         args);
}

}  // namespace

void RunTiledGemm(const Gemm& gemm, void* stream) {
  gemm.Check();
  INGOT_CHECK(!gemm.fuses(), "the tiled product has no epilogue: ask FusesEpilogue() first");
  if (gemm.a.dtype == DType::kF32) return LaunchTiled<float, float>(gemm, stream);
  DispatchFloat(gemm.c.dtype, [&]<typename Out>() { LaunchTiled<Bf16, Out>(gemm, stream); });
}

}  // namespace ingot::cuda
