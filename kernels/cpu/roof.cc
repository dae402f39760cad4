#include "kernels/cpu/roof.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>

#include "kernels/cpu/blas.h"
#include "kernels/cpu/panels.h"

namespace ingot {
namespace {

// Of `count` calls the shortest, in seconds.
template <typename Body>
double Shortest(int count, const Body& body) {
  using Clock = std::chrono::steady_clock;
  double best = 1e30;
  for (int i = 0; i < count; ++i) {
    const Clock::time_point start = Clock::now();
    body();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

// Memory first touched by the threads that will use it.
std::unique_ptr<float[]> Touched(int64_t count, float value) {
  std::unique_ptr<float[]> memory(new float[count]);
  float* const x = memory.get();
#pragma omp parallel for
  for (int64_t i = 0; i < count; ++i) x[i] = value;
  return memory;
}

}  // namespace

double MeasureSgemmPeak() {
  constexpr int64_t kSize = 2048;
  const auto a = Touched(kSize * kSize, 0.5f), b = Touched(kSize * kSize, 0.25f), c = Touched(kSize * kSize, 0);
  const PanelGrid grid = CutProduct(kSize, kSize);
  const double seconds = Shortest(6, [&] {
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < grid.count(); ++i) {
      const auto [row, rows, column, columns] = grid.panel(i);
      Sgemm(false, false, rows, columns, kSize, 1, a.get() + row * kSize, kSize, b.get() + column, kSize, 0,
            c.get() + row * kSize + column, kSize);
    }
  });
  return 2.0 * kSize * kSize * kSize / seconds;
}

double MeasureCopyBandwidth() {
  constexpr int64_t kPiece = 1 << 16, kPieces = 512;  // 128 MiB in each array
  const auto from = Touched(kPiece * kPieces, 1), to = Touched(kPiece * kPieces, 0);
  const double seconds = Shortest(6, [&] {
#pragma omp parallel for
    for (int64_t i = 0; i < kPieces; ++i) {
      std::memcpy(to.get() + i * kPiece, from.get() + i * kPiece, kPiece * sizeof(float));
    }
  });
  return 2.0 * kPiece * kPieces * sizeof(float) / seconds;
}

}  // namespace ingot
