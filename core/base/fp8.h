#pragma once
// 8-bit floating-point values (OCP 8-bit Floating Point Specification 1.0): a sign, an exponent, a mantissa.
#include <bit>
#include <cstdint>

namespace ingot {

struct E4m3 {  // exponent of 4 bits, bias 7; no infinities, NaN is 0x7F and 0xFF; largest 448
  uint8_t bits = 0;
};
struct E5m2 {  // exponent of 5 bits, bias 15; infinities and NaN as IEEE 754 has them; largest 57344
  uint8_t bits = 0;
};

// What the conversions follow from.
template <typename Fp8>
struct Fp8Format;
template <>
struct Fp8Format<E4m3> {
  static constexpr int kMantissaBits = 3, kBias = 7;
  static constexpr uint32_t kLargest = 0x7E;
  static constexpr int kLargestExponent = 8;  // the largest value is 1.75 times two to the power of it
};
template <>
struct Fp8Format<E5m2> {
  static constexpr int kMantissaBits = 2, kBias = 15;
  static constexpr uint32_t kLargest = 0x7B;
  static constexpr int kLargestExponent = 15;
};

// To nearest, ties to even. What is larger than the largest value becomes it, infinities too; every NaN becomes 0x7F, as by
// cvt.rn.satfinite. constexpr, so that kernels can call it.
template <typename Fp8>
constexpr Fp8 ToFp8(float value) {
  using Format = Fp8Format<Fp8>;
  constexpr int kCut = 23 - Format::kMantissaBits, kRebias = 127 - Format::kBias;
  constexpr uint32_t kSmallestNormal = uint32_t{kRebias + 1} << 23;
  const uint32_t bits = std::bit_cast<uint32_t>(value), magnitude = bits & 0x7FFFFFFFu, sign = bits >> 24 & 0x80u;
  if (magnitude > 0x7F800000u) return {0x7F};
  uint32_t code = 0;
  if (magnitude < kSmallestNormal) {
    // The last place of `shift` is the smallest fp8 value, so that the addition rounds to a multiple of it.
    constexpr uint32_t kShift = uint32_t{kRebias + 1 + kCut} << 23;
    const float shifted = std::bit_cast<float>(magnitude) + std::bit_cast<float>(kShift);
    code = std::bit_cast<uint32_t>(shifted) - kShift;
  } else {
    const uint32_t rounded = (magnitude + (1u << (kCut - 1)) - 1 + (magnitude >> kCut & 1u)) >> kCut;
    code = rounded - (uint32_t{kRebias} << Format::kMantissaBits);
  }
  return {static_cast<uint8_t>((code < Format::kLargest ? code : Format::kLargest) | sign)};
}

template <typename Fp8>
constexpr float Fp8ToFloat(Fp8 value) {
  using Format = Fp8Format<Fp8>;
  constexpr uint32_t kMantissa = (1u << Format::kMantissaBits) - 1, kRebias = 127 - Format::kBias;
  const uint32_t code = value.bits & 0x7Fu, sign = uint32_t{value.bits & 0x80u} << 24;
  if (code > Format::kLargest) {
    const bool infinite = Format::kMantissaBits == 2 && code == Format::kLargest + 1;
    return std::bit_cast<float>(infinite ? 0x7F800000u | sign : 0x7FFFFFFFu);
  }
  if (code <= kMantissa) {
    constexpr uint32_t kSmallest = (kRebias + 1 - Format::kMantissaBits) << 23;
    const float magnitude = static_cast<float>(code) * std::bit_cast<float>(kSmallest);
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  return std::bit_cast<float>(((code << (23 - Format::kMantissaBits)) + (kRebias << 23)) | sign);
}
constexpr float ToFloat(E4m3 value) { return Fp8ToFloat(value); }
constexpr float ToFloat(E5m2 value) { return Fp8ToFloat(value); }

// The scale of values whose largest magnitude has the bits `magnitude` as a float: the smallest power of two, at least
// 2^-126, by which all of them divided fit into Fp8; 1 for zeros; NaN if one of them is not finite, so that nothing wrong
// passes for a number. A maximum of these bits as integers is one of the magnitudes, and NaN is the largest.
template <typename Fp8>
constexpr float Fp8Scale(uint32_t magnitude) {
  if (magnitude == 0) return 1;
  if (magnitude >= 0x7F800000u) return std::bit_cast<float>(0x7FFFFFFFu);
  constexpr uint32_t kThreeQuarters = 0x600000u;  // the mantissa of the largest value
  const int exponent = static_cast<int>((magnitude + (0x7FFFFFu - kThreeQuarters)) >> 23);
  const int scale = exponent - Fp8Format<Fp8>::kLargestExponent;
  return std::bit_cast<float>(static_cast<uint32_t>(scale < 1 ? 1 : scale) << 23);
}

}  // namespace ingot
