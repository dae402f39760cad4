#pragma once
// What tests of ops share. An op has one templated reference, of its forward: double gives values, std::complex<double>
// gives gradients by the complex step, dF/dx = Im F(x + i h) / h with h = 2^-100, exact to double's last digits (Squire
// & Trapp 1998). The tolerance follows from the reference too: no figure is set by hand. The same body runs on every
// backend (backend.h).
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
#include "tests/kernels/backend.h"
#include "tests/kernels/schedules.h"

namespace ingot {

template <typename N>
using Arrays = std::vector<std::vector<N>>;
using Floats = std::vector<float>;
using Function = std::function<std::vector<double>(const Arrays<double>&)>;

// A tensor over a vector's memory, which begins off the vectors' boundaries and whose ends ASan guards.
template <typename Element>
Tensor View(std::vector<Element>& memory, std::initializer_list<int64_t> shape) {
  const Tensor view(memory.data(), DTypeOf<Element>::kValue, shape);
  EXPECT_EQ(Count(view), static_cast<int64_t>(memory.size()));
  return view;
}

// A bf16 tensor on any backend. Its values are rounded in place, so that a reference sees what the op sees.
inline Tensor Bf16View(Floats& memory, std::initializer_list<int64_t> shape) {
  for (float& x : memory) x = ToFloat(ToBf16(x));
  Tensor view = View(memory, shape);
  view.dtype = DType::kBf16;
  return view;
}

// A tensor of the type that the current backend has for activations and weights; View() is for what is always f32.
inline Tensor ScalarView(Floats& memory, std::initializer_list<int64_t> shape) {
  return CurrentBackend().scalar == DType::kBf16 ? Bf16View(memory, shape) : View(memory, shape);
}

// For references that are given values before the op is: rounds them as ScalarView does.
inline void RoundScalars(std::initializer_list<Floats*> arrays) {
  for (Floats* array : arrays) ScalarView(*array, {static_cast<int64_t>(array->size())});
}

inline Floats Normal(int64_t count, uint64_t stream, double deviation = 1) {
  Floats x(count);
  for (int64_t i = 0; i < count; ++i) x[i] = static_cast<float>(deviation * Philox{7}.Normal(stream, i));
  return x;
}

// What an op may meet. All but the first are structured: their rounding errors may all point one way.
enum class Values { kNormal, kSpike, kZeros, kEqual, kHundreds };
constexpr Values kAllValues[] = {Values::kNormal, Values::kSpike, Values::kZeros, Values::kEqual, Values::kHundreds};

inline bool Structured(Values values) { return values != Values::kNormal; }

// (R, C); kSpike: all small but the last element of each row.
inline Floats Make(Values values, int64_t R, int64_t C, uint64_t stream) {
  Floats x = Normal(R * C, stream);
  for (int64_t i = 0; i < R * C; ++i) {
    if (values == Values::kSpike) x[i] = i % C == C - 1 ? 100.0f : 0.01f * x[i];
    if (values == Values::kZeros) x[i] = 0;
    if (values == Values::kEqual) x[i] = 1.7f;
    if (values == Values::kHundreds) x[i] = x[i] < 0 ? -100.0f : 100.0f;
  }
  return x;
}

inline Floats Joined(std::initializer_list<Floats> parts) {
  Floats all;
  for (const Floats& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

inline Floats Nans(int64_t count) { return Floats(count, std::nanf("")); }

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

// Gradient() as a function of the inputs; `start` is what a += output held before.
template <typename Reference>
Function GradientOf(const Reference& reference, size_t index, const Floats& start = {}) {
  return [reference, index, start](const Arrays<double>& in) {
    std::vector<double> gradient = Gradient(reference, in, index);
    for (size_t i = 0; i < start.size(); ++i) gradient[i] += static_cast<double>(start[i]);
    return gradient;
  };
}

// For large shapes: sum over the inputs of gradient * direction, by one complex step instead of one an element.
template <typename Reference>
Function Along(const Reference& reference, const Arrays<double>& direction) {
  return [reference, direction](const Arrays<double>& in) {
    Arrays<std::complex<double>> x;
    for (size_t i = 0; i + 1 < in.size(); ++i) {
      x.emplace_back(in[i].begin(), in[i].end());
      for (size_t k = 0; k < direction[i].size(); ++k) x[i][k] += std::complex<double>(0, 0x1p-100 * direction[i][k]);
    }
    double sum = 0;
    const auto y = reference(x);
    for (size_t n = 0; n < y.size(); ++n) sum += in.back()[n] * y[n].imag() * 0x1p100;
    return std::vector<double>{sum};
  };
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

// Unit roundoff: of f32, and of the backend's activations and weights (ScalarView).
constexpr double kUnit = 0x1p-24;
inline double ScalarUnit() { return CurrentBackend().scalar == DType::kBf16 ? 0x1p-8 : kUnit; }

// |got - v| <= output |v| + u (8 + g) (|v| + sensitivity) + smallest normal, u = 2^-24, `output` the unit roundoff of
// the type that got was stored in. g covers a chain of additions of `chain` terms: its square root for random data, all
// of it for structured data, whose rounding errors point one way (Higham & Mary 2019). `midway`, if given, is a bound
// for what each element owes to values that were stored in a shorter type on the way.
inline void ExpectWithin(const Floats& got, const std::vector<double>& v, const std::vector<double>& sensitivity,
                         int64_t chain, bool structured = false, double output = kUnit,
                         const std::vector<double>& midway = {}) {
  const double g = structured ? static_cast<double>(chain) : std::sqrt(static_cast<double>(chain));
  ASSERT_EQ(got.size(), v.size());
  for (size_t i = 0; i < v.size(); ++i) {
    const double short_stores = midway.empty() ? 0 : midway[i];
    const double computed = kUnit * (8 + g) * (std::fabs(v[i]) + sensitivity[i]) + short_stores;
    const double tolerance = output * (std::fabs(v[i]) + computed) + computed + 0x1p-126;
    ASSERT_LE(std::fabs(static_cast<double>(got[i]) - v[i]), tolerance)
        << "element " << i << ": " << got[i] << ", not " << v[i];
  }
}

// For outputs that are always f32.
inline void ExpectClose(const Floats& got, const Function& function, const Arrays<double>& in, int64_t chain,
                        bool structured = false) {
  ExpectWithin(got, function(in), Sensitivity(function, in), chain, structured);
}

// For outputs by ScalarView: computed in f32 from inputs that were rounded before, then rounded once.
inline void ExpectScalarsClose(const Floats& got, const Function& function, const Arrays<double>& in, int64_t chain,
                               bool structured = false) {
  ExpectWithin(got, function(in), Sensitivity(function, in), chain, structured, ScalarUnit());
}

// gradients[i], one an input, times random directions against Along() the same directions. The gradients of inputs in
// `scalars` were stored by ScalarView: each element may be off by its rounding, independent of the others', whose sum
// stays below 8 times the root of the summed squares.
template <typename Reference>
void ExpectCloseAlong(const std::vector<Floats>& gradients, const Reference& reference, const Arrays<double>& in,
                      int64_t chain, const std::vector<size_t>& scalars = {0}) {
  Arrays<double> direction;
  double sum = 0, squares = 0;
  for (const Floats& gradient : gradients) {
    const size_t i = direction.size();
    direction.push_back(Doubles(Normal(static_cast<int64_t>(gradient.size()), 100 + i)));
    const bool scalar = std::count(scalars.begin(), scalars.end(), i) > 0;
    for (size_t k = 0; k < gradient.size(); ++k) {
      const double term = static_cast<double>(gradient[k]) * direction.back()[k];
      sum += term;
      if (scalar && ScalarUnit() > kUnit) squares += term * term;
    }
  }
  const Function along = Along(reference, direction);
  const std::vector<double> v = along(in), moved = Sensitivity(along, in);
  const double rounded = 8 * ScalarUnit() * std::sqrt(squares);
  const double computed = kUnit * (9 + std::sqrt(static_cast<double>(chain))) * (std::fabs(v[0]) + moved[0]);
  EXPECT_LE(std::fabs(sum - v[0]), rounded + computed + 0x1p-126) << sum << ", not " << v[0];
}

inline void ExpectSameBits(const std::vector<Floats>& results, const char* what) {
  for (size_t i = 1; i < results.size(); ++i) {
    ASSERT_EQ(results[0].size(), results[i].size());
    EXPECT_EQ(std::memcmp(results[0].data(), results[i].data(), results[0].size() * sizeof(float)), 0)
        << what << ' ' << i + 1;
  }
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
  ExpectSameBits(results, "threads");
}

// The same on every CUDA backend, for orders of threads instead of their number.
inline void ExpectSameBitsForSchedules(const std::function<Floats()>& body) {
  for (const Backend& backend : CudaBackends()) {
    const OnBackend on(backend);
    std::vector<Floats> results;
    ForEachSchedule([&] { results.push_back(body()); });
    ExpectSameBits(results, "schedule");
  }
}

}  // namespace ingot
