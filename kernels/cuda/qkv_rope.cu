#include "kernels/qkv_rope.h"

#include "kernels/cuda/partials.cuh"

namespace ingot {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kRows = 16;         // of a backward block
constexpr int64_t kWidestHead = 256;  // where heads cannot be moved in packs of 16 bytes

// The shape, in units: one head of one row (b, t), the H query heads first, then K key heads, then K value heads.
struct Shape {
  int64_t H, K, T, D;
  int64_t half;       // elements [0, half) of a head pair with [half, D)
  int64_t rows;       // B * T
  int64_t positions;  // in the table of angles
  __host__ __device__ int64_t heads() const { return H + 2 * K; }
};

template <typename Scalar>
struct Heads {
  Scalar *q, *k, *v;
};

// One unit.
template <typename Scalar>
struct Unit {
  Scalar* head;         // in q, k or v
  const Scalar* norm;   // or null
  const float* angles;  // or null
  int64_t joint;        // where it begins in qkv
  bool bad;             // its position lies outside the angles
};

template <typename Scalar>
__device__ __forceinline__ Unit<Scalar> UnitOf(const Shape& s, int64_t r, int64_t h, const Heads<Scalar>& heads,
                                               const Scalar* q_norm, const Scalar* k_norm, const float* angles,
                                               const int32_t* positions) {
  const bool is_q = h < s.H, is_v = h >= s.H + s.K;
  const int64_t count = is_q ? s.H : s.K, number = is_q ? h : is_v ? h - s.H - s.K : h - s.H;
  Scalar* const part = is_q ? heads.q : is_v ? heads.v : heads.k;
  Unit<Scalar> unit = {.head = part + ((r / s.T * count + number) * s.T + r % s.T) * s.D,
                       .norm = is_q   ? q_norm
                               : is_v ? nullptr
                                      : k_norm,
                       .angles = nullptr,
                       .joint = (r * s.heads() + h) * s.D,
                       .bad = false};
  if (angles != nullptr && !is_v) {
    const int64_t position = positions[r];
    unit.bad = position < 0 || position >= s.positions;
    unit.angles = angles + (unit.bad ? 0 : position) * s.D;
  }
  return unit;
}

// What the lanes of a unit hold of it: pack p of lane i is elements [j, j + kWidth) and [half + j, half + j + kWidth)
// with j = (p * lanes + i) * kWidth. The second reaches beyond D where D is odd.
template <int kWidth, int kPacks>
struct HeadPacks {
  float a[kPacks][kWidth], b[kPacks][kWidth];
};

template <int kWidth>
__device__ __forceinline__ int64_t MyPair(int p, int lanes) {
  return (int64_t{p} * lanes + threadIdx.x % lanes) * kWidth;
}

template <int kWidth, int kPacks, typename Scalar>
__device__ __forceinline__ void LoadHead(const Scalar* head, const Shape& s, int lanes, HeadPacks<kWidth, kPacks>& x) {
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int64_t j = MyPair<kWidth>(p, lanes);
    for (int i = 0; i < kWidth; ++i) x.a[p][i] = x.b[p][i] = 0;
    if (j < s.half) LoadFloats(head + j, x.a[p]);
    if (s.half + j < s.D) LoadFloats(head + s.half + j, x.b[p]);
  }
}

template <int kWidth, int kPacks, typename Scalar>
__device__ __forceinline__ void StoreHead(Scalar* head, const Shape& s, int lanes, const HeadPacks<kWidth, kPacks>& x) {
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int64_t j = MyPair<kWidth>(p, lanes);
    if (j < s.half) StoreFloats(head + j, x.a[p]);
    if (s.half + j < s.D) StoreFloats(head + s.half + j, x.b[p]);
  }
}

// The sum over the `lanes` threads of a unit, a power of two; all of the warp take part.
__device__ __forceinline__ float UnitSum(float v, int lanes) {
  for (int other = lanes / 2; other > 0; other /= 2) v += __shfl_xor_sync(kAllLanes, v, other);
  return v;
}

template <int kWidth, int kPacks>
__device__ __forceinline__ float Rstd(const HeadPacks<kWidth, kPacks>& x, const Shape& s, int lanes, float eps) {
  float squares = 0;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    for (int i = 0; i < kWidth; ++i) squares += x.a[p][i] * x.a[p][i] + x.b[p][i] * x.b[p][i];
  }
  return Rsqrt(UnitSum(squares, lanes) / static_cast<float>(s.D) + eps);
}

