#pragma once
// Inputs and outputs of attention, forward and backward, on the current backend.
#include <string>
#include <vector>

#include "kernels/attention.h"
#include "tests/kernels/attention_reference.h"

namespace ingot {

struct AttentionShape {
  int64_t B, H, K, T, D;
  std::vector<int32_t> documents = {};  // where documents begin, in every sequence
  std::string Name() const {
    std::string name = "B" + std::to_string(B) + "_H" + std::to_string(H) + "_K" + std::to_string(K) + "_T" +
                       std::to_string(T) + "_D" + std::to_string(D);
    for (const int32_t begin : documents) name += "_" + std::to_string(begin);
    return name;
  }
};

inline std::vector<int32_t> DocumentStarts(const AttentionShape& shape) {
  if (shape.documents.empty()) return {};
  std::vector<int32_t> starts(shape.B * shape.T);
  for (int64_t n = 0; n < shape.B * shape.T; ++n) {
    for (const int32_t begin : shape.documents) {
      if (begin <= n % shape.T) starts[n] = begin;
    }
  }
  return starts;
}

struct AttentionData {
  explicit AttentionData(const AttentionShape& shape, double deviation = 1)
      : B(shape.B),
        H(shape.H),
        K(shape.K),
        T(shape.T),
        D(shape.D),
        q(Normal(B * H * T * D, 1, deviation)),
        k(Normal(B * K * T * D, 2, deviation)),
        v(Normal(B * K * T * D, 3)),
        dy(Normal(B * T * H * D, 4)),
        y(Nans(B * T * H * D)),
        lse(Nans(B * H * T)),
        dq(Nans(B * H * T * D)),
        dk(Nans(B * K * T * D)),
        dv(Nans(B * K * T * D)),
        starts(DocumentStarts(shape)) {}

  Tensor StartsView() { return starts.empty() ? Tensor() : View(starts, {B, T}); }

  void Run() {
    RunOp(AttentionForward{.q = ScalarView(q, {B, H, T, D}),
                           .k = ScalarView(k, {B, K, T, D}),
                           .v = ScalarView(v, {B, K, T, D}),
                           .document_start = StartsView(),
                           .y = ScalarView(y, {B, T, H * D}),
                           .lse = View(lse, {B, H, T})});
    RunOp(AttentionBackward{.dy = ScalarView(dy, {B, T, H * D}),
                            .q = ScalarView(q, {B, H, T, D}),
                            .k = ScalarView(k, {B, K, T, D}),
                            .v = ScalarView(v, {B, K, T, D}),
                            .document_start = StartsView(),
                            .y = ScalarView(y, {B, T, H * D}),
                            .lse = View(lse, {B, H, T}),
                            .dq = ScalarView(dq, {B, H, T, D}),
                            .dk = ScalarView(dk, {B, K, T, D}),
                            .dv = ScalarView(dv, {B, K, T, D})});
  }

  // Inputs of the reference, as Run() rounded them.
  Arrays<double> In() const { return {Doubles(q), Doubles(k), Doubles(v), Doubles(dy)}; }
  AttentionReference Reference() const { return {B, H, K, T, T, D, starts}; }
  Floats Outputs() const { return Joined({y, lse, dq, dk, dv}); }

  int64_t B, H, K, T, D;
  Floats q, k, v, dy, y, lse, dq, dk, dv;
  std::vector<int32_t> starts;
};

// Whether the current backend rounds probabilities to bf16 on the way (kernels/attention.h).
inline bool RoundsProbabilities(int64_t D) {
  return CurrentBackend().scalar == DType::kBf16 && (D == 64 || D == 80 || D == 96 || D == 128);
}

// How far y may be moved by probabilities that were rounded to bf16: each by its unit roundoff of 2^-8, so y by as much
// of sum_s P[s] |v[s]|. `in` and the reference as for y.
inline std::vector<double> RoundedProbabilities(const AttentionReference& reference, Arrays<double> in) {
  if (!RoundsProbabilities(reference.D)) return {};
  for (double& x : in[2]) x = std::fabs(x);
  std::vector<double> bound = reference(in);
  for (double& x : bound) x *= 0x1p-8;
  return bound;
}

inline void ExpectForward(const AttentionData& data, bool structured = false) {
  AttentionReference reference = data.Reference();
  const Arrays<double> in = data.In();
  ExpectWithin(data.y, reference(in), Sensitivity(reference, in), data.T + data.D, structured, ScalarUnit(),
               RoundedProbabilities(reference, in));
  reference.lse = true;
  ExpectClose(data.lse, reference, in, data.T + data.D, structured);
}

}  // namespace ingot
