#include "kernels/qkv_rope.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "tests/kernels/op_test.h"

namespace ingot {
namespace {

struct Shape {
  int64_t B, T, H, K, D;
  bool norms, rotates;
  int64_t row() const { return (H + 2 * K) * D; }
  int64_t rows() const { return B * T; }
};

// in: qkv (B, T, (H + 2K) D), q_norm (D), k_norm (D), angles (P, D/2, 2). Out: q, k and v, each (B, heads, T, D).
struct Reference {
  Shape s;
  std::vector<int32_t> positions;

  template <typename N>
  std::vector<N> operator()(const Arrays<N>& in) const {
    std::vector<N> out;
    AddHeads(in, 0, s.H, s.norms ? &in[1] : nullptr, s.rotates, out);
    AddHeads(in, s.H, s.K, s.norms ? &in[2] : nullptr, s.rotates, out);
    AddHeads(in, s.H + s.K, s.K, static_cast<const std::vector<N>*>(nullptr), false, out);
    return out;
  }

  template <typename N>
  void AddHeads(const Arrays<N>& in, int64_t first, int64_t heads, const std::vector<N>* norm, bool rotates,
                std::vector<N>& out) const {
    for (int64_t b = 0; b < s.B; ++b) {
      for (int64_t h = first; h < first + heads; ++h) {
        for (int64_t r = b * s.T; r < (b + 1) * s.T; ++r) {
          const auto u = in[0].begin() + r * s.row() + h * s.D;
          std::vector<N> head(u, u + s.D);
          if (norm != nullptr) Normalize(*norm, head);
          if (rotates) Rotate(in[3], positions[r], head);
          out.insert(out.end(), head.begin(), head.end());
        }
      }
    }
  }

  template <typename N>
  void Normalize(const std::vector<N>& norm, std::vector<N>& head) const {
    N squares = 0;
    for (const N& u : head) squares += u * u;
    const N rms = std::sqrt(squares / static_cast<double>(s.D) + static_cast<double>(1e-6f));
    for (int64_t d = 0; d < s.D; ++d) head[d] *= norm[d] / rms;
  }

  template <typename N>
  void Rotate(const std::vector<N>& angles, int64_t position, std::vector<N>& head) const {
    for (int64_t j = 0; j < s.D / 2; ++j) {
      const N cosine = angles[position * s.D + 2 * j], sine = angles[position * s.D + 2 * j + 1];
      const N a = head[j], b = head[j + s.D / 2];
      head[j] = a * cosine - b * sine;
      head[j + s.D / 2] = b * cosine + a * sine;
    }
  }
};

struct Data {
  explicit Data(const Shape& shape, Values values = Values::kNormal)
      : s(shape),
        qkv(Make(values, s.rows(), s.row(), 1)),
        q_norm(Normal(s.D, 2)),
        k_norm(Normal(s.D, 3)),
        angles((s.T + 2) * s.D),
        q(Nans(s.rows() * s.H * s.D)),
        k(Nans(s.rows() * s.K * s.D)),
        v(k),
        dq(Normal(static_cast<int64_t>(q.size()), 4)),
        dk(Normal(static_cast<int64_t>(k.size()), 5)),
        dv(Normal(static_cast<int64_t>(k.size()), 6)),
        dqkv(Nans(s.rows() * s.row())),
        dq_norm(Normal(s.D, 7)),
        dk_norm(Normal(s.D, 8)),
        positions(s.rows()) {
    for (size_t i = 0; i + 1 < angles.size(); i += 2) {  // an odd D has no angles
      angles[i] = std::cos(0.37f * static_cast<float>(i));
      angles[i + 1] = std::sin(0.37f * static_cast<float>(i));
    }
    for (int64_t r = 0; r < s.rows(); ++r) positions[r] = static_cast<int32_t>((r * 3 + 1) % (s.T + 2));
  }
  Tensor Heads(Floats& x, int64_t heads) { return ScalarView(x, {s.B, heads, s.T, s.D}); }
  QkvRopeForward Forward() {
    QkvRopeForward op = {
        .qkv = ScalarView(qkv, {s.B, s.T, s.row()}), .q = Heads(q, s.H), .k = Heads(k, s.K), .v = Heads(v, s.K)};
    if (s.norms) op.q_norm = ScalarView(q_norm, {s.D}), op.k_norm = ScalarView(k_norm, {s.D});
    if (s.rotates) op.angles = View(angles, {s.T + 2, s.D / 2, 2}), op.positions = View(positions, {s.B, s.T});
    return op;
  }
  QkvRopeBackward Backward() {
    const QkvRopeForward forward = Forward();
    QkvRopeBackward op = {.dq = Heads(dq, s.H),
                          .dk = Heads(dk, s.K),
                          .dv = Heads(dv, s.K),
                          .q_norm = forward.q_norm,
                          .k_norm = forward.k_norm,
                          .angles = forward.angles,
                          .positions = forward.positions,
                          .dqkv = ScalarView(dqkv, {s.B, s.T, s.row()})};
    if (s.norms) {
      op.qkv = forward.qkv;
      op.dq_norm = View(dq_norm, {s.D});
      op.dk_norm = View(dk_norm, {s.D});
    }
    return op;
  }
  Reference reference() const { return {s, positions}; }
  Arrays<double> In() const {
    return {Doubles(qkv), Doubles(q_norm), Doubles(k_norm), Doubles(angles), Doubles(Joined({dq, dk, dv}))};
  }

