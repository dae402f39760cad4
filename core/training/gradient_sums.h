#pragma once
// GradientSums: how the gradients of a step's micro-batches become one sum over all ranks, while the model computes.
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/model/model.h"
#include "core/training/buckets.h"
#include "core/training/parallel_plan.h"
#include "distributed/communicator.h"
#include "distributed/part_exchange.h"

namespace ingot {

class GradientSums : public LayerHooks {
 public:
  // A step: Begin(); for each own micro-batch Model::Accumulate() and Done(micro); Sum(). Then this rank's shard of the
  // gradients is the sum over all micro-batches. Collective.
  virtual void Begin() = 0;
  virtual absl::Status Done(int64_t micro) = 0;
  virtual absl::Status Sum() = 0;
  // Until the communicator is nobody's, after an error too.
  virtual void WaitForExchanges() = 0;
};

// Elements of a rank in one exchange: 4 MiB, where Gloo's latency does not count any more.
inline constexpr int64_t kMostInExchange = TreeReduceScatter::kPiece;

// By rank: what it sums of the flat buffer.
std::vector<Interval> SummedShards(const ParallelPlan& plan, int64_t flat_size);

// A bucket as it is exchanged: `buffers` by rank as in PartExchange.
struct BucketExchange {
  Bucket bucket;
  PartExchange exchange;
};
using UnitExchanges = std::vector<std::vector<BucketExchange>>;  // by unit of FlatWindows
// in_place: buffers are whole flat buffers, not windows.
UnitExchanges ExchangesOf(const FlatWindows& windows, const std::vector<Interval>& shards,
                          const std::vector<std::vector<PartExchange::Wire>>& buffers, bool in_place);

// Memory of the exchanges, on the model's device: what comes, and what travels in 2 bytes.
class ExchangeMemory {
 public:
  static std::vector<MemoryEntry> Entries(const UnitExchanges& exchanges, int64_t rank);
  static absl::StatusOr<ExchangeMemory> Create(const UnitExchanges& exchanges, int64_t rank, const Backend& backend);
  float* received = nullptr;
  Bf16* narrow = nullptr;

 private:
  explicit ExchangeMemory(Arena memory) : memory_(std::move(memory)) {}
  Arena memory_;
};

// Rounds f32 values on a device to those that bf16 has, where a plan's wire is bf16.
class WireRounding {
 public:
  static std::vector<MemoryEntry> Entries(const ParallelPlan& plan);
  static absl::StatusOr<WireRounding> Create(const ParallelPlan& plan, const std::shared_ptr<const Backend>& backend);
  void Round(const Tensor& values) const;

 private:
  std::shared_ptr<const Backend> backend_;
  std::optional<Arena> memory_;  // nothing to round without
  Tensor narrow_;
};

}  // namespace ingot