// direction -1 rotates back.
template <int kWidth, int kPacks>
__device__ __forceinline__ void Rotate(const float* angles, float direction, const Shape& s, int lanes,
                                       HeadPacks<kWidth, kPacks>& x) {
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int64_t j = MyPair<kWidth>(p, lanes);
    if (j >= s.half) break;
    float turn[2 * kWidth];
    LoadFloats(angles + 2 * j, turn);
    for (int i = 0; i < kWidth; ++i) {
      const float cosine = turn[2 * i], sine = direction * turn[2 * i + 1], a = x.a[p][i], b = x.b[p][i];
      x.a[p][i] = a * cosine - b * sine;
      x.b[p][i] = b * cosine + a * sine;
    }
  }
}

template <int kWidth, int kPacks>
__device__ __forceinline__ void MakeNan(HeadPacks<kWidth, kPacks>& x) {
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    for (int i = 0; i < kWidth; ++i) x.a[p][i] = x.b[p][i] = BitCast<float>(0x7fc00000u);
  }
}

// Memory plan: `lanes` neighbouring threads own a unit, each one pack of 16 bytes of either half of the head (kPacks where
// a warp does not reach); neighbouring units lie side by side in qkv. Angles and norms come from cache. Traffic: qkv read,
// q, k, v written once. A head at a position outside the angles becomes NaN.
template <typename Scalar, int kWidth, int kPacks>
__global__ __launch_bounds__(kThreads) void ForwardKernel(const Scalar* qkv, const Scalar* q_norm, const Scalar* k_norm,
                                                          const float* angles, const int32_t* positions,
                                                          Heads<Scalar> heads, Shape s, int lanes, float eps) {
  const int64_t number = int64_t{blockIdx.x} * (kThreads / lanes) + threadIdx.x / lanes;
  const bool exists = number < s.rows * s.heads();
  const int64_t n = exists ? number : 0;
  const Unit<Scalar> unit = UnitOf(s, n / s.heads(), n % s.heads(), heads, q_norm, k_norm, angles, positions);
  HeadPacks<kWidth, kPacks> x = {}, norm;
  if (exists) LoadHead(qkv + unit.joint, s, lanes, x);
  if (q_norm != nullptr) {
    const float rstd = Rstd(x, s, lanes, eps);
    if (unit.norm != nullptr) {
      LoadHead(unit.norm, s, lanes, norm);
#pragma unroll
      for (int p = 0; p < kPacks; ++p) {
        for (int i = 0; i < kWidth; ++i) {
          x.a[p][i] *= rstd * norm.a[p][i];
          x.b[p][i] *= rstd * norm.b[p][i];
        }
      }
    }
  }
  if (unit.angles != nullptr) Rotate(unit.angles, 1.0f, s, lanes, x);
  if (unit.bad) MakeNan(x);
  if (exists) StoreHead(unit.head, s, lanes, x);
}

// Sums of dnorm over the units of a thread's place, of one part.
template <int kWidth, int kPacks>
__device__ __forceinline__ void AddDnorm(const HeadPacks<kWidth, kPacks>& dn, const HeadPacks<kWidth, kPacks>& u,
                                         float rstd, HeadPacks<kWidth, kPacks>& sum) {
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    for (int i = 0; i < kWidth; ++i) {
      sum.a[p][i] += dn.a[p][i] * u.a[p][i] * rstd;
      sum.b[p][i] += dn.b[p][i] * u.b[p][i] * rstd;
    }
  }
}

// dn becomes du = rstd * (dn * norm - u * rstd^2 * mean(dn * norm * u)).
template <int kWidth, int kPacks>
__device__ __forceinline__ void NormBackward(const HeadPacks<kWidth, kPacks>& u, const HeadPacks<kWidth, kPacks>& norm,
                                             float rstd, const Shape& s, int lanes, HeadPacks<kWidth, kPacks>& dn) {
  float dot = 0;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    for (int i = 0; i < kWidth; ++i) {
      dn.a[p][i] *= norm.a[p][i];
      dn.b[p][i] *= norm.b[p][i];
      dot += dn.a[p][i] * u.a[p][i] + dn.b[p][i] * u.b[p][i];
    }
  }
  const float pull = UnitSum(dot, lanes) / static_cast<float>(s.D) * rstd * rstd;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    for (int i = 0; i < kWidth; ++i) {
      dn.a[p][i] = rstd * (dn.a[p][i] - u.a[p][i] * pull);
      dn.b[p][i] = rstd * (dn.b[p][i] - u.b[p][i] * pull);
    }
  }
}

