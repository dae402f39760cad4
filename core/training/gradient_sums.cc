#include "core/training/gradient_sums.h"

#include <algorithm>
#include <utility>

#include "core/base/status_macros.h"
#include "kernels/cast.h"

namespace ingot {
namespace {

constexpr int64_t kRounded = int64_t{1} << 20;  // elements that are rounded at once

template <typename Elements>
int64_t Most(const UnitExchanges& exchanges, const Elements& elements) {
  int64_t most = 0;
  for (const auto& unit : exchanges) {
    for (const BucketExchange& bucket : unit) most = std::max(most, elements(bucket.exchange));
  }
  return most;
}

int64_t MostReceived(const UnitExchanges& exchanges, int64_t rank) {
  return Most(exchanges, [rank](const PartExchange& exchange) { return exchange.ReceivedElements(rank); });
}

int64_t MostNarrow(const UnitExchanges& exchanges, int64_t rank) {
  return Most(exchanges, [rank](const PartExchange& exchange) { return exchange.NarrowElements(rank); });
}

}  // namespace

std::vector<Interval> SummedShards(const ParallelPlan& plan, int64_t flat_size) {
  std::vector<Interval> shards;
  for (int64_t rank = 0; rank < plan.ranks; ++rank) shards.push_back(plan.SummedBy(rank, flat_size));
  return shards;
}

UnitExchanges ExchangesOf(const FlatWindows& windows, const std::vector<Interval>& shards,
                          const std::vector<std::vector<PartExchange::Wire>>& buffers, bool in_place) {
  UnitExchanges exchanges(windows.outside() + 1);
  for (int64_t unit = 0; unit <= windows.outside(); ++unit) {
    for (Bucket& bucket : BucketsOf(windows.pieces(unit), shards, kMostInExchange)) {
      PartExchange exchange = {.buffers = buffers, .parts = {}};
      for (const std::vector<WindowPiece>& pieces : bucket) {
        std::vector<Interval>& parts = exchange.parts.emplace_back();
        for (const WindowPiece& piece : pieces) {
          const int64_t at = in_place ? piece.begin : piece.place;
          parts.push_back({at, at + piece.size()});
        }
      }
      exchanges[unit].push_back({std::move(bucket), std::move(exchange)});
    }
  }
  return exchanges;
}

std::vector<MemoryEntry> ExchangeMemory::Entries(const UnitExchanges& exchanges, int64_t rank) {
  std::vector<MemoryEntry> entries;
  const auto add = [&](const char* name, int64_t elements, DType dtype) {
    if (elements > 0) entries.push_back({name, Arena::Aligned(elements * SizeOf(dtype))});
  };
  add("gradients from other ranks", MostReceived(exchanges, rank), DType::kF32);
  add("gradients as bf16", MostNarrow(exchanges, rank), DType::kBf16);
  return entries;
}

absl::StatusOr<ExchangeMemory> ExchangeMemory::Create(const UnitExchanges& exchanges, int64_t rank,
                                                      const Backend& backend) {
  int64_t bytes = 0;
  for (const MemoryEntry& entry : Entries(exchanges, rank)) bytes += entry.bytes;
  INGOT_ASSIGN_OR_RETURN(Arena arena, backend.CreateArena("gradients of other ranks", bytes));
  ExchangeMemory memory(std::move(arena));
  const auto take = [&](DType dtype, int64_t elements) { return memory.memory_.Take("exchange", dtype, {elements}); };
  memory.received = take(DType::kF32, MostReceived(exchanges, rank)).data<float>();
  memory.narrow = take(DType::kBf16, MostNarrow(exchanges, rank)).data<Bf16>();
  return memory;
}

std::vector<MemoryEntry> WireRounding::Entries(const ParallelPlan& plan) {
  if (plan.wire == DType::kF32) return {};
  return {{"gradients being rounded", kRounded * SizeOf(plan.wire)}};
}

absl::StatusOr<WireRounding> WireRounding::Create(const ParallelPlan& plan,
                                                  const std::shared_ptr<const Backend>& backend) {
  WireRounding rounding;
  rounding.backend_ = backend;
  for (const MemoryEntry& entry : Entries(plan)) {
    INGOT_ASSIGN_OR_RETURN(rounding.memory_, backend->CreateArena(entry.name, entry.bytes));
    rounding.narrow_ = rounding.memory_->Take(entry.name, plan.wire, {kRounded});
  }
  return rounding;
}

void WireRounding::Round(const Tensor& values) const {
  if (!memory_.has_value()) return;
  Context ctx = backend_->MakeContext();
  for (int64_t begin = 0; begin < Count(values); begin += kRounded) {
    const int64_t size = std::min(kRounded, Count(values) - begin);
    const Tensor wide = Slice(values, begin, {size}), narrow = Slice(narrow_, 0, {size});
    ctx.Run(Cast{.x = wide, .y = narrow});
    ctx.Run(Cast{.x = narrow, .y = wide});
  }
}

}  // namespace ingot
