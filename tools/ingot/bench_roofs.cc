#include "tools/ingot/bench_roofs.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "core/base/status_macros.h"
#include "core/training/matmul_peak.h"
#include "kernels/copy.h"
#include "kernels/cpu/roof.h"
#include "kernels/cuda/runtime.h"
#include "kernels/cuda/stream_timer.h"
#include "kernels/fill.h"

namespace ingot {
namespace {

constexpr int64_t kFlushBytes = int64_t{128} << 20;  // more than the L2 of any GPU of today
constexpr int64_t kCopyBytes = int64_t{1} << 30;

absl::StatusOr<double> CopySpeed(const Backend& backend) {
  INGOT_ASSIGN_OR_RETURN(Arena arena, backend.CreateArena("copy", 2 * kCopyBytes));
  const Tensor from = arena.Take("from", DType::kF32, {kCopyBytes / 4}),
               to = arena.Take("to", DType::kF32, {kCopyBytes / 4});
  Context context = backend.MakeContext();
  context.Run(Fill{.y = from, .value = 0.37f});
  INGOT_ASSIGN_OR_RETURN(const WorkTimer timer, WorkTimer::Create(backend));
  INGOT_ASSIGN_OR_RETURN(const double seconds, timer.Median([&] { context.Run(Copy{.x = from, .y = to}); }, 0.1));
  return 2 * static_cast<double>(kCopyBytes) / seconds;
}

}  // namespace

absl::StatusOr<Roofs> MeasureRoofs(const Backend& backend, DType scalar) {
  Roofs roofs{};
  INGOT_ASSIGN_OR_RETURN(roofs.product_flops, MatmulPeak(backend.device(), scalar));
  if (backend.device() == Device::kCpu) {
    roofs.copy_bytes = MeasureCopyBandwidth();
  } else {
    INGOT_ASSIGN_OR_RETURN(roofs.copy_bytes, CopySpeed(backend));
  }
  return roofs;
}

absl::StatusOr<WorkTimer> WorkTimer::Create(const Backend& backend) {
  const bool on_gpu = backend.device() == Device::kCuda && !cuda::IsEmulated();
  INGOT_ASSIGN_OR_RETURN(Arena flush, backend.CreateArena("flush", on_gpu ? kFlushBytes : Arena::kAlignment));
  return WorkTimer(backend, std::move(flush));
}

absl::StatusOr<double> WorkTimer::Once(const std::function<void()>& work) const {
  if (backend_.device() == Device::kCpu) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  Context context = backend_.MakeContext();
  context.Run(Fill{.y = Tensor(flush_.At(0, flush_.bytes()), DType::kF32, {flush_.bytes() / 4})});
  cuda::StreamTimer timer(context.stream());
  timer.Start();
  work();
  return timer.Stop();
}

absl::StatusOr<double> WorkTimer::Median(const std::function<void()>& work, double seconds) const {
  INGOT_RETURN_IF_ERROR(Once(work).status());
  std::vector<double> times;
  for (double total = 0; total < seconds || times.size() < 5; total += times.back()) {
    INGOT_ASSIGN_OR_RETURN(const double taken, Once(work));
    times.push_back(taken);
  }
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

}  // namespace ingot