// Sums of dnorm: one of each unit that a block works on at a time, elements [0, D) of dq_norm, then of dk_norm.
// groups * D floats fit: 256 threads hold at most 2 * kPacks * kWidth elements each.
template <int kWidth, int kPacks>
struct DnormSums {
  float of_group[kThreads * 2 * kWidth * kPacks];
};

// out[d] = sum over the block's groups of `sum`, in ascending order.
template <int kWidth, int kPacks>
__device__ __forceinline__ void FoldGroups(const HeadPacks<kWidth, kPacks>& sum, const Shape& s, int lanes,
                                           float* out) {
  DnormSums<kWidth, kPacks>& shared = SharedStorage<DnormSums<kWidth, kPacks>>();
  const int64_t width = int64_t{2} * lanes * kWidth * kPacks;
  __syncthreads();
  StoreHead(shared.of_group + threadIdx.x / lanes * width, s, lanes, sum);
  __syncthreads();
  for (int64_t d = threadIdx.x; d < s.D; d += kThreads) {
    float total = 0;
    for (int64_t group = 0; group < kThreads / lanes; ++group) total += shared.of_group[group * width + d];
    out[d] = total;
  }
}

// Memory plan: a block owns all units of 16 rows, kThreads / lanes at a time, laid out as in forward; with norms its
// threads keep the sums of dq_norm and dk_norm in registers and fold them at the end through shared memory. Traffic: dq,
// dk, dv read and dqkv written once; with norms qkv read too, and R / 16 * 2 D partial sums in f32. dqkv may be qkv.
template <typename Scalar, int kWidth, int kPacks, bool kNorms>
__global__ __launch_bounds__(kThreads) void BackwardKernel(Heads<Scalar> gradients, const Scalar* qkv,
                                                           const Scalar* q_norm, const Scalar* k_norm,
                                                           const float* angles, const int32_t* positions, Scalar* dqkv,
                                                           float* partials, Shape s, int lanes, float eps) {
  const int64_t begin = int64_t{blockIdx.x} * kRows, rows = Min(kRows, s.rows - begin);
  const int64_t units = rows * s.heads(), groups = kThreads / lanes;
  HeadPacks<kWidth, kPacks> dq_norm = {}, dk_norm = {};
  for (int64_t first = 0; first < units; first += groups) {
    const int64_t number = first + threadIdx.x / lanes;
    const bool exists = number < units;
    const int64_t n = exists ? number : 0, h = n % s.heads();
    const Unit<Scalar> unit = UnitOf(s, begin + n / s.heads(), h, gradients, q_norm, k_norm, angles, positions);
    HeadPacks<kWidth, kPacks> dn = {}, u = {}, norm;
    if (exists) LoadHead(unit.head, s, lanes, dn);
    if (unit.angles != nullptr) Rotate(unit.angles, -1.0f, s, lanes, dn);
    if (unit.bad) MakeNan(dn);
    if constexpr (kNorms) {
      if (exists) LoadHead(qkv + unit.joint, s, lanes, u);
      LoadHead(unit.norm != nullptr ? unit.norm : q_norm, s, lanes, norm);
      const float rstd = Rstd(u, s, lanes, eps);
      if (exists && h < s.H) AddDnorm(dn, u, rstd, dq_norm);
      if (exists && h >= s.H && h < s.H + s.K) AddDnorm(dn, u, rstd, dk_norm);
      HeadPacks<kWidth, kPacks> du = dn;
      NormBackward(u, norm, rstd, s, lanes, du);
      if (unit.norm != nullptr) dn = du;
    }
    if (exists) StoreHead(dqkv + unit.joint, s, lanes, dn);
  }
  if constexpr (kNorms) {
    FoldGroups(dq_norm, s, lanes, partials + int64_t{blockIdx.x} * 2 * s.D);
    FoldGroups(dk_norm, s, lanes, partials + (int64_t{blockIdx.x} * 2 + 1) * s.D);
  }
}

