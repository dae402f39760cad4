#pragma once
// One plan for each matrix product of a run, on whichever rank: each rank by itself would measure, and might choose another
// algorithm, which has other bits. Whoever needs a product first searches; the others wait for its plan.
#include "absl/status/status.h"
#include "distributed/rendezvous.h"
#include "kernels/cuda/gemm_plans.h"

namespace ingot {

class GemmPlanSharing {
 public:
  // Both must outlive it.
  explicit GemmPlanSharing(ControlPlane& control, cuda::GemmPlanStore& store = cuda::GemmPlanStore::OfProcess())
      : control_(control), store_(store) {}
  ~GemmPlanSharing() { store_.ShareWith({}); }
  GemmPlanSharing(const GemmPlanSharing&) = delete;
  GemmPlanSharing& operator=(const GemmPlanSharing&) = delete;

  // To be called by all ranks before a collective call, and that before their first product. The plans that rank 0 has, from
  // the run's table or its cache, are everybody's; other ranks must have none.
  absl::Status Begin();

 private:
  ControlPlane& control_;
  cuda::GemmPlanStore& store_;
};

}  // namespace ingot
