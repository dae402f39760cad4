#pragma once
// What tests of ops share. An op has one templated reference, of its forward: double gives values, std::complex<double>
// gives gradients by the complex step, dF/dx = Im F(x + i h) / h with h = 2^-100, exact to double's last digits (Squire
// & Trapp 1998). The tolerance follows from the reference too: no figure is set by hand.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstring>
#include <functional>
#include <vector>

#include "core/base/philox.h"
#include "core/base/tensor.h"
#include "gtest/gtest.h"
#include "kernels/context.h"

namespace ingot {

template <typename N>
using Arrays = std::vector<std::vector<N>>;
using Floats = std::vector<float>;
using Function = std::function<std::vector<double>(const Arrays<double>&)>;

// Memory for a tensor that starts `offset` floats off a 256-byte line, its ends guarded by ASan.
template <typename Element>
Tensor View(std::vector<Element>& memory, std::initializer_list<int64_t> shape) {
  const Tensor view(memory.data(), DTypeOf<Element>::kValue, shape);
  EXPECT_EQ(Count(view), static_cast<int64_t>(memory.size()));
  return view;
}

inline Floats Normal(int64_t count, uint64_t stream, double deviation = 1) {
  Floats x(count);
  for (int64_t i = 0; i < count; ++i) x[i] = static_cast<float>(deviation * Philox{7}.Normal(stream, i));
  return x;
}

inline std::vector<double> Doubles(const Floats& x) { return {x.begin(), x.end()}; }

// Sum over the reference's outputs of dy * d output / d in[index], with dy as the last array of `in`.
template <typename Reference>
std::vector<double> Gradient(const Reference& reference, const Arrays<double>& in, size_t index) {
  using Complex = std::complex<double>;
  constexpr double kStep = 0x1p-100;
  Arrays<Complex> x;
  for (size_t i = 0; i + 1 < in.size(); ++i) x.emplace_back(in[i].begin(), in[i].end());
  const std::vector<double>& dy = in.back();
  std::vector<double> gradient(in[index].size());
  for (size_t k = 0; k < gradient.size(); ++k) {
    x[index][k] += Complex(0, kStep);
    const std::vector<Complex> y = reference(x);
    x[index][k] = in[index][k];
    for (size_t n = 0; n < y.size(); ++n) gradient[k] += dy[n] * y[n].imag() / kStep;
  }
  return gradient;
}

// How much function(in) moves, element by element, per relative movement of its inputs: the largest of 8 draws that
// move each input by a factor of 1 +- 2^-16.
inline std::vector<double> Sensitivity(const Function& function, const Arrays<double>& in) {
  constexpr double kMove = 0x1p-16;
  const std::vector<double> v = function(in);
  std::vector<double> moved(v.size(), 0);
  for (uint64_t draw = 0; draw < 8; ++draw) {
    Arrays<double> x = in;
    uint64_t n = 0;
    for (auto& array : x) {
      for (double& element : array) element *= 1 + ((Philox{draw}.Word(1, n++) & 1) != 0 ? kMove : -kMove);
    }
    const std::vector<double> w = function(x);
    for (size_t i = 0; i < v.size(); ++i) moved[i] = std::max(moved[i], std::fabs(w[i] - v[i]) / kMove);
  }
  return moved;
}

// |got - v| <= u |v| + u (8 + g) (|v| + sensitivity) + smallest normal, u = 2^-24. g covers a chain of additions of
// `chain` terms: its square root for random data, all of it for structured data, whose rounding errors point one way
// (Higham & Mary 2019).
inline void ExpectWithin(const Floats& got, const std::vector<double>& v, const std::vector<double>& sensitivity,
                         int64_t chain, bool structured = false) {
  constexpr double kUnit = 0x1p-24;
  const double g = structured ? static_cast<double>(chain) : std::sqrt(static_cast<double>(chain));
  ASSERT_EQ(got.size(), v.size());
  for (size_t i = 0; i < v.size(); ++i) {
    const double size = std::fabs(v[i]);
    const double tolerance = kUnit * size + kUnit * (8 + g) * (size + sensitivity[i]) + 0x1p-126;
    ASSERT_LE(std::fabs(static_cast<double>(got[i]) - v[i]), tolerance)
        << "element " << i << ": " << got[i] << ", not " << v[i];
  }
}

inline void ExpectClose(const Floats& got, const Function& function, const Arrays<double>& in, int64_t chain,
                        bool structured = false) {
  ExpectWithin(got, function(in), Sensitivity(function, in), chain, structured);
}

// Scratch enough for one op, filled with NaN so that reading before writing shows.
template <typename Op>
void RunOp(const Op& op) {
  int64_t bytes = 0;
  if constexpr (HasScratch<Op>) bytes = op.ScratchBytes();
  std::vector<char> memory(bytes + 64, static_cast<char>(0xFF));
  char* const aligned = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
  Context context(Tensor(aligned, DType::kU8, {bytes}));
  context.Run(op);
}

// Calls body() with 1, 2 and 3 threads; what it returns must be the same to the last bit.
inline void ExpectSameBitsForThreads(const std::function<Floats()>& body) {
  const int before = omp_get_max_threads();
  std::vector<Floats> results;
  for (const int threads : {1, 2, 3}) {
    omp_set_num_threads(threads);
    results.push_back(body());
  }
  omp_set_num_threads(before);
  for (size_t i = 1; i < results.size(); ++i) {
    ASSERT_EQ(results[0].size(), results[i].size());
    EXPECT_EQ(std::memcmp(results[0].data(), results[i].data(), results[0].size() * sizeof(float)), 0)
        << i + 1 << " threads";
  }
}

}  // namespace ingot