Shape ShapeOf(const Tensor& q, const Tensor& k, const Tensor& angles) {
  const int64_t D = q.dim(3);
  return {.H = q.dim(1),
          .K = k.dim(1),
          .T = q.dim(2),
          .D = D,
          .half = CeilDivide(D, 2),
          .rows = q.dim(0) * q.dim(2),
          .positions = angles.absent() ? 0 : angles.dim(0)};
}

// Calls f.operator()<Scalar, kWidth, kPacks>(lanes): the lanes of a unit, a power of two, with kPacks packs hold a head.
template <typename F>
void DispatchHeads(const char* op, DType dtype, bool in_packs, const Shape& s, F&& f) {
  DispatchPacks(dtype, in_packs, [&]<typename Scalar, int kWidth>() {
    int lanes = 1;
    while (lanes < 32 && lanes * kWidth < s.half) lanes *= 2;
    if (lanes * kWidth >= s.half) return f.template operator()<Scalar, kWidth, 1>(lanes);
    INGOT_CHECK(4 * lanes * kWidth >= s.half, "%s: heads of width %lld; the CUDA kernel takes %lld", op,
                static_cast<long long>(s.D), static_cast<long long>(kWidestHead * kWidth));
    f.template operator()<Scalar, kWidth, 4>(lanes);
  });
}

}  // namespace

void QkvRopeForward::OnCuda(Context& ctx) const {
  if (Count(qkv) == 0) return;
  const Shape s = ShapeOf(q, k, angles);
  const bool packs = s.D % 2 == 0 && InPacks(q.dtype, s.D / 2, {qkv, q_norm, k_norm, angles, q, k, v});
  DispatchHeads(kName, q.dtype, packs, s, [&]<typename Scalar, int kWidth, int kPacks>(int lanes) {
    Launch(ForwardKernel<Scalar, kWidth, kPacks>,
           {.grid = Blocks(CeilDivide(s.rows * s.heads(), kThreads / lanes)),
            .block = Blocks(kThreads),
            .stream = ctx.stream()},
           qkv.data<Scalar>(), q_norm.data<Scalar>(), k_norm.data<Scalar>(), angles.data<float>(),
           positions.data<int32_t>(), Heads<Scalar>{q.data<Scalar>(), k.data<Scalar>(), v.data<Scalar>()}, s, lanes,
           eps);
  });
}

int64_t QkvRopeBackward::CudaScratchBytes() const {
  const int64_t blocks = CeilDivide(dq.dim(0) * dq.dim(2), kRows);
  return q_norm.absent() ? 0 : Context::ScratchFor<float>(blocks * 2 * dq.dim(3));
}

void QkvRopeBackward::OnCuda(Context& ctx) const {
  if (Count(dqkv) == 0) return;
  const Shape s = ShapeOf(dq, dk, angles);
  const int64_t blocks = CeilDivide(s.rows, kRows);
  const bool norms = !q_norm.absent();
  float* const partials = norms ? ctx.Scratch<float>(blocks * 2 * s.D) : nullptr;
  const bool packs = s.D % 2 == 0 && InPacks(dq.dtype, s.D / 2, {dq, dk, dv, qkv, q_norm, k_norm, angles, dqkv});
  DispatchHeads(kName, dq.dtype, packs, s, [&]<typename Scalar, int kWidth, int kPacks>(int lanes) {
    const auto launch = [&](auto kernel, size_t shared) {
      Launch(kernel, {.grid = Blocks(blocks), .block = Blocks(kThreads), .shared = shared, .stream = ctx.stream()},
             Heads<Scalar>{dq.data<Scalar>(), dk.data<Scalar>(), dv.data<Scalar>()}, qkv.data<Scalar>(),
             q_norm.data<Scalar>(), k_norm.data<Scalar>(), angles.data<float>(), positions.data<int32_t>(),
             dqkv.data<Scalar>(), partials, s, lanes, eps);
    };
    norms ? launch(BackwardKernel<Scalar, kWidth, kPacks, true>, sizeof(DnormSums<kWidth, kPacks>))
          : launch(BackwardKernel<Scalar, kWidth, kPacks, false>, 0);
  });
  if (!norms) return;
  AddPartials(partials, blocks, 2 * s.D, s.D, dq_norm.data<float>(), ctx.stream());
  AddPartials(partials + s.D, blocks, 2 * s.D, s.D, dk_norm.data<float>(), ctx.stream());
}

}  // namespace ingot
