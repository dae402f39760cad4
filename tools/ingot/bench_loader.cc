// ingot bench loader: tokens a second that one thread reads from shards, and how long a very large dataset takes to
// start.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/philox.h"
#include "core/base/status_macros.h"
#include "data_pipeline/dataset_state.h"
#include "data_pipeline/loader.h"
#include "tools/ingot/bench.h"
#include "tools/ingot/bench_raw_documents.h"
#include "tools/ingot/command.h"

namespace ingot {
namespace {

constexpr int64_t kVocabulary = 32768;
constexpr int32_t kEndOfText = 0;
constexpr int64_t kMeanDocument = 600;              // tokens
constexpr int64_t kSparseShard = int64_t{1} << 35;  // tokens

struct Flags {
  std::string directory = std::filesystem::temp_directory_path().string();
  int64_t tokens = int64_t{64} << 20;
  int64_t sequence_length = 1024;
  int64_t micro_batch = 8;
  int64_t sparse_tokens = 1'000'000'000'000;
  std::vector<std::string> inputs;  // raw documents
  std::string tokenizer;
  int64_t shuffle_tokens = int64_t{1} << 20;
  int threads = 1;
  int rounds = 5;
  bool json = false;
};

struct Figure {
  std::string plan;
  double tokens_per_second = 0;  // of one thread's CPU time
};

double ThreadSeconds() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double ClockSeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Random documents whose lengths fall off like those of web text: a few short ones, a long tail.
absl::Status WriteShard(const std::string& path, int64_t tokens, uint64_t seed, ShardEntry& entry) {
  INGOT_ASSIGN_OR_RETURN(ShardWriter writer, ShardWriter::Create(path, kVocabulary, kEndOfText));
  const Philox random{seed};
  std::vector<int32_t> document;
  for (uint64_t number = 0; writer.info().tokens < tokens; ++number) {
    const double length = -static_cast<double>(kMeanDocument) * std::log(1 - random.Uniform(0, number));
    const int64_t room = tokens - writer.info().tokens;
    document.resize(static_cast<size_t>(std::min(room, static_cast<int64_t>(length) + 2)));
    uint64_t bits = random.Word(1, number);
    for (int32_t& id : document) {
      bits = bits * 6364136223846793005u + 1442695040888963407u;
      id = 1 + static_cast<int32_t>((bits >> 33) % (kVocabulary - 1));
    }
    document.back() = kEndOfText;
    INGOT_RETURN_IF_ERROR(writer.Append(document));
    writer.EndDocument();
  }
  INGOT_RETURN_IF_ERROR(writer.Close());
  entry = {
      .file = {.name = BaseName(path), .bytes = static_cast<int64_t>(writer.file_bytes()), .crc32c = writer.file_crc()},
      .tokens = writer.info().tokens,
      .documents = writer.info().documents};
  return absl::OkStatus();
}

absl::Status WriteDirectory(const std::string& directory, std::vector<ShardEntry> shards) {
  DatasetManifest manifest;
  manifest.vocabulary = kVocabulary;
  manifest.end_of_text = kEndOfText;
  SplitEntry& split = manifest.split(Split::kTraining);
  for (const ShardEntry& shard : shards) {
    split.tokens += shard.tokens;
    split.documents += shard.documents;
  }
  split.shards = std::move(shards);
  return WriteManifest(manifest, directory);
}

// `count` datasets of `tokens` tokens.
absl::StatusOr<std::vector<Dataset>> MakeDatasets(const std::string& root, int count, int64_t tokens) {
  std::vector<Dataset> datasets;
  for (int i = 0; i < count; ++i) {
    const std::string directory = JoinPath(root, absl::StrCat("source", i));
    INGOT_RETURN_IF_ERROR(CreateDirectories(directory));
    std::vector<ShardEntry> shards(4);
    for (size_t s = 0; s < shards.size(); ++s) {
      const std::string path = JoinPath(directory, absl::StrCat("training-", s, ".shard"));
      const uint64_t seed = static_cast<uint64_t>(i) * shards.size() + s;
      INGOT_RETURN_IF_ERROR(WriteShard(path, tokens / static_cast<int64_t>(shards.size()), seed, shards[s]));
    }
    INGOT_RETURN_IF_ERROR(WriteDirectory(directory, std::move(shards)));
    INGOT_ASSIGN_OR_RETURN(Dataset dataset, Dataset::Open(directory));
    datasets.push_back(std::move(dataset));
  }
  return datasets;
}

// The median over rounds of tokens a second of this thread's CPU time, each round at another place of the stream.
absl::StatusOr<double> Rate(const std::vector<Dataset>& sources, const LoaderPlan& plan, const Flags& flags) {
  INGOT_ASSIGN_OR_RETURN(const std::unique_ptr<Loader> loader, Loader::Create(sources, plan));
  const int64_t batches = std::max<int64_t>(1, flags.tokens / 4 / (plan.B * plan.T));
  std::vector<double> rates;
  TokenBatch batch;
  for (int round = -1; round < flags.rounds; ++round) {
    const double start = ThreadSeconds();
    for (int64_t i = 0; i < batches; ++i) {
      INGOT_RETURN_IF_ERROR(loader->Read(((round + 1) * batches + i) * plan.B, batch));
    }
    const double rate = static_cast<double>(batches * plan.B * plan.T) / (ThreadSeconds() - start);
    if (round >= 0) rates.push_back(rate);  // the first one touches pages and makes the order
  }
  std::sort(rates.begin(), rates.end());
  return rates[rates.size() / 2];
}

absl::StatusOr<std::vector<Figure>> MeasureRates(const std::string& root, const Flags& flags) {
  INGOT_ASSIGN_OR_RETURN(const std::vector<Dataset> sources, MakeDatasets(root, 4, flags.tokens / 4));
  const std::vector<Dataset> one(sources.begin(), sources.begin() + 1);
  const LoaderPlan plain = {.B = flags.micro_batch, .T = flags.sequence_length, .seed = 1};
  LoaderPlan masks = plain, packed = plain, fim = plain, mixed = plain, all = plain;
  masks.mask_documents = packed.mask_documents = fim.mask_documents = all.mask_documents = true;
  packed.packing = all.packing = Packing::kBestFit;
  fim.fim = all.fim = {.rate = 0.5, .prefix = 1, .middle = 2, .suffix = 3};
  mixed.stages = all.stages = {{0, {0.6, 0.2, 0.15, 0.05}}};
  std::vector<Figure> figures;
  const auto measure = [&](const char* name, const std::vector<Dataset>& from, const LoaderPlan& plan) -> absl::Status {
    INGOT_ASSIGN_OR_RETURN(const double rate, Rate(from, plan, flags));
    figures.push_back({name, rate});
    return absl::OkStatus();
  };
  INGOT_RETURN_IF_ERROR(measure("windows", one, plain));
  INGOT_RETURN_IF_ERROR(measure("windows, masks", one, masks));
  INGOT_RETURN_IF_ERROR(measure("best-fit, masks", one, packed));
  INGOT_RETURN_IF_ERROR(measure("windows, masks, fim 0.5", one, fim));
  INGOT_RETURN_IF_ERROR(measure("mixture of 4, windows", sources, mixed));
  INGOT_RETURN_IF_ERROR(measure("mixture of 4, best-fit, masks, fim 0.5", sources, all));
  return figures;
}

// Seconds from nothing to the first batch of a dataset of `tokens` tokens, whose shards are holes.
absl::StatusOr<double> MeasureStart(const std::string& root, const Flags& flags) {
  const std::string directory = JoinPath(root, "sparse");
  INGOT_RETURN_IF_ERROR(CreateDirectories(directory));
  std::vector<ShardEntry> shards;
  for (int64_t left = flags.sparse_tokens; left > 0; left -= kSparseShard) {
    const int64_t tokens = std::min(left, kSparseShard);
    const std::vector<uint64_t> ends = {static_cast<uint64_t>(tokens)};
    ShardEntry entry = {
        .file = {.name = absl::StrCat("training-", shards.size(), ".shard")}, .tokens = tokens, .documents = 1};
    const std::string path = JoinPath(directory, entry.file.name);
    INGOT_RETURN_IF_ERROR(WriteSparseShard(path, kVocabulary, kEndOfText, tokens, ends));
    INGOT_ASSIGN_OR_RETURN(const uint64_t bytes, FileSize(path));
    entry.file.bytes = static_cast<int64_t>(bytes);
    shards.push_back(std::move(entry));
  }
  INGOT_RETURN_IF_ERROR(WriteDirectory(directory, std::move(shards)));
  const double start = ClockSeconds();
  INGOT_ASSIGN_OR_RETURN(const Dataset dataset, Dataset::Open(directory));
  const LoaderPlan plan = {.B = flags.micro_batch, .T = flags.sequence_length, .seed = 1, .mask_documents = true};
  INGOT_ASSIGN_OR_RETURN(const std::unique_ptr<Loader> loader, Loader::Create(dataset, plan));
  TokenBatch batch;
  INGOT_RETURN_IF_ERROR(loader->Read(loader->windows() / 2, batch));
  return ClockSeconds() - start;
}

absl::Status BenchLoader(const Flags& flags) {
  const std::string root = JoinPath(flags.directory, absl::StrCat("ingot-bench-loader-", getpid()));
  INGOT_RETURN_IF_ERROR(CreateDirectories(root));
  const absl::Cleanup remove = [&] { RemoveRecursively(root).IgnoreError(); };
  INGOT_ASSIGN_OR_RETURN(const std::vector<Figure> figures, MeasureRates(root, flags));
  double start_seconds = 0;
  if (flags.sparse_tokens > 0) {
    INGOT_ASSIGN_OR_RETURN(start_seconds, MeasureStart(root, flags));
  }
  nlohmann::ordered_json json = {{"sequence_length", flags.sequence_length},
                                 {"micro_batch", flags.micro_batch},
                                 {"plans", nlohmann::ordered_json::array()}};
  for (const Figure& figure : figures) {
    json["plans"].push_back({{"plan", figure.plan}, {"tokens_per_second", figure.tokens_per_second}});
    if (!flags.json)
      std::printf("%-40s %8.1f M tokens/s a core\n", figure.plan.c_str(), figure.tokens_per_second * 1e-6);
  }
  if (!flags.inputs.empty()) {
    INGOT_RETURN_IF_ERROR(BenchRawDocuments({.inputs = flags.inputs,
                                             .tokenizer = flags.tokenizer,
                                             .directory = root,
                                             .B = flags.micro_batch,
                                             .T = flags.sequence_length,
                                             .shuffle_tokens = flags.shuffle_tokens,
                                             .rounds = flags.rounds,
                                             .threads = flags.threads},
                                            flags.json ? &json : nullptr));
  }
  json["sparse_tokens"] = flags.sparse_tokens;
  json["start_seconds"] = start_seconds;
  if (flags.json) {
    std::printf("%s\n", json.dump(2).c_str());
  } else if (flags.sparse_tokens > 0) {
    std::printf("start on %.3g tokens: %.3f s to the first batch\n", static_cast<double>(flags.sparse_tokens),
                start_seconds);
  }
  return absl::OkStatus();
}

}  // namespace

void AddBenchLoader(CLI::App& bench) {
  CLI::App* command = bench.add_subcommand("loader", "Tokens a second read from shards, and the start on 10^12 tokens");
  auto flags = std::make_shared<Flags>();
  command->add_option("--directory", flags->directory, "Where the datasets of the bench are made")
      ->capture_default_str();
  command->add_option("--tokens", flags->tokens, "Tokens of all datasets")
      ->check(CLI::Range(int64_t{1} << 20, int64_t{1} << 40))
      ->capture_default_str();
  command->add_option("--sequence-length", flags->sequence_length, "Tokens of a sequence")
      ->check(CLI::Range(int64_t{8}, int64_t{1} << 17))
      ->capture_default_str();
  command->add_option("--micro-batch", flags->micro_batch, "Sequences of a batch")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command->add_option("--sparse-tokens", flags->sparse_tokens, "Tokens of the dataset whose start is measured; 0: none")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  CLI::Option* tokenizer = command->add_option("--tokenizer", flags->tokenizer, "For --input: a tokenizer's directory");
  command
      ->add_option("--input", flags->inputs,
                   "Also: documents, built into a dataset and read, and read as raw documents (docs/data.md)")
      ->needs(tokenizer);
  command->add_option("--shuffle-tokens", flags->shuffle_tokens, "For --input: tokens of a block of the order")
      ->check(CLI::Range(int64_t{1} << 12, int64_t{1} << 40))
      ->capture_default_str();
  command->add_option("--threads", flags->threads, "For --input: threads that tokenize")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_option("--rounds", flags->rounds, "Rounds measured; the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_flag("--json", flags->json, "Print JSON instead of a table");
  command->callback([flags] { RunCommand([&] { return BenchLoader(*flags); }); });
}

}  // namespace ingot
