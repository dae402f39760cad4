#include "tools/ingot/bench_raw_documents.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "data_pipeline/builder.h"
#include "data_pipeline/loader.h"
#include "data_pipeline/streaming/growing_stream.h"

namespace ingot {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct Round {
  int64_t tokens = 0;
  double build = 0, read = 0;  // seconds: shards first, then all batches
  double first = 0, all = 0;   // seconds to the first and the last batch from raw documents
};

double Median(std::vector<Round> rounds, double Round::*seconds) {
  std::sort(rounds.begin(), rounds.end(), [&](const Round& a, const Round& b) { return a.*seconds < b.*seconds; });
  return rounds[rounds.size() / 2].*seconds;
}

LoaderPlan PlanOf(const RawBench& bench) {
  return {.B = bench.B, .T = bench.T, .seed = 1, .mask_documents = true, .shuffle_tokens = bench.shuffle_tokens};
}

// Reads `batches` batches; `first` becomes the seconds from `start` to the first of them.
absl::Status ReadAll(Loader& loader, int64_t B, int64_t batches, Clock::time_point start, double& first) {
  loader.Start(0, B);
  for (int64_t batch = 0; batch < batches; ++batch) {
    (void)loader.Next();
    INGOT_RETURN_IF_ERROR(loader.status());
    if (batch == 0) first = SecondsSince(start);
  }
  return absl::OkStatus();
}

absl::Status MeasureBuilt(const RawBench& bench, const TextEncoder& encoder, int64_t& batches, Round& round) {
  BuildOptions options;
  options.inputs = bench.inputs;
  options.output = JoinPath(bench.directory, "built");
  options.validation_fraction = 0;
  options.threads = bench.threads;
  INGOT_RETURN_IF_ERROR(RemoveRecursively(options.output));
  const Clock::time_point start = Clock::now();
  INGOT_RETURN_IF_ERROR(BuildDataset(options, encoder).status());
  round.build = SecondsSince(start);
  const Clock::time_point opened = Clock::now();
  INGOT_ASSIGN_OR_RETURN(const Dataset dataset, Dataset::Open(options.output));
  INGOT_ASSIGN_OR_RETURN(const std::unique_ptr<Loader> loader, Loader::Create(dataset, PlanOf(bench)));
  batches = loader->windows() / bench.B;
  round.tokens = batches * bench.B * bench.T;
  double first = 0;
  INGOT_RETURN_IF_ERROR(ReadAll(*loader, bench.B, batches, opened, first));
  round.read = SecondsSince(opened);
  return absl::OkStatus();
}

absl::Status MeasureRaw(const RawBench& bench, const TextEncoder& encoder, int64_t batches, Round& round) {
  StreamOptions options;
  options.inputs = bench.inputs;
  options.cache = JoinPath(bench.directory, "raw");
  options.shard_tokens = std::max<int64_t>(4096, bench.shuffle_tokens / 4);
  options.read_ahead = 2 * bench.shuffle_tokens;
  options.threads = bench.threads;
  INGOT_RETURN_IF_ERROR(RemoveRecursively(options.cache));
  const Clock::time_point start = Clock::now();
  INGOT_ASSIGN_OR_RETURN(const std::unique_ptr<StreamWriter> writer, StreamWriter::Start(options, encoder));
  INGOT_ASSIGN_OR_RETURN(const Dataset dataset, OpenGrowing({.cache = options.cache, .writer = writer.get()}, 0));
  INGOT_ASSIGN_OR_RETURN(const std::unique_ptr<Loader> loader, Loader::Create(dataset, PlanOf(bench)));
  INGOT_RETURN_IF_ERROR(ReadAll(*loader, bench.B, batches, start, round.first));
  round.all = SecondsSince(start);
  return absl::OkStatus();
}

}  // namespace

absl::Status BenchRawDocuments(const RawBench& bench, nlohmann::ordered_json* json) {
  INGOT_ASSIGN_OR_RETURN(const TextEncoder encoder, LoadTextEncoder(bench.tokenizer));
  std::vector<Round> rounds(static_cast<size_t>(bench.rounds));
  for (Round& round : rounds) {
    int64_t batches = 0;
    INGOT_RETURN_IF_ERROR(MeasureBuilt(bench, encoder, batches, round));
    INGOT_RETURN_IF_ERROR(MeasureRaw(bench, encoder, batches, round));
  }
  const double build = Median(rounds, &Round::build), read = Median(rounds, &Round::read);
  const double first = Median(rounds, &Round::first), all = Median(rounds, &Round::all);
  const auto rate = [&](double seconds) { return static_cast<double>(rounds[0].tokens) / seconds; };
  if (json != nullptr) {
    (*json)["raw_documents"] = {{"tokens", rounds[0].tokens},
                                {"built_seconds_to_first_batch", build},
                                {"built_tokens_per_second", rate(build + read)},
                                {"built_read_tokens_per_second", rate(read)},
                                {"raw_seconds_to_first_batch", first},
                                {"raw_tokens_per_second", rate(all)}};
    return absl::OkStatus();
  }
  std::printf("%lld tokens from text, %d threads tokenize:\n", static_cast<long long>(rounds[0].tokens), bench.threads);
  std::printf("%-40s %8.2f M tokens/s, first batch after %.2f s (then %.1f M tokens/s)\n", "built, then read",
              rate(build + read) * 1e-6, build, rate(read) * 1e-6);
  std::printf("%-40s %8.2f M tokens/s, first batch after %.2f s\n", "raw documents", rate(all) * 1e-6, first);
  return absl::OkStatus();
}

}  // namespace ingot