  Shape s;
  Floats qkv, q_norm, k_norm, angles, q, k, v, dq, dk, dv, dqkv, dq_norm, dk_norm;
  std::vector<int32_t> positions;
};

class QkvRope : public testing::TestWithParam<Shape> {};

TEST_P(QkvRope, ForwardAndBackward) {
  const Shape s = GetParam();
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const Values values : kAllValues) {
      Data data(s, values);
      const Floats dq_norm = data.dq_norm, dk_norm = data.dk_norm;
      RunOp(data.Forward());
      ExpectScalarsClose(Joined({data.q, data.k, data.v}), data.reference(), data.In(), s.D, Structured(values));
      RunOp(data.Backward());
      ExpectScalarsClose(data.dqkv, GradientOf(data.reference(), 0), data.In(), s.D, Structured(values));
      if (!s.norms) continue;
      const int64_t terms = s.D + s.rows();
      ExpectClose(data.dq_norm, GradientOf(data.reference(), 1, dq_norm), data.In(), terms * s.H, Structured(values));
      ExpectClose(data.dk_norm, GradientOf(data.reference(), 2, dk_norm), data.In(), terms * s.K, Structured(values));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, QkvRope,
                         testing::Values(Shape{1, 1, 1, 1, 4, true, true}, Shape{2, 3, 2, 1, 4, true, true},
                                         Shape{1, 17, 1, 1, 6, true, true}, Shape{2, 2, 5, 1, 6, false, true},
                                         Shape{1, 3, 2, 2, 8, true, false}, Shape{2, 3, 3, 3, 5, false, false},
                                         Shape{1, 2, 7, 1, 10, true, true}, Shape{1, 3, 1, 1, 70, true, true}));

TEST(QkvRopeTest, LargeShapeAlongADirection) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const int64_t D : {64, 80, 128}) {
      Data data({2, 33, 4, 2, D, true, true});
      data.dq_norm.assign(D, 0.0f);
      data.dk_norm.assign(D, 0.0f);
      RunOp(data.Forward());
      ExpectScalarsClose(Joined({data.q, data.k, data.v}), data.reference(), data.In(), D);
      RunOp(data.Backward());
      ExpectCloseAlong({data.dqkv, data.dq_norm, data.dk_norm, {}}, data.reference(), data.In(), D + 66 * 4);
    }
  }
}

// A device cannot stop the process for a position that is not in the table; it must not read beyond it either.
TEST(QkvRopeTest, BadPositionOnADeviceMakesItsRowNan) {
  for (const Backend& backend : CudaBackends()) {
    const OnBackend on(backend);
    Data data({1, 3, 1, 1, 8, true, true});
    data.positions[1] = 5;
    RunOp(data.Forward());
    for (int64_t t = 0; t < 3; ++t) {
      for (int64_t d = 0; d < 8; ++d) EXPECT_EQ(std::isnan(data.q[t * 8 + d]), t == 1);
    }
  }
}

TEST(QkvRopeTest, GradientMayReplaceTheInput) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data apart({2, 19, 2, 1, 16, true, true}), in_place({2, 19, 2, 1, 16, true, true});
    RunOp(apart.Backward());
    QkvRopeBackward backward = in_place.Backward();
    backward.dqkv = backward.qkv;
    RunOp(backward);
    EXPECT_EQ(in_place.qkv, apart.dqkv);
    EXPECT_EQ(Joined({in_place.dq_norm, in_place.dk_norm}), Joined({apart.dq_norm, apart.dk_norm}));
  }
}

TEST(QkvRopeTest, BitsDoNotDependOnThreads) {
  ExpectSameBitsForThreads([] {
    Data data({2, 65, 4, 2, 32, true, true});
    RunOp(data.Forward());
    RunOp(data.Backward());
    return Joined({data.q, data.k, data.v, data.dqkv, data.dq_norm, data.dk_norm});
  });
}

TEST(QkvRopeTest, BitsDoNotDependOnSchedules) {
  ExpectSameBitsForSchedules([] {
    Data data({2, 65, 4, 2, 32, true, true});
    RunOp(data.Forward());
    RunOp(data.Backward());
    return Joined({data.q, data.k, data.v, data.dqkv, data.dq_norm, data.dk_norm});
  });
}

TEST(QkvRopeDeathTest, RefusesWrongArguments) {
  Data data({1, 3, 2, 1, 4, true, true});
  QkvRopeForward forward = data.Forward();
  forward.k_norm = {};
  EXPECT_DEATH(RunOp(forward), "both or not at all");
  forward = data.Forward();
  forward.positions = {};
  EXPECT_DEATH(RunOp(forward), "angles need positions");
  forward = data.Forward();
  forward.v = forward.k;
  EXPECT_DEATH(RunOp(forward), "shares memory");
  forward = data.Forward();
  forward.q.ptr = nullptr;
  EXPECT_DEATH(RunOp(forward), "no memory");
  Data odd({1, 3, 2, 1, 5, false, false});
  forward = odd.Forward();
  forward.angles = Tensor(odd.angles.data(), DType::kF32, {5, 2, 2});
  forward.positions = View(odd.positions, {1, 3});
  EXPECT_DEATH(RunOp(forward), "odd width");
  QkvRopeBackward backward = data.Backward();
  backward.qkv = {};
  EXPECT_DEATH(RunOp(backward), "qkv is needed");
  backward = data.Backward();
  backward.dk_norm = {};
  EXPECT_DEATH(RunOp(backward), "both or not at all");
  data.positions[1] = 5;
  EXPECT_DEATH(RunOp(data.Forward()), "must lie in \\[0, 5\\)");
}

}  // namespace
}  // namespace ingot
