#pragma once
// The memory of a rank of a training run, as it is printed before it is taken.
#include <string>

#include "core/model/model.h"
#include "core/training/config.h"
#include "core/training/host_state.h"
#include "core/training/parallel_plan.h"

namespace ingot {

// Of the device; on the CPU with all that Trainer::Create() takes on the host.
MemoryPlan PlanOf(const RunConfig& config, Device device, const ParallelPlan& parallel, int64_t rank);

// A line with the totals of rank 0 for each value of parallel.zero that `ranks` ranks can have; empty for one rank.
std::string TotalsByZero(const RunConfig& config, Device device, int64_t ranks);

// What of a run's state its checkpoints need in host memory.
HostState::Options SavedStateOf(const RunConfig& config);

// Of the optimizer's moments.
DType MomentsOf(const RunConfig& config);

}  // namespace ingot
