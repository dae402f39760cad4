// The plain product of a GPU build beside the emulator's, which is the CPU's BLAS.
#include "kernels/cuda/gemm_tiled.h"

#include <cmath>
#include <tuple>

#include "tests/kernels/op_test.h"

namespace ingot {
namespace {

struct Operand {
  Operand(DType type, int64_t rows, int64_t columns, uint64_t stream) : memory(rows * columns * SizeOf(type)) {
    tensor = Tensor(memory.data(), type, {rows, columns});
    const Floats values = Normal(rows * columns, stream);
    std::vector<Bf16> rounded(values.size());
    for (size_t i = 0; i < values.size(); ++i) rounded[i] = ToBf16(values[i]);
    memory.CopyFrom(type == DType::kBf16 ? reinterpret_cast<const char*>(rounded.data())
                                         : reinterpret_cast<const char*>(values.data()));
  }
  Floats Values() const {
    std::vector<char> bytes(Bytes(tensor));
    memory.CopyTo(bytes.data());
    Floats values(Count(tensor));
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = tensor.dtype == DType::kBf16 ? ToFloat(reinterpret_cast<const Bf16*>(bytes.data())[i])
                                               : reinterpret_cast<const float*>(bytes.data())[i];
    }
    return values;
  }
  CudaMemory memory;
  Tensor tensor;
};

class TiledGemm : public testing::TestWithParam<std::tuple<int, int, int>> {};

TEST_P(TiledGemm, IsTheBlasProduct) {
  const auto [M, N, K] = GetParam();
  for (const DType in : {DType::kF32, DType::kBf16}) {
    for (const DType out : {DType::kF32, DType::kBf16}) {
      if (in == DType::kF32 && out == DType::kBf16) continue;  // no op asks for it
      for (const bool transposed : {false, true}) {
        const Operand a(in, transposed ? K : M, transposed ? M : K, 1);
        const Operand b(in, transposed ? N : K, transposed ? K : N, 2), bias(out, 1, N, 3);
        const Operand blas(out, M, N, 4), tiled(out, M, N, 4);
        cuda::Gemm gemm = {.a = a.tensor,
                           .b = b.tensor,
                           .c = blas.tensor,
                           .bias = Reshaped(bias.tensor, {N}),
                           .transpose_a = transposed,
                           .transpose_b = transposed,
                           .alpha = 0.5f,
                           .beta = transposed ? 1.0f : 0.0f};
        std::vector<char> workspace(cuda::GemmWorkspaceBytes());
        cuda::RunGemm(gemm, workspace.data(), CudaMemory::Stream());
        gemm.c = tiled.tensor;
        cuda::RunTiledGemm(gemm, CudaMemory::Stream());
        CudaMemory::Finish(absl::OkStatus());
        const Floats wanted = blas.Values(), got = tiled.Values();
        // Two fp32 sums of K products of normal numbers, and a rounding of the output each.
        const double sums = 2 * kUnit * std::sqrt(static_cast<double>(K)) * (4 + std::sqrt(static_cast<double>(K)));
        const double output = 2 * (out == DType::kBf16 ? 0x1p-8 : kUnit);
        for (size_t i = 0; i < wanted.size(); ++i) {
          ASSERT_NEAR(got[i], wanted[i], sums + output * std::fabs(wanted[i]) + 1e-6) << i;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, TiledGemm,
                         testing::Values(std::tuple(1, 1, 1), std::tuple(3, 5, 7), std::tuple(64, 64, 16),
                                         std::tuple(65, 63, 17), std::tuple(130, 70, 40)));

}  // namespace
}  // namespace ingot
