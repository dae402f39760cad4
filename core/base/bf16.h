#pragma once
// 16-bit floating-point values and their rounding (to nearest, ties to even; IEEE 754-2019 §4.3.1).
#include <bit>
#include <cstdint>

namespace ingot {

// bfloat16: the upper half of an IEEE binary32.
struct Bf16 {
  uint16_t bits = 0;
};

constexpr float ToFloat(Bf16 value) { return std::bit_cast<float>(uint32_t{value.bits} << 16); }

// Overflow rounds to infinity; every NaN becomes 0x7FFF, as by CUDA's conversion. constexpr, so that kernels can call it.
constexpr Bf16 ToBf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return {0x7FFF};
  return {static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16)};
}

// Stochastic rounding (Croci et al. 2022, doi:10.1098/rsos.211631): the neighbour away from zero with the probability of
// the fraction that is cut off, the one towards zero otherwise, so that the mean is `value`. random16: 16 uniform bits.
// What is finite stays finite; every NaN becomes 0x7FFF.
constexpr Bf16 ToBf16Stochastic(float value, uint32_t random16) {
  const uint32_t bits = std::bit_cast<uint32_t>(value), magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return {0x7FFF};
  const uint32_t rounded = (bits + random16) >> 16;
  const bool overflows = (rounded & 0x7FFFu) >= 0x7F80u && magnitude < 0x7F800000u;
  return {static_cast<uint16_t>(overflows ? bits >> 16 : rounded)};
}

// IEEE binary16.
struct F16 {
  uint16_t bits = 0;
};

float ToFloat(F16 value);
// Overflow rounds to infinity: the caller decides whether that is an error.
F16 ToF16(float value);

}  // namespace ingot
