#pragma once
// Operands of a product of fp8 in device memory, and what the product is.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kernels/cuda/gemm_fp8.h"
#include "kernels/fp8_matrix.h"
#include "tests/kernels/gemm_sm90_data.h"

namespace ingot {

// (rows, K): normal numbers rounded to fp8, and scales from 1/4 to 4 that differ by block. Scales of a matrix whose `columns`
// the product reads lie the other way round.
struct Fp8DeviceOperand {
  Fp8DeviceOperand(DType of, int64_t rows, int64_t columns, bool turned_scales, uint64_t stream)
      : type(of),
        K(columns),
        turned(turned_scales),
        blocks_m(Fp8Matrix::Blocks(rows)),
        blocks_k(Fp8Matrix::Blocks(K)),
        memory(rows * K),
        scale_memory(blocks_m * blocks_k * SizeOf(DType::kF32)),
        values(Normal(rows * K, stream)),
        scales(static_cast<size_t>(blocks_m * blocks_k)) {
    std::vector<char> codes(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      const E4m3 four = ToFp8<E4m3>(values[i]);
      const E5m2 five = ToFp8<E5m2>(values[i]);
      codes[i] = static_cast<char>(type == DType::kE4m3 ? four.bits : five.bits);
      values[i] = type == DType::kE4m3 ? ToFloat(four) : ToFloat(five);
    }
    for (size_t i = 0; i < scales.size(); ++i) {
      scales[i] = std::ldexp(1.0f, static_cast<int>(Philox{5}.Below(5, stream, i)) - 2);
    }
    memory.CopyFrom(codes.data());
    scale_memory.CopyFrom(reinterpret_cast<const char*>(scales.data()));
  }
  cuda::Fp8Operand Op() const {
    return {.values = Tensor(memory.data(), type, {static_cast<int64_t>(values.size()) / K, K}),
            .scales = reinterpret_cast<const float*>(scale_memory.data()),
            .stride_m = turned ? 1 : blocks_k,
            .stride_k = turned ? blocks_m : 1};
  }
  float Value(int64_t m, int64_t k) const { return values[m * K + k]; }
  float Scale(int64_t m, int64_t k) const {
    const int64_t i = m / Fp8Matrix::kBlock, j = k / Fp8Matrix::kBlock;
    return scales[turned ? j * blocks_m + i : i * blocks_k + j];
  }
  DType type;
  int64_t K;
  bool turned;
  int64_t blocks_m, blocks_k;
  CudaMemory memory, scale_memory;
  Floats values, scales;
};

struct Fp8GemmShape {
  int64_t M, N, K;
  DType a, b, out;
  float beta;
  bool bias;
  std::string Name() const {
    return std::to_string(M) + "x" + std::to_string(N) + "x" + std::to_string(K) + ingot::Name(a) + ingot::Name(b) +
           ingot::Name(out) + (beta != 0 ? "Add" : "") + (bias ? "Bias" : "");
  }
};

struct Fp8GemmData {
  explicit Fp8GemmData(const Fp8GemmShape& of)
      : shape(of),
        a(of.a, of.M, of.K, /*turned_scales=*/of.N % 2 == 0, 1),
        b(of.b, of.N, of.K, /*turned_scales=*/of.M % 2 == 0, 2),
        bias(of.out, 1, of.N, 3),
        c(of.out, of.M, of.N, 4) {}
  cuda::GemmFp8 Op() const {
    return {.a = a.Op(),
            .b = b.Op(),
            .c = c.tensor,
            .bias = shape.bias ? Reshaped(bias.tensor, {shape.N}) : Tensor(),
            .beta = shape.beta};
  }
  Floats Run() const {
    cuda::RunGemmFp8(Op(), CudaMemory::Stream());
    CudaMemory::Finish(absl::OkStatus());
    return c.Values();
  }
  // As the emulator adds: a block's products one after another, then scaled.
  float InOrder(int64_t m, int64_t n) const {
    float value = 0;
    for (int64_t block = 0; block < shape.K; block += Fp8Matrix::kBlock) {
      float sum = 0;
      for (int64_t k = block; k < std::min(shape.K, block + Fp8Matrix::kBlock); ++k)
        sum += a.Value(m, k) * b.Value(n, k);
      value += a.Scale(m, block) * b.Scale(n, block) * sum;
    }
    if (shape.beta != 0) value += c.values[m * shape.N + n];
    if (shape.bias) value += bias.values[n];
    return shape.out == DType::kBf16 ? ToFloat(ToBf16(value)) : value;
  }
  Fp8GemmShape shape;
  Fp8DeviceOperand a, b;
  DeviceMatrix bias, c;
};

// All pairs of types and both outputs; sums of one block, of several, and with a tail; sizes off every tile.
inline std::vector<Fp8GemmShape> Fp8GemmShapes() {
  constexpr DType k4 = DType::kE4m3, k5 = DType::kE5m2, kF32 = DType::kF32, kBf16 = DType::kBf16;
  return {{1, 1, 16, k4, k4, kF32, 0, false},      {128, 128, 128, k4, k4, kBf16, 0, true},
          {129, 257, 144, k4, k5, kF32, 1, true},  {200, 131, 528, k5, k4, kBf16, 0, true},
          {257, 390, 272, k4, k4, kBf16, 1, true}, {136, 264, 1040, k5, k5, kF32, 1, false},
          {72, 270, 128, k5, k4, kF32, 0, true},   {40, 1032, 48, k5, k4, kBf16, 0, false}};
}

}  // namespace ingot
