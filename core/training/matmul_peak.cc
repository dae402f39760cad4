#include "core/training/matmul_peak.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "core/base/status_macros.h"
#include "core/model/backend.h"
#include "kernels/cpu/roof.h"
#include "kernels/cuda/runtime.h"
#include "kernels/fill.h"
#include "kernels/matmul.h"

namespace ingot {
namespace {

absl::StatusOr<double> MeasureOnGpu(DType dtype) {
  constexpr int64_t kRows = 8192, kRepeats = 10;
  INGOT_ASSIGN_OR_RETURN(const std::shared_ptr<const Backend> backend, Backend::Create(Device::kCuda));
  INGOT_ASSIGN_OR_RETURN(Arena arena, backend->CreateArena("peak", 3 * kRows * kRows * SizeOf(dtype)));
  const Tensor x = arena.Take("x", dtype, {kRows, kRows}), w = arena.Take("w", dtype, {kRows, kRows});
  const MatmulForward product = {.x = x, .w = w, .y = arena.Take("y", dtype, {kRows, kRows})};
  Context ctx = backend->MakeContext();
  // Equal values draw less power than a training step's and may run at a higher clock: the roof errs upwards.
  for (const Tensor& t : {x, w}) ctx.Run(Fill{.y = t, .value = 0.37f});
  double best = 0;
  for (int64_t i = 0; i <= kRepeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    ctx.Run(product);
    INGOT_RETURN_IF_ERROR(backend->Wait());
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (i > 0) best = std::max(best, product.Cost().flops / seconds);  // the first one searches for a plan
  }
  return best;
}

}  // namespace

absl::StatusOr<double> MatmulPeak(Device device, DType dtype) {
  static std::map<std::pair<Device, DType>, double> measured;
  const std::pair key(device, dtype);
  if (const auto found = measured.find(key); found != measured.end()) return found->second;
  double peak = 0;
  if (device == Device::kCpu || cuda::IsEmulated()) {
    peak = MeasureSgemmPeak();
  } else {
    INGOT_ASSIGN_OR_RETURN(peak, MeasureOnGpu(dtype));
  }
  return measured[key] = peak;
}

}  // namespace ingot
