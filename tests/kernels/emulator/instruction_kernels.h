#pragma once
// One wrapper a kernel: what lies in the registers of each thread goes in and comes out as plain arrays.
#include <cstdint>
#include <vector>

namespace ingot {

// Registers of 32 lanes, a lane after another.
using Registers = std::vector<uint32_t>;

// d += a * b of mma.m16n8k16: a has 4 registers a lane, b 2, d 4 (bits of floats).
Registers RunMma(const Registers& a, const Registers& b, const Registers& d);

// ldmatrix of `matrices` matrices of 8 rows of 16 bytes, which lie one after another in `memory`; lane l gives the address
// of row `row_of_lane[l]`.
Registers RunLoadMatrix(const std::vector<uint16_t>& memory, const std::vector<int>& row_of_lane, int matrices,
                        bool transposed);

// Each float rounded to e4m3 and to e5m2: the bytes of the first in the low half, of the second in the high one.
std::vector<uint16_t> RunPackFp8(const std::vector<float>& values);

}  // namespace ingot
