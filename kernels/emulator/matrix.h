#pragma once
// Reference bodies of ldmatrix and mma.sync, written from the PTX ISA ("Matrix Fragments for mma.m16n8k16",
// "ldmatrix"): with lane l, g = l / 4 and t = l % 4.
#include <cstdint>

#include "kernels/emulator/site.h"

namespace ingot::emulator {

// Lane 8 * j + i gives the address of row i (16 bytes, aligned) of matrix j; registers[j] of lane l becomes elements
// (g, 2t) and (g, 2t + 1) of matrix j, the first in the low half; transposed: (2t, g) and (2t + 1, g).
// `matrices` is 1, 2 or 4; addresses of further lanes are not read.
void LoadMatrix(uint32_t* registers, const void* row, int matrices, bool transposed, Site site);

// d += a * b: a is 16 x 16 and b 16 x 8 in bf16, d 16 x 8 in f32. With half h of register i:
//   a: row g + 8 * (i % 2), column 2t + h + 8 * (i / 2);  b: row 2t + h + 8 * i, column g
//   d: row g + 8 * (i / 2), column 2t + i % 2
// Products are exact; they are added to d one after another, where hardware's order is its own.
void MmaM16N8K16(float* d, const uint32_t* a, uint32_t b0, uint32_t b1, Site site);

}  // namespace ingot::emulator
