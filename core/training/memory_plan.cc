#include "core/training/memory_plan.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "core/training/data_parallel.h"
#include "core/training/optimizer.h"
#include "core/training/raw_sources.h"

namespace ingot {

HostState::Options SavedStateOf(const RunConfig& config) {
  const CheckpointConfig& checkpoint = config.checkpoint();
  const bool bf16 = checkpoint.weights_dtype() == CheckpointConfig::bf16;
  return {.format = {.weights = bf16 ? DType::kBf16 : DType::kF32,
                     .moments = MomentsOf(config),
                     .shard_bytes = checkpoint.shard_bytes()},
          .background = checkpoint.background()};
}

DType MomentsOf(const RunConfig& config) {
  return config.optimizer().moments_dtype() == OptimizerConfig::bf16 ? DType::kBf16 : DType::kF32;
}

MemoryPlan PlanOf(const RunConfig& config, Device device, const ParallelPlan& parallel, int64_t rank) {
  const ModelDims dims = DimsOf(config);
  const ParameterTable table = MakeParameterTable(dims);
  RunShape shape = ShapeOf(config, device);
  shape.shard = parallel.ShardOf(rank, table.flat_size);
  MemoryPlan plan = Model::Plan(dims, shape);
  const auto add = [&plan](const char* name, int64_t bytes) {
    if (bytes > 0) plan.entries.push_back({name, bytes});
  };
  add("optimizer moments", Optimizer::Bytes(parallel.UpdatedBy(rank, table.flat_size), MomentsOf(config)));
  for (MemoryEntry& entry : DataParallel::Memory(parallel, rank, table)) {
    plan.entries.push_back(std::move(entry));
  }
  if (rank == 0 && HasRawDocuments(config.data())) add("raw documents", RawDocumentsBytes(config));
  if (device == Device::kCpu) {
    add("checkpoint being written", HostState::Bytes(device, table, parallel, rank, SavedStateOf(config)));
  }
  return plan;
}

std::string TotalsByZero(const RunConfig& config, Device device, int64_t ranks) {
  if (ranks == 1) return "";
  std::string line = "memory of rank 0 by parallel.zero:";
  for (int zero = 0; zero <= 3; ++zero) {
    RunConfig other = config;
    other.mutable_parallel()->set_zero(zero);
    const absl::StatusOr<ParallelPlan> plan = ParallelPlan::Of(other, ranks);
    if (!plan.ok()) continue;
    absl::StrAppendFormat(&line, " %d: %.1f MiB%s", zero,
                          static_cast<double>(PlanOf(other, device, *plan, 0).total()) / (1 << 20),
                          zero < 3 ? "," : "");
  }
  if (line.back() == ',') line.pop_back();
  return line + "\n";
}

}  // namespace ingot
