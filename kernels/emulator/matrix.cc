#include "kernels/emulator/matrix.h"

#include <algorithm>
#include <cstring>

#include "core/base/bf16.h"
#include "kernels/emulator/memory.h"
#include "kernels/emulator/options.h"
#include "kernels/emulator/race.h"
#include "kernels/emulator/synchronize.h"
#include "kernels/emulator/thread.h"

namespace ingot::emulator {
namespace {

constexpr int kRows = 8;  // of a matrix of ldmatrix, and its columns
constexpr size_t kRowBytes = 16;

struct LoadArgument {
  uint32_t* registers;
  const void* row;
  int matrices;
  bool transposed;
};

// How many rows of one matrix share a group of four banks, less one: the extra passes that hardware would make.
int Conflicts(void* const* arguments, int matrix) {
  int rows_at[8] = {};
  for (int i = 0; i < kRows; ++i) {
    const auto* const row =
        static_cast<const unsigned char*>(static_cast<const LoadArgument*>(arguments[matrix * kRows + i])->row);
    ++rows_at[static_cast<size_t>(row - current_block.shared) / kRowBytes % 8];
  }
  return *std::max_element(rows_at, rows_at + 8) - 1;
}

void RunLoad(void* const* arguments, uint32_t) {
  const auto& first = *static_cast<const LoadArgument*>(arguments[0]);
  uint16_t matrix[4][kRows][8];
  for (int j = 0; j < first.matrices; ++j) {
    for (int i = 0; i < kRows; ++i) {
      std::memcpy(matrix[j][i], static_cast<const LoadArgument*>(arguments[j * kRows + i])->row, kRowBytes);
    }
    ++CurrentCounters().matrix_loads;
    CurrentCounters().bank_conflicts += Conflicts(arguments, j);
  }
  for (int lane = 0; lane < kWarp; ++lane) {
    const auto& mine = *static_cast<const LoadArgument*>(arguments[lane]);
    const int g = lane / 4, t = lane % 4;
    for (int j = 0; j < mine.matrices; ++j) {
      const uint32_t low = mine.transposed ? matrix[j][2 * t][g] : matrix[j][g][2 * t];
      const uint32_t high = mine.transposed ? matrix[j][2 * t + 1][g] : matrix[j][g][2 * t + 1];
      mine.registers[j] = low | high << 16;
    }
  }
}

struct MmaArgument {
  float* d;
  const uint32_t* a;
  uint32_t b[2];
};

float Half(uint32_t pair, int half) { return ToFloat(Bf16{static_cast<uint16_t>(pair >> (16 * half))}); }

void RunMma(void* const* arguments, uint32_t) {
  float a[16][16], b[8][16];  // b by column
  for (int lane = 0; lane < kWarp; ++lane) {
    const auto& from = *static_cast<const MmaArgument*>(arguments[lane]);
    const int g = lane / 4, t = lane % 4;
    for (int half = 0; half < 2; ++half) {
      for (int i = 0; i < 4; ++i) a[g + 8 * (i % 2)][2 * t + half + 8 * (i / 2)] = Half(from.a[i], half);
      for (int i = 0; i < 2; ++i) b[g][2 * t + half + 8 * i] = Half(from.b[i], half);
    }
  }
  for (int lane = 0; lane < kWarp; ++lane) {
    float* const d = static_cast<const MmaArgument*>(arguments[lane])->d;
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i) {
      const int row = g + 8 * (i / 2), column = 2 * t + i % 2;
      float sum = d[i];
      for (int k = 0; k < 16; ++k) sum += a[row][k] * b[column][k];
      d[i] = sum;
    }
  }
}

}  // namespace

void LoadMatrix(uint32_t* registers, const void* row, int matrices, bool transposed, Site site) {
  if (current_thread->linear % kWarp < matrices * kRows) {
    CheckShared(row, kRowBytes, kRowBytes, "ldmatrix", site.file, site.line);
    race::NoteRead(row, kRowBytes, site);
  }
  LoadArgument argument{registers, row, matrices, transposed};
  WarpCollective("ldmatrix", kFullMask, &argument, RunLoad, false, site);
}

void MmaM16N8K16(float* d, const uint32_t* a, uint32_t b0, uint32_t b1, Site site) {
  MmaArgument argument{d, a, {b0, b1}};
  WarpCollective("mma.m16n8k16", kFullMask, &argument, RunMma, false, site);
}

}  // namespace ingot::emulator
