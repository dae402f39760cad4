#pragma once
// What a machine can do at most, measured in the run whose figures are shares of it.
#include <functional>

#include "absl/status/statusor.h"
#include "core/base/dtype.h"
#include "core/model/backend.h"
#include "kernels/context.h"

namespace ingot {

struct Roofs {
  double product_flops;  // FLOP/s of large square products
  double copy_bytes;     // bytes/s of a copy larger than the caches, read and written together
};

absl::StatusOr<Roofs> MeasureRoofs(const Backend& backend, DType scalar);

// Median seconds of `work` on the backend: one run that does not count, then runs for about `seconds`, at least five. On
// a GPU by events, with its caches emptied before each.
class WorkTimer {
 public:
  static absl::StatusOr<WorkTimer> Create(const Backend& backend);
  absl::StatusOr<double> Median(const std::function<void()>& work, double seconds) const;

 private:
  WorkTimer(const Backend& backend, Arena flush) : backend_(backend), flush_(std::move(flush)) {}
  absl::StatusOr<double> Once(const std::function<void()>& work) const;

  const Backend& backend_;
  Arena flush_;
};

}  // namespace ingot
