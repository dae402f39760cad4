#pragma once
// Operands of a product in device memory, and what the product is.
#include <algorithm>
#include <tuple>
#include <vector>

#include "kernels/cuda/gemm_sm90.h"
#include "tests/kernels/op_test.h"

namespace ingot {

// A matrix of normal numbers, which bf16 holds exactly where it is of bf16.
struct DeviceMatrix {
  DeviceMatrix(DType type, int64_t rows, int64_t columns, uint64_t stream)
      : memory(rows * columns * SizeOf(type)), values(Normal(rows * columns, stream)) {
    tensor = Tensor(memory.data(), type, {rows, columns});
    std::vector<Bf16> rounded(values.size());
    for (size_t i = 0; i < values.size(); ++i) rounded[i] = ToBf16(values[i]);
    if (type == DType::kBf16)
      std::transform(rounded.begin(), rounded.end(), values.begin(), [](Bf16 x) { return ToFloat(x); });
    memory.CopyFrom(type == DType::kBf16 ? reinterpret_cast<const char*>(rounded.data())
                                         : reinterpret_cast<const char*>(values.data()));
  }
  // What lies there now.
  Floats Values() const {
    std::vector<char> bytes(Bytes(tensor));
    memory.CopyTo(bytes.data());
    Floats now(Count(tensor));
    for (size_t i = 0; i < now.size(); ++i) {
      now[i] = tensor.dtype == DType::kBf16 ? ToFloat(reinterpret_cast<const Bf16*>(bytes.data())[i])
                                            : reinterpret_cast<const float*>(bytes.data())[i];
    }
    return now;
  }
  CudaMemory memory;
  Floats values;  // at the start
  Tensor tensor;
};

struct GemmShape {
  int64_t M, N, K;
  bool transpose_a, transpose_b;
  DType out;
  float beta;
  std::string Name() const {
    return std::to_string(M) + "x" + std::to_string(N) + "x" + std::to_string(K) + (transpose_a ? "T" : "N") +
           (transpose_b ? "T" : "N") + ingot::Name(out) + (beta != 0 ? "Add" : "");
  }
};

struct GemmData {
  explicit GemmData(const GemmShape& of)
      : shape(of),
        a(DType::kBf16, of.transpose_a ? of.K : of.M, of.transpose_a ? of.M : of.K, 1),
        b(DType::kBf16, of.transpose_b ? of.N : of.K, of.transpose_b ? of.K : of.N, 2),
        bias(of.out, 1, of.N, 3),
        c(of.out, of.M, of.N, 4) {}
  cuda::Gemm Op() const {
    return {.a = a.tensor,
            .b = b.tensor,
            .c = c.tensor,
            .bias = Reshaped(bias.tensor, {shape.N}),
            .transpose_a = shape.transpose_a,
            .transpose_b = shape.transpose_b,
            .alpha = 0.5f,
            .beta = shape.beta};
  }
  Floats Run() const {
    cuda::RunGemmSm90(Op(), CudaMemory::Stream());
    CudaMemory::Finish(absl::OkStatus());
    return c.Values();
  }
  float A(int64_t m, int64_t k) const { return a.values[shape.transpose_a ? k * shape.M + m : m * shape.K + k]; }
  float B(int64_t n, int64_t k) const { return b.values[shape.transpose_b ? n * shape.K + k : k * shape.N + n]; }
  // One after another in the order of k, as the emulator adds.
  float Expected(int64_t m, int64_t n) const {
    float sum = 0;
    for (int64_t k = 0; k < shape.K; ++k) sum += A(m, k) * B(n, k);
    float value = 0.5f * sum;
    if (shape.beta != 0) value += shape.beta * c.values[m * shape.N + n];
    value += bias.values[n];
    return shape.out == DType::kBf16 ? ToFloat(ToBf16(value)) : value;
  }
  GemmShape shape;
  DeviceMatrix a, b, bias, c;
};

// Every way to lay out the operands, both outputs, sizes off every tile; each goes round the stages at least twice.
inline std::vector<GemmShape> GemmShapes() {
  constexpr DType kF32 = DType::kF32, kBf16 = DType::kBf16;
  return {{1, 1, 8, false, true, kBf16, 0},       {129, 257, 72, false, true, kF32, 0},
          {200, 131, 520, false, true, kBf16, 0}, {257, 506, 584, false, true, kBf16, 1},
          {130, 520, 64, false, false, kBf16, 0}, {129, 264, 520, false, false, kF32, 0.5f},
          {136, 72, 99, true, false, kF32, 1},    {264, 512, 410, true, false, kF32, 1},
          {72, 270, 136, true, true, kBf16, 0},   {128, 768, 16, true, true, kF32, 0},
          {128, 512, 24, true, false, kBf16, 0},  {64, 1032, 136, false, false, kF32, 0}};
}

}  // namespace ingot
