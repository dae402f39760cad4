#pragma once
// The memory of a rank of a training run, as it is printed before it is taken.
#include <string>

#include "core/model/model.h"
#include "core/training/config.h"
#include "core/training/parallel_plan.h"

namespace ingot {

// Of the device; on the CPU with all that Trainer::Create() takes on the host.
MemoryPlan PlanOf(const RunConfig& config, Device device, const ParallelPlan& parallel, int64_t rank);

// A line with the totals of rank 0 for each value of parallel.zero that `ranks` ranks can have; empty for one rank.
std::string TotalsByZero(const RunConfig& config, Device device, int64_t ranks);

// Elements of each flat buffer that a save copies: what training changes while it is written. On CUDA the state of the
// host is a copy already.
int64_t CopiedAtSave(const RunConfig& config, Device device, const ParameterTable& table);

// Of the optimizer's moments.
DType MomentsOf(const RunConfig& config);

}  // namespace ingot
