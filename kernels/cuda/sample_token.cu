#include "kernels/sample_token.h"

#include "kernels/cuda/packs.cuh"
#include "kernels/sample_order.h"

namespace ingot {
namespace {

constexpr int kThreads = 512, kWarps = kThreads / 32;

struct SampleShared {
  uint64_t of_warp[kWarps];
  int32_t token;
};

// The sum over the block, in every thread.
__device__ __forceinline__ uint64_t BlockTotal(uint64_t value, SampleShared& s) {
  for (int lanes = 16; lanes > 0; lanes /= 2) value += __shfl_xor_sync(kAllLanes, value, lanes);
  if (threadIdx.x % 32 == 0) s.of_warp[threadIdx.x / 32] = value;
  __syncthreads();
  value = 0;
  for (const uint64_t of_warp : s.of_warp) value += of_warp;
  __syncthreads();
  return value;
}

// The sum over the threads before the calling one.
__device__ __forceinline__ uint64_t SumBefore(uint64_t value, SampleShared& s) {
  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  uint64_t through = value;
  for (int lanes = 1; lanes < 32; lanes *= 2) {
    const uint64_t before = __shfl_up_sync(kAllLanes, through, static_cast<unsigned>(lanes));
    if (lane >= lanes) through += before;
  }
  if (lane == 31) s.of_warp[warp] = through;
  __syncthreads();
  uint64_t sum = through - value;
  for (int w = 0; w < warp; ++w) sum += s.of_warp[w];
  __syncthreads();
  return sum;
}

// The logits, and what they weigh.
struct Weighed {
  const float* logits;
  SampleSettings settings;
  uint32_t largest;

  __device__ __forceinline__ uint64_t Weight(uint32_t order) const {
    if (order == largest) return WeightOf(1.0f);
    return WeightOf(Exp((LogitOf(order) - LogitOf(largest)) * settings.inverse_temperature));
  }
};

// The sum over all orders of at least `from`, of one each or of their weights.
template <bool kWeights>
__device__ __forceinline__ uint64_t SumFrom(const Weighed& x, uint32_t from, SampleShared& s) {
  uint64_t sum = 0;
  for (int64_t n = threadIdx.x; n < x.settings.N; n += kThreads) {
    const uint32_t order = OrderOf(x.logits[n]);
    if (order >= from) sum += kWeights ? x.Weight(order) : 1;
  }
  return BlockTotal(sum, s);
}

// The shortest beginning of the order whose sum reaches `target` > 0, bit by bit: the largest order from which it does.
template <bool kWeights>
__device__ __forceinline__ OrderLimit LimitAt(const Weighed& x, uint64_t target, SampleShared& s) {
  OrderLimit limit;
  for (uint32_t bit = uint32_t{1} << 31; bit > 0; bit >>= 1) {
    if (SumFrom<kWeights>(x, limit.order | bit, s) >= target) limit.order |= bit;
  }
  const uint64_t one = kWeights ? x.Weight(limit.order) : 1;
  limit.ties = (target - SumFrom<kWeights>(x, limit.order + 1, s) + one - 1) / one;
  return limit;
}

__device__ __forceinline__ uint64_t WeightOfBeginning(const Weighed& x, const OrderLimit& limit, SampleShared& s) {
  return SumFrom<true>(x, limit.order + 1, s) + (limit.ties == 0 ? 0 : limit.ties * x.Weight(limit.order));
}

// Ids [begin, end), of which those at the limit come behind `ties_before` others.
template <typename Visit>
__device__ __forceinline__ void VisitDrawn(const Weighed& x, const OrderLimit& limit, int64_t begin, int64_t end,
                                           uint64_t ties_before, const Visit& visit) {
  for (int64_t n = begin; n < end; ++n) {
    const uint32_t order = OrderOf(x.logits[n]);
    const bool drawn = order > limit.order || (order == limit.order && limit.ties > 0 && ties_before++ < limit.ties);
    if (drawn) visit(n, x.Weight(order));
  }
}

// Each thread has consecutive ids; the one whose weights the draw falls on looks for its id.
__device__ __forceinline__ void Draw(const Weighed& x, const OrderLimit& limit, SampleShared& s) {
  const uint64_t draw = DrawOf(x.settings.uniform, WeightOfBeginning(x, limit, s));
  const int64_t ids = (x.settings.N + kThreads - 1) / kThreads;
  const int64_t begin = Min<int64_t>(threadIdx.x * ids, x.settings.N), end = Min<int64_t>(begin + ids, x.settings.N);
  uint64_t ties = 0, weight = 0;
  for (int64_t n = begin; n < end; ++n) ties += OrderOf(x.logits[n]) == limit.order ? 1 : 0;
  const uint64_t ties_before = SumBefore(ties, s);
  VisitDrawn(x, limit, begin, end, ties_before, [&](int64_t, uint64_t its) { weight += its; });
  uint64_t sum = SumBefore(weight, s);
  if (draw < sum || draw >= sum + weight) return;
  VisitDrawn(x, limit, begin, end, ties_before, [&](int64_t n, uint64_t its) {
    if (sum <= draw && draw < sum + its) s.token = static_cast<int32_t>(n);
    sum += its;
  });
}

__device__ __forceinline__ uint32_t LargestOrder(const float* logits, int64_t N, SampleShared& s) {
  uint32_t largest = 0;
  for (int64_t n = threadIdx.x; n < N; n += kThreads) largest = Max(largest, OrderOf(logits[n]));
  for (int lanes = 16; lanes > 0; lanes /= 2) largest = Max(largest, __shfl_xor_sync(kAllLanes, largest, lanes));
  if (threadIdx.x % 32 == 0) s.of_warp[threadIdx.x / 32] = largest;
  __syncthreads();
  for (const uint64_t of_warp : s.of_warp) largest = Max(largest, static_cast<uint32_t>(of_warp));
  __syncthreads();
  return largest;
}

// Memory plan: one block; a limit by count or by weight takes 33 passes over the logits, which lie in the L2 cache.
// Traffic: the logits read once from memory.
__global__ void __launch_bounds__(kThreads) SampleKernel(const float* logits, int32_t* token, SampleSettings settings) {
  SampleShared& s = SharedStorage<SampleShared>();
  const Weighed x = {logits, settings, LargestOrder(logits, settings.N, s)};
  if (threadIdx.x == 0) s.token = 0;
  __syncthreads();
  if (x.largest > 0) {
    OrderLimit limit;  // all that have an order
    if (settings.top_k > 0) {
      const uint64_t numbers = SumFrom<false>(x, 1, s);
      limit = LimitAt<false>(x, Min(static_cast<uint64_t>(settings.top_k), numbers), s);
    }
    if (settings.top_p < 1) limit = LimitAt<true>(x, TargetOf(settings.top_p, WeightOfBeginning(x, limit, s)), s);
    Draw(x, limit, s);
  }
  __syncthreads();
  if (threadIdx.x == 0) *token = s.token;
}

}  // namespace

void SampleToken::OnCuda(Context& ctx) const {
  Launch(SampleKernel,
         {.grid = Blocks(1), .block = Blocks(kThreads), .shared = sizeof(SampleShared), .stream = ctx.stream()},
         logits.data<float>(), token.data<int32_t>(), SampleSettings(*this));
}

}  // namespace ingot
