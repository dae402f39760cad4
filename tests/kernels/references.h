#pragma once
// Formulas that more than one op is held against: by itself and inside of a fused one.
#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

#include "tests/kernels/op_test.h"

namespace ingot {

// GELU, approximated by tanh. std::tanh of a large complex number overflows inside: 1 + tanh u = 2 / (1 + e^-2u) instead.
template <typename N>
N GeluOf(const N& x) {
  const N u = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  return std::real(u) < -300 ? N(0) : x / (1.0 + std::exp(-2.0 * u));
}

template <typename N>
std::vector<N> GeluOf(std::vector<N> x) {
  for (N& value : x) value = GeluOf(value);
  return x;
}

// in: gate_up (R, 2F); out: silu(gate) * up (R, F)
struct SwigluReference {
  int64_t R, F;
  template <typename N>
  std::vector<N> operator()(const Arrays<N>& in) const {
    std::vector<N> y(R * F);
    for (int64_t i = 0; i < R * F; ++i) {
      const int64_t gate = i / F * 2 * F + i % F;
      y[i] = in[0][gate] / (1.0 + std::exp(-in[0][gate])) * in[0][gate + F];
    }
    return y;
  }
};

// in: x (R, I), w (O, I), bias (O); out: x w^T + bias (R, O)
struct LinearReference {
  int64_t R, I, O;
  template <typename N>
  std::vector<N> operator()(const Arrays<N>& in) const {
    std::vector<N> y(R * O);
    for (int64_t r = 0; r < R; ++r) {
      for (int64_t o = 0; o < O; ++o) {
        N sum = in[2][o];
        for (int64_t i = 0; i < I; ++i) sum += in[0][r * I + i] * in[1][o * I + i];
        y[r * O + o] = sum;
      }
    }
    return y;
  }
};

}  // namespace ingot
