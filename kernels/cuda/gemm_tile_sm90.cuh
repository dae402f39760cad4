#pragma once
// What the products for sm_90a share: how c is cut into tiles, who computes one, and how sums go to c.
#include <type_traits>

#include "kernels/cuda/accumulator_sm90.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/stages_sm90.cuh"
#include "kernels/cuda/tensor_map.h"

namespace ingot::cuda {

constexpr int kTileM = 128;
constexpr int kSlab = 64;  // rows of m that a warpgroup owns
constexpr int kWarpgroup = 128;
constexpr int kConsumers = kTileM / kSlab * kWarpgroup;
constexpr int kThreads = kWarpgroup + kConsumers;  // the first warpgroup loads
constexpr int kStageBytes = 192 * 1024;            // of all stages
constexpr int kLoaderRegisters = 40, kConsumerRegisters = 232;
constexpr int kGroupM = 16;  // rows of tiles that are visited together, so that their tiles of b stay in the L2 cache

// Stages of tiles in shared memory, as many as there is room for.
template <typename Stage>
struct StagesOf {
  static constexpr int kStages = kStageBytes / static_cast<int>(sizeof(Stage));
  Stage stage[kStages];
  StageBarriers<kStages> barriers;
};

struct TilePlace {
  int64_t m, n;
};

// Tiles are counted down a group of kGroupM rows of tiles, then along n.
template <int kColumns>
__device__ __forceinline__ TilePlace PlaceOfTile(int64_t index, int64_t M, int64_t N) {
  const int64_t tiles_m = (M + kTileM - 1) / kTileM, tiles_n = (N + kColumns - 1) / kColumns;
  const int64_t group = index / (kGroupM * tiles_n), within = index % (kGroupM * tiles_n);
  const int64_t rows = Min<int64_t>(kGroupM, tiles_m - group * kGroupM);
  return {(group * kGroupM + within % rows) * kTileM, within / rows * kColumns};
}

template <int kColumns>
__host__ __device__ __forceinline__ int64_t TilesOf(int64_t M, int64_t N) {
  return (M + kTileM - 1) / kTileM * ((N + kColumns - 1) / kColumns);
}

// A wide tile reads less and computes more at a time; a narrow one leaves fewer multiprocessors idle at the end.
inline bool WideTilesAreFaster(int64_t M, int64_t N) {
  const int64_t at_once = Multiprocessors();
  const auto rounds = [&](int64_t tiles) { return (tiles + at_once - 1) / at_once; };
  return rounds(TilesOf<256>(M, N)) * 2 <= rounds(TilesOf<128>(M, N));
}

// A block a multiprocessor: it goes from tile to tile.
template <typename Storage, typename Args>
void LaunchTiles(void (*kernel)(Args), int64_t tiles, const std::type_identity_t<Args>& args, void* stream) {
  Launch(kernel,
         {.grid = static_cast<unsigned>(Min<int64_t>(tiles, Multiprocessors())),
          .block = kThreads,
          .shared = sizeof(Storage),
          .stream = stream},
         args);
}

// c = alpha * sum + beta * c + bias
struct Output {
  void* c;
  const void* bias;  // or null
  int64_t M, N;
  float alpha, beta;
};

// A warpgroup's sums of 64 rows from m on and kRegisters * 2 columns from n on.
template <typename Out, int kRegisters>
__device__ __forceinline__ void StoreSums(const Output& output, const float (&sum)[kRegisters], int64_t m, int64_t n,
                                          int thread) {
  const Fragment at(m, thread);
  Out* const c = static_cast<Out*>(output.c);
  const auto value = [&](int i) {
    const int64_t row = at.row + i / 2 % 2 * 8, column = n + i / 4 * 8 + at.column + i % 2;
    float v = output.alpha * sum[i];
    if (row >= output.M || column >= output.N) return v;
    if (output.beta != 0) v += output.beta * ToFloat(c[row * output.N + column]);
    if (output.bias != nullptr) v += ToFloat(static_cast<const Out*>(output.bias)[column]);
    return v;
  };
  if constexpr (std::is_same_v<Out, Bf16>) {
    StoreRounded<kRegisters>(c, output.N, output.M, output.N, n, at, value);
  } else {
#pragma unroll
    for (int i = 0; i < kRegisters; ++i) {
      const int64_t row = at.row + i / 2 % 2 * 8, column = n + i / 4 * 8 + at.column + i % 2;
      const float v = value(i);
      if (row < output.M && column < output.N) c[row * output.N + column] = v;
    }
  }
}

}  // namespace ingot::cuda
