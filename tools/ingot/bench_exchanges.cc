#include "tools/ingot/bench_exchanges.h"

#include <gloo/allreduce.h>
#include <gloo/math.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/file_store.h>
#include <gloo/transport/tcp/device.h>
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "distributed/communicator.h"
#include "kernels/fill.h"

namespace ingot {
namespace {

// Gloo as it comes, with a context of its own.
class PlainGloo {
 public:
  static absl::StatusOr<PlainGloo> Create(Ranks& ranks) {
    std::string directory = JoinPath(P_tmpdir, "ingot-bench-XXXXXX");
    if (ranks.first() && mkdtemp(directory.data()) == nullptr) {
      return absl::UnavailableError(absl::StrCat("no temporary directory in ", P_tmpdir));
    }
    INGOT_ASSIGN_OR_RETURN(const std::vector<std::string> directories, ranks.control().Gather("bench", directory));
    PlainGloo plain;
    try {
      gloo::transport::tcp::attr attributes;
      attributes.hostname = ranks.control().local_address();
      auto device = gloo::transport::tcp::CreateDevice(attributes);
      gloo::rendezvous::FileStore store(directories[0]);
      plain.context_ = std::make_shared<gloo::rendezvous::Context>(ranks.rank(), ranks.size());
      plain.context_->connectFullMesh(store, device);
    } catch (const std::exception& error) {
      return absl::UnavailableError(error.what());
    }
    INGOT_RETURN_IF_ERROR(ranks.communicator().Barrier());
    if (ranks.first()) RemoveRecursively(directory).IgnoreError();
    return plain;
  }

  absl::Status AllReduce(const Tensor& values) {
    try {
      gloo::AllreduceOptions options(context_);
      options.setOutput(values.data<float>(), static_cast<size_t>(Count(values)));
      options.setAlgorithm(gloo::AllreduceOptions::Algorithm::RING);
      options.setReduceFunction(static_cast<void (*)(void*, const void*, const void*, size_t)>(&gloo::sum<float>));
      gloo::allreduce(options);
    } catch (const std::exception& error) {
      return absl::UnavailableError(error.what());
    }
    return absl::OkStatus();
  }

 private:
  std::shared_ptr<gloo::rendezvous::Context> context_;
};

// Behind a barrier: how long `work` takes.
template <typename Work>
absl::Status Time(Communicator& communicator, std::vector<double>& seconds, const Work& work) {
  INGOT_RETURN_IF_ERROR(communicator.Barrier());
  const auto start = std::chrono::steady_clock::now();
  INGOT_RETURN_IF_ERROR(work());
  seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return absl::OkStatus();
}

}  // namespace

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

absl::StatusOr<nlohmann::ordered_json> BenchExchange(Ranks& ranks, const Backend& backend, int64_t mebibytes,
                                                     int64_t repeat) {
  const int64_t count = mebibytes << 18, W = ranks.size(), own = ranks.rank();
  TreeReduceScatter reduce = {.leaves = W, .leaf_parts = {}, .shards = {}};
  std::vector<Interval> bytes;
  for (int64_t rank = 0; rank < W; ++rank) {
    reduce.leaf_parts.push_back({rank, rank + 1});
    reduce.shards.push_back(PartOf(count, rank, W));
    bytes.push_back({4 * reduce.shards.back().begin, 4 * reduce.shards.back().end});
  }
  const int64_t slots = reduce.SlotElements(own);
  INGOT_ASSIGN_OR_RETURN(Arena arena, backend.CreateArena("exchanges", Arena::Aligned(4 * count) + 4 * slots));
  const Tensor values = arena.Take("values", DType::kF32, {count});
  float* const from_others = arena.Take("slots", DType::kF32, {slots}).data<float>();
  const bool beside_gloo = backend.device() == Device::kCpu;
  std::optional<PlainGloo> plain;
  if (beside_gloo) {
    INGOT_ASSIGN_OR_RETURN(plain, PlainGloo::Create(ranks));
  }
  Communicator& communicator = ranks.communicator();
  Context ctx = backend.MakeContext();
  std::vector<double> reduced, gathered, gloo;
  for (int64_t i = 0; i <= repeat; ++i) {
    ctx.Run(Fill{.y = values, .value = 1});
    INGOT_RETURN_IF_ERROR(backend.Wait());
    INGOT_RETURN_IF_ERROR(Time(communicator, reduced, [&] {
      float* const sum = values.data<float>();
      const absl::Status done = reduce.Run(communicator, ctx, {{{own, own + 1}, sum}}, from_others, sum);
      return done.ok() ? backend.Wait() : done;
    }));
    INGOT_RETURN_IF_ERROR(Time(communicator, gathered, [&] { return communicator.AllGather(values.ptr, bytes, ctx); }));
    if (beside_gloo) INGOT_RETURN_IF_ERROR(Time(communicator, gloo, [&] { return plain->AllReduce(values); }));
    if (i == 0) reduced.clear(), gathered.clear(), gloo.clear();  // the first warms up
  }
  const double sent = 4.0 * static_cast<double>(count) * static_cast<double>(W - 1) / static_cast<double>(W);
  nlohmann::ordered_json figures = {{"mebibytes", mebibytes},
                                    {"reduce_scatter_seconds", Median(reduced)},
                                    {"reduce_scatter_gigabytes_per_second", sent / Median(reduced) / 1e9},
                                    {"all_gather_seconds", Median(gathered)},
                                    {"all_gather_gigabytes_per_second", sent / Median(gathered) / 1e9}};
  if (beside_gloo) {
    figures["gloo_ring_all_reduce_seconds"] = Median(gloo);
    figures["ours_to_gloo"] = (Median(reduced) + Median(gathered)) / Median(gloo);
  }
  return figures;
}

}  // namespace ingot
