#include "kernels/embedding.h"

#include "kernels/cuda/packs.cuh"

namespace ingot {
namespace {

// Memory plan: a thread owns one pack of 16 bytes of y and of the table rows it is made of. Traffic: one or two table
// rows read, y written, R C elements each; ids of a row come from cache but once. A row with an id outside its table
// becomes NaN.
template <typename Scalar, int kWidth>
__global__ void ForwardKernel(const int32_t* tokens, const Scalar* table, int64_t V, const int32_t* positions,
                              const Scalar* position_table, int64_t P, Scalar* y, int64_t R, int64_t C) {
  const auto [r, c] = MyRowPlace<kWidth>();
  if (r >= R || c >= C) return;
  const int64_t token = tokens[r], position = position_table == nullptr ? 0 : positions[r];
  float sum[kWidth];
  if (token < 0 || token >= V || position < 0 || (position_table != nullptr && position >= P)) {
    for (int i = 0; i < kWidth; ++i) sum[i] = BitCast<float>(0x7fc00000u);
  } else {
    LoadFloats(table + token * C + c, sum);
    if (position_table != nullptr) {
      float added[kWidth];
      LoadFloats(position_table + position * C + c, added);
      for (int i = 0; i < kWidth; ++i) sum[i] += added[i];
    }
  }
  StoreFloats(y + r * C + c, sum);
}

// Backward sorts rows by id, stably, then sums each run of equal ids in ascending r. Rows are taken in segments, so that
// the sort by counting costs R * kSegment comparisons.
constexpr int64_t kSegment = 8192;
constexpr int kWarps = 8;  // of a block

// The rows of a segment in order of (id, row).
struct Sorted {
  int32_t* ids;
  int32_t* rows;
};

// Memory plan: a warp owns row r; its lanes compare all ids of the segment with that of r, 128 bytes a step from cache.
// Traffic: 4 bytes read, 8 written a row. The count is at most 8192, exact as a float.
template <typename Unused>
__global__ void SortKernel(const int32_t* ids, int64_t rows, Sorted sorted) {
  const int64_t r = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32;
  if (r >= rows) return;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int32_t id = ids[r];
  int before = 0;
  for (int64_t other = lane; other < rows; other += 32) before += ids[other] < id || (ids[other] == id && other < r);
  const auto place = static_cast<int64_t>(WarpSum(static_cast<float>(before)));
  if (lane != 0) return;
  sorted.ids[place] = id;
  sorted.rows[place] = static_cast<int32_t>(r);
}

// Memory plan: a warp owns 32 packs of channels of the table row whose run of ids begins at place `blockIdx.x`; warps at
// places where none begins leave. The sum stays in registers; rows of a run are read 32 at a time. Traffic: dy read once,
// each touched row of dtable read and written once. Ids outside the table are left out.
template <typename Scalar, int kWidth>
__global__ void SumKernel(const Scalar* dy, Sorted sorted, int64_t rows, float* dtable, int64_t V, int64_t C) {
  const int64_t begin = blockIdx.x;
  const int32_t id = sorted.ids[begin];
  if (id < 0 || id >= V || (begin > 0 && sorted.ids[begin - 1] == id)) return;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int64_t warp = int64_t{blockIdx.y} * (blockDim.x / 32) + threadIdx.x / 32;
  const int64_t c = (warp * 32 + lane) * kWidth;
  float sum[kWidth] = {};
  if (c < C) LoadFloats(dtable + id * C + c, sum);
  int found = 32;
  for (int64_t first = begin; found == 32; first += 32) {
    const bool in_run = first + lane < rows && sorted.ids[first + lane] == id;
    const int32_t row_of_lane = in_run ? sorted.rows[first + lane] : 0;
    found = static_cast<int>(WarpSum(in_run ? 1.0f : 0.0f));
#pragma unroll 8
    for (int i = 0; i < found; ++i) {
      const int64_t r = __shfl_sync(kAllLanes, row_of_lane, i);
      if (c >= C) continue;
      float d[kWidth];
      LoadFloats(dy + r * C + c, d);
      for (int j = 0; j < kWidth; ++j) sum[j] += d[j];
    }
  }
  if (c < C) StoreFloats(dtable + id * C + c, sum);
}

void AddRowsById(Context& ctx, const Tensor& dy, const Tensor& ids, const Tensor& dtable, Sorted sorted) {
  const int64_t R = dy.dim(0), C = dy.dim(1), V = dtable.dim(0);
  const bool packs = InPacks(DType::kBf16, C, {dy, dtable});
  DispatchPacks(dy.dtype, packs, [&]<typename Scalar, int kWidth>() {
    const int64_t warps = CeilDivide(C, 32 * kWidth), warps_of_block = Min<int64_t>(warps, kWarps);
    for (int64_t begin = 0; begin < R; begin += kSegment) {
      const int64_t rows = Min(kSegment, R - begin);
      Launch(SortKernel<void>,
             {.grid = Blocks(CeilDivide(rows, kWarps)), .block = Blocks(32 * kWarps), .stream = ctx.stream()},
             ids.data<int32_t>() + begin, rows, sorted);
      Launch(SumKernel<Scalar, kWidth>,
             {.grid = Blocks(rows, CeilDivide(warps, warps_of_block)),
              .block = Blocks(32 * warps_of_block),
              .stream = ctx.stream()},
             dy.data<Scalar>() + begin * C, sorted, rows, dtable.data<float>(), V, C);
    }
  });
}

}  // namespace

void EmbeddingForward::OnCuda(Context& ctx) const {
  const int64_t R = y.dim(0), C = y.dim(1);
  if (Count(y) == 0) return;
  DispatchPacks(y.dtype, InPacks(y.dtype, C, {table, position_table, y}), [&]<typename Scalar, int kWidth>() {
    Launch(ForwardKernel<Scalar, kWidth>, RowLaunch(R, C, kWidth, ctx.stream()), tokens.data<int32_t>(),
           table.data<Scalar>(), table.dim(0), positions.data<int32_t>(), position_table.data<Scalar>(),
           position_table.absent() ? 0 : position_table.dim(0), y.data<Scalar>(), R, C);
  });
}

int64_t EmbeddingBackward::CudaScratchBytes() const {
  return 2 * Context::ScratchFor<int32_t>(Min(kSegment, dy.dim(0)));
}

void EmbeddingBackward::OnCuda(Context& ctx) const {
  if (Count(dy) == 0) return;
  const int64_t rows = Min(kSegment, dy.dim(0));
  const Sorted sorted = {ctx.Scratch<int32_t>(rows), ctx.Scratch<int32_t>(rows)};
  AddRowsById(ctx, dy, tokens, dtable, sorted);
  if (!dposition_table.absent()) AddRowsById(ctx, dy, positions, dposition_table, sorted);
}

}  // namespace ingot
