#pragma once
// One wrapper of sm_90a a kernel: what lies in registers, shared or device memory goes in and comes out as plain arrays.
#include <cstdint>
#include <vector>

#include "kernels/cuda/tensor_map.h"
#include "tests/kernels/emulator/instruction_kernels.h"

namespace ingot {

// Shared memory of a block in 16-bit elements, from the first on, which instructions see at address 1024.
using SharedImage = std::vector<uint16_t>;

struct WgmmaCase {
  int columns = 64;  // N: 64, 128 or 256
  bool m_major = false, n_major = false;
  DType a_type = DType::kBf16, b_type = DType::kBf16;  // or both of fp8
  SharedImage shared;
  std::vector<uint64_t> a, b;  // descriptors of each step along k; the sum over the steps is the result
  Registers a_registers;       // instead of `a`: four a thread, thread after thread, step after step; N is 64 or 128
};
// N / 2 registers a thread, thread after thread.
std::vector<float> RunWgmma(const WgmmaCase& wgmma);

// Shared memory behind the load of a box, everything else 0xffff.
SharedImage RunTensorLoad(const cuda::TensorMapLayout& layout, const std::vector<int>& at, int elements);
// Stores the box from the image.
void RunTensorStore(const cuda::TensorMapLayout& layout, const std::vector<int>& at, const SharedImage& image);
// A range into shared memory and on to other device memory, by bulk copies.
std::vector<float> RunBulkCopies(const std::vector<float>& values);

// What MatrixDescriptor makes of a matrix `offset` bytes into shared memory, and that advanced by `advance` bytes.
uint64_t RunMatrixDescriptor(int offset, int leading, int stride, Swizzle swizzle, int advance);

// Whether a wait for parity 0 and 1 succeeds after 0, 1, 2 and 3 phases.
std::vector<int> RunParity();
// Threads whose setmaxnreg let them pass.
int RunRegisters();

}  // namespace ingot
