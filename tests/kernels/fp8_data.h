#pragma once
// What tests of 8-bit values share.
#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/quantize_fp8.h"
#include "tests/kernels/op_test.h"

namespace ingot {

// An fp8 matrix in host memory that begins as what no op writes.
template <typename Fp8>
struct Fp8Data {
  Fp8Data(int64_t R_, int64_t C_)
      : R(R_),
        C(C_),
        rows(R * C, Fp8{0xAA}),
        columns(R * C, Fp8{0xAA}),
        scales(Fp8Matrix::Blocks(R) * Fp8Matrix::Blocks(C), -1.0f) {}
  Fp8Matrix View() {
    return {.rows = ingot::View(rows, {R, C}),
            .columns = ingot::View(columns, {C, R}),
            .scales = ingot::View(scales, {Fp8Matrix::Blocks(R), Fp8Matrix::Blocks(C)})};
  }
  // Values times scales, (R, C).
  std::vector<double> Values() const {
    std::vector<double> x(R * C);
    for (int64_t i = 0; i < R * C; ++i) {
      const int64_t block = i / C / Fp8Matrix::kBlock * Fp8Matrix::Blocks(C) + i % C / Fp8Matrix::kBlock;
      x[i] = static_cast<double>(ToFloat(rows[i])) * static_cast<double>(scales[block]);
    }
    return x;
  }
  // All bits, as floats, so that NaN is compared too.
  Floats Bits() const {
    Floats bits;
    for (const auto& codes : {rows, columns}) {
      for (const Fp8 code : codes) bits.push_back(code.bits);
    }
    for (const float scale : scales) {
      bits.push_back(static_cast<float>(std::bit_cast<uint32_t>(scale) >> 16));
      bits.push_back(static_cast<float>(std::bit_cast<uint32_t>(scale) & 0xFFFFu));
    }
    return bits;
  }

  int64_t R, C;
  std::vector<Fp8> rows, columns;
  Floats scales;
};

// By the CPU's QuantizeFp8.
template <typename Fp8>
Fp8Data<Fp8> Quantized(Floats x, int64_t R, int64_t C) {
  const OnBackend on(kCpuF32);
  Fp8Data<Fp8> y(R, C);
  RunOp(QuantizeFp8{.x = View(x, {R, C}), .y = y.View()});
  return y;
}

// run(y, y8) runs an op whose output of R x C is y, and y8 rounded to fp8: each alone, and both at once, and QuantizeFp8 of
// the one is the other, to the last bit.
template <typename Fp8>
void ExpectFusedEqualsParts(int64_t R, int64_t C, const std::function<void(Tensor, Fp8Matrix)>& run) {
  Floats alone = Nans(R * C), both = Nans(R * C);
  Fp8Data<Fp8> quantized(R, C), fused(R, C), fused_both(R, C);
  run(ScalarView(alone, {R, C}), {});
  RunOp(QuantizeFp8{.x = ScalarView(alone, {R, C}), .y = quantized.View()});
  run({}, fused.View());
  run(ScalarView(both, {R, C}), fused_both.View());
  EXPECT_EQ(both, alone);
  EXPECT_EQ(fused.Bits(), quantized.Bits());
  EXPECT_EQ(fused_both.Bits(), quantized.Bits());
}

// Outputs that reach over blocks in both directions, in packs and not.
struct Fp8Shape {
  int64_t R, C;
};
constexpr Fp8Shape kFp8Shapes[] = {{1, 1}, {16, 128}, {130, 136}, {129, 259}};

}  // namespace ingot
