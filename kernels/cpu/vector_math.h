#pragma once
// Branch-free exp, tanh and sigmoid in fp32, inlined into loops that g++ and clang vectorise without -ffast-math. Every
// step is an exactly defined IEEE operation (fused ones are written as std::fma), so a lane of a vector loop and a
// scalar call give the same bits. NaN gives NaN. Thread safe. Where flush-to-zero is on, denormal results are 0.
#include <bit>
#include <cmath>
#include <cstdint>

namespace ingot {

// e^x with at most 1 ulp of error: infinity above 88.73, denormals below -87.34, 0 below -103.98.
//   x = n * ln 2 + r, |r| <= ln(2) / 2;   e^x = 2^n * (1 + r + r^2 * q(r)), q minimax of degree 4 (relative error 3e-9)
inline float Exp(float x) {
  constexpr float kShift = 0x1.8p23f;  // adding it rounds to an integer, which then stands in the low bits
  constexpr float kLow = -105.0f, kHigh = 90.0f;
  x = kLow > x ? kLow : x;  // written so that NaN passes
  x = kHigh < x ? kHigh : x;
  const float shifted = std::fma(x, 0x1.715476p0f, kShift);
  const float n = shifted - kShift;
  float r = std::fma(n, -0x1.62e430p-1f, x);  // ln 2 in two pieces
  r = std::fma(n, 0x1.05c610p-29f, r);
  float q = 0.0013814599f;
  q = std::fma(q, r, 0.008368717f);
  q = std::fma(q, r, 0.04166839f);
  q = std::fma(q, r, 0.16666521f);
  q = std::fma(q, r, 0.49999994f);
  const float p = std::fma(r * r, q, r) + 1.0f;
  // 2^n in two factors: n reaches 130 and -151, more than one exponent holds.
  const int32_t whole = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kShift);
  const int32_t half = whole >> 1;
  const float first = std::bit_cast<float>(static_cast<uint32_t>(half + 127) << 23);
  const float second = std::bit_cast<float>(static_cast<uint32_t>(whole - half + 127) << 23);
  return p * first * second;
}

// 1 / (1 + e^-x), at most 3 ulp; 0 below -88.72.
inline float Sigmoid(float x) { return 1.0f / (1.0f + Exp(-x)); }

// The sigmoid and 1 - sigmoid, which keeps its digits where the sigmoid is near 1.
struct SigmoidParts {
  float value, complement;
};
inline SigmoidParts SigmoidAndComplement(float x) {
  const float e = Exp(-x), s = 1.0f / (1.0f + e);
  return {s, x > 0.0f ? e * s : 1.0f - s};
}

// tanh x, at most 2 ulp.
//   |x| < 0.55: x + x^3 * t(x^2), t minimax of degree 4;   else 1 - 2 / (e^(2|x|) + 1) with the sign of x
inline float Tanh(float x) {
  const float a = std::fabs(x), z = x * x;
  float t = -0.0062742396f;
  t = std::fma(t, z, 0.02107168f);
  t = std::fma(t, z, -0.05385231f);
  t = std::fma(t, z, 0.13332586f);
  t = std::fma(t, z, -0.33333316f);
  const float near = std::fma(t * z, x, x);
  const float far = std::copysign(1.0f - 2.0f / (Exp(2.0f * a) + 1.0f), x);
  return a < 0.55f ? near : far;
}

}  // namespace ingot
