#pragma once
#include <cstddef>
#include <cstdint>

#include "core/base/bf16.h"
#include "core/base/fp8.h"

namespace ingot {

enum class DType : uint8_t { kF32, kF64, kBf16, kF16, kI32, kU16, kU8, kE4m3, kE5m2 };

constexpr int64_t SizeOf(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return 8;
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kBf16:
    case DType::kF16:
    case DType::kU16:
      return 2;
    case DType::kU8:
    case DType::kE4m3:
    case DType::kE5m2:
      return 1;
  }
  return 0;
}

constexpr const char* Name(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "f32";
    case DType::kF64:
      return "f64";
    case DType::kBf16:
      return "bf16";
    case DType::kF16:
      return "f16";
    case DType::kI32:
      return "i32";
    case DType::kU16:
      return "u16";
    case DType::kU8:
      return "u8";
    case DType::kE4m3:
      return "e4m3";
    case DType::kE5m2:
      return "e5m2";
  }
  return "?";
}

template <typename Element>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType kValue = DType::kF32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType kValue = DType::kF64;
};
template <>
struct DTypeOf<Bf16> {
  static constexpr DType kValue = DType::kBf16;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType kValue = DType::kI32;
};
template <>
struct DTypeOf<uint16_t> {
  static constexpr DType kValue = DType::kU16;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType kValue = DType::kU8;
};
template <>
struct DTypeOf<E4m3> {
  static constexpr DType kValue = DType::kE4m3;
};
template <>
struct DTypeOf<E5m2> {
  static constexpr DType kValue = DType::kE5m2;
};

}  // namespace ingot
