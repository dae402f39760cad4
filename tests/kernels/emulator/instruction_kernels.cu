#include "tests/kernels/emulator/instruction_kernels.h"

#include "kernels/cuda/device.cuh"
#include "tests/kernels/emulator/device_array.h"

namespace ingot {
namespace {

__global__ void MmaKernel(const uint32_t* a, const uint32_t* b, uint32_t* d) {
  const int lane = static_cast<int>(threadIdx.x);
  uint32_t a_registers[4];
  float sums[4];
  for (int i = 0; i < 4; ++i) a_registers[i] = a[lane * 4 + i];
  for (int i = 0; i < 4; ++i) sums[i] = BitCast<float>(d[lane * 4 + i]);
  MmaM16N8K16(sums, a_registers, b[lane * 2], b[lane * 2 + 1]);
  for (int i = 0; i < 4; ++i) d[lane * 4 + i] = BitCast<uint32_t>(sums[i]);
}

struct MatrixShared {
  alignas(16) uint16_t rows[32][8];
};

template <int kMatrices, bool kTransposed>
__global__ void LoadMatrixKernel(const uint16_t* memory, const int* row_of_lane, uint32_t* out) {
  auto& shared = SharedStorage<MatrixShared>();
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = 0; i < 8; ++i) shared.rows[lane][i] = memory[lane * 8 + i];
  __syncwarp();
  const void* const row = shared.rows[row_of_lane[lane]];
  uint32_t r[4] = {};
  if constexpr (kMatrices == 4) {
    kTransposed ? LoadMatrixX4Transposed(r, row) : LoadMatrixX4(r, row);
  } else if constexpr (kMatrices == 2) {
    uint32_t two[2];
    kTransposed ? LoadMatrixX2Transposed(two, row) : LoadMatrixX2(two, row);
    r[0] = two[0];
    r[1] = two[1];
  } else {
    kTransposed ? LoadMatrixX1Transposed(r[0], row) : LoadMatrixX1(r[0], row);
  }
  for (int i = 0; i < kMatrices; ++i) out[lane * kMatrices + i] = r[i];
}

// A thread four floats.
__global__ void PackFp8Kernel(const float* x, uint16_t* out, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * 4;
  float values[4];
  for (int j = 0; j < 4; ++j) values[j] = i + j < n ? x[i + j] : 0.0f;
  const uint32_t e4m3 = PackFp8x4<E4m3>(values[0], values[1], values[2], values[3]);
  const uint32_t e5m2 = PackFp8x4<E5m2>(values[0], values[1], values[2], values[3]);
  for (int j = 0; j < 4 && i + j < n; ++j) {
    out[i + j] = static_cast<uint16_t>((e4m3 >> (8 * j) & 0xff) | (e5m2 >> (8 * j) & 0xff) << 8);
  }
}

}  // namespace

Registers RunMma(const Registers& a, const Registers& b, const Registers& d) {
  const DeviceArray<uint32_t> device_a("a", a), device_b("b", b), device_d("d", d);
  Launch(MmaKernel, LaunchConfig{.block = 32}, device_a.data(), device_b.data(), device_d.data());
  return device_d.Values();
}

Registers RunLoadMatrix(const std::vector<uint16_t>& memory, const std::vector<int>& row_of_lane, int matrices,
                        bool transposed) {
  const DeviceArray<uint16_t> device_memory("memory", memory);
  const DeviceArray<int> rows("rows", row_of_lane);
  const DeviceArray<uint32_t> out("out", Registers(static_cast<size_t>(32 * matrices)));
  const auto run = [&](auto kernel) {
    Launch(kernel, LaunchConfig{.block = 32, .shared = sizeof(MatrixShared)}, device_memory.data(), rows.data(),
           out.data());
  };
  if (matrices == 1) run(transposed ? LoadMatrixKernel<1, true> : LoadMatrixKernel<1, false>);
  if (matrices == 2) run(transposed ? LoadMatrixKernel<2, true> : LoadMatrixKernel<2, false>);
  if (matrices == 4) run(transposed ? LoadMatrixKernel<4, true> : LoadMatrixKernel<4, false>);
  return out.Values();
}

std::vector<uint16_t> RunPackFp8(const std::vector<float>& values) {
  const DeviceArray<float> x("x", values);
  const DeviceArray<uint16_t> out("out", std::vector<uint16_t>(values.size()));
  const auto blocks = static_cast<unsigned>((values.size() + 127) / 128);
  Launch(PackFp8Kernel, LaunchConfig{.grid = blocks, .block = 32}, x.data(), out.data(),
         static_cast<int>(values.size()));
  return out.Values();
}

}  // namespace ingot
