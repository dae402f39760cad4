// ingot data build
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/base/status_macros.h"
#include "data_pipeline/builder.h"
#include "data_pipeline/foreign/import.h"
#include "tokenizer/tokenizer.h"
#include "tools/ingot/command.h"
#include "tools/ingot/data.h"

namespace ingot {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct BuildArguments {
  BuildOptions options;
  std::string tokenizer;
  std::string documents = "whole-file";
  std::string format;
  MdsOptions mds;
  std::string deduplicate = "none";
  bool json = false;
};

// One live line on a terminal, elsewhere a line every few seconds, on standard error.
class BuildProgressLine {
 public:
  void operator()(const BuildProgress& progress) {
    const double seconds = SecondsSince(start_);
    if (seconds < next_) return;
    next_ = seconds + (live_ ? 0.2 : 5.0);
    const double done = progress.input_bytes > 0 ? 100.0 * static_cast<double>(progress.input_bytes_read) /
                                                       static_cast<double>(progress.input_bytes)
                                                 : 0.0;
    const double megabytes = static_cast<double>(progress.text_bytes) * 1e-6;
    // Where the second pass begins its text count begins anew.
    if (progress.second_pass && !second_pass_) start_second_pass_ = seconds;
    second_pass_ = progress.second_pass;
    const double speed = megabytes / std::max(1e-3, seconds - start_second_pass_);
    std::fprintf(stderr, "%s%s%5.1f %%  %lld documents  %.1f M tokens  %.1f MB  %.1f MB/s%s", live_ ? "\r" : "",
                 second_pass_ ? "cutting the tail " : "building ", done, static_cast<long long>(progress.documents),
                 static_cast<double>(progress.tokens) * 1e-6, megabytes, speed, live_ ? "\x1b[K" : "\n");
    std::fflush(stderr);
    printed_ = true;
  }
  void Clear() const {
    if (live_ && printed_) std::fprintf(stderr, "\r\x1b[K");
  }
  double seconds() const { return SecondsSince(start_); }

 private:
  const Clock::time_point start_ = Clock::now();
  const bool live_ = isatty(STDERR_FILENO) == 1;
  double next_ = 0.2;  // short builds print nothing but their summary
  bool printed_ = false, second_pass_ = false;
  double start_second_pass_ = 0;
};

Deduplication DeduplicationOf(const std::string& name) {
  for (const Deduplication kind : {Deduplication::kDocuments, Deduplication::kParagraphs, Deduplication::kLines}) {
    if (name == Name(kind)) return kind;
  }
  return Deduplication::kNone;
}

absl::StatusOr<DatasetManifest> BuildAs(const BuildArguments& arguments, const BuildOptions& options,
                                        const TextEncoder& encoder) {
  if (arguments.format.empty()) return BuildDataset(options, encoder);
  if (options.documents.curation.any()) {
    return absl::InvalidArgumentError(
        "--where, --min-bytes, --max-bytes, --deduplicate and --decontaminate read text, not token files (--format)");
  }
  INGOT_ASSIGN_OR_RETURN(const ForeignFormat foreign, ParseForeignFormat(arguments.format));
  INGOT_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::Load(encoder.directory));
  return ImportDataset(options, foreign, tokenizer, encoder, arguments.mds);
}

absl::Status Build(const BuildArguments& arguments) {
  BuildOptions options = arguments.options;
  options.documents.curation.deduplicate = DeduplicationOf(arguments.deduplicate);
  options.documents.blank_line_documents = arguments.documents == "blank-line";
  options.documents.decode_threads = options.threads;
  INGOT_ASSIGN_OR_RETURN(const TextEncoder encoder, LoadTextEncoder(arguments.tokenizer));
  BuildProgressLine line;
  options.progress = [&](const BuildProgress& progress) { line(progress); };
  const absl::StatusOr<DatasetManifest> manifest = BuildAs(arguments, options, encoder);
  line.Clear();
  if (!manifest.ok()) return manifest.status();
  const double seconds = line.seconds();
  const double speed = static_cast<double>(manifest->counts.text_bytes) * 1e-6 / seconds;
  if (arguments.json) {
    Json json = {{"output", options.output},
                 {"format", manifest->format},
                 {"seconds", seconds},
                 {"megabytes_per_second", speed}};
    json.update(DatasetCountsJson(*manifest));
    PrintJson(json);
    return absl::OkStatus();
  }
  const char* const made = manifest->format == kDatasetFormat ? "dataset" : manifest->format.c_str();
  std::printf("%-10s  %s  (%.1f s, %.1f MB/s)\n", made, options.output.c_str(), seconds, speed);
  PrintDatasetCounts(*manifest);
  return absl::OkStatus();
}

void AddCurationOptions(CLI::App& build, BuildArguments& arguments) {
  CurationOptions& curation = arguments.options.documents.curation;
  build
      .add_option(
          "--where", curation.where,
          "Only JSON lines and rows whose columns fit: COLUMN=A|B, !=, or < <= > >= a number, as in 'score>=3', "
          "'metadata.language=en'; all of several")
      ->take_all();
  build.add_option("--min-bytes", curation.min_bytes, "Leave out documents with less text")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  build.add_option("--max-bytes", curation.max_bytes, "Leave out documents with more text; 0: none")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  build
      .add_option("--deduplicate", arguments.deduplicate,
                  "Keep the first of equal documents; also of equal paragraphs (between blank lines) or lines in them")
      ->check(CLI::IsMember({"none", "documents", "paragraphs", "lines"}))
      ->capture_default_str();
  build
      .add_option("--deduplicate-min-bytes", curation.deduplicate_min_bytes,
                  "Paragraphs and lines with less text may repeat")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  build
      .add_option("--deduplicate-memory", curation.deduplicate_memory,
                  "Most bytes of the table of what was seen, as 8GiB; 16 a slot, of which 37 to 75 % are used")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str();
  build.add_option(
      "--decontaminate", curation.decontaminate,
      "Evaluation files (.txt: a text each; .jsonl, .parquet: every string): leave out documents that hold their text");
  build.add_option("--decontaminate-words", curation.decontaminate_words, "Words in a row that count as a match")
      ->check(CLI::Range(int64_t{8}, int64_t{100}))
      ->capture_default_str();
}

void AddInputOptions(CLI::App& build, BuildArguments& arguments) {
  BuildOptions& options = arguments.options;
  build
      .add_option("--input", options.inputs,
                  "Files, directories, quoted patterns (*, ?, [) and @FILE, a list of such, a line each: .txt and "
                  ".jsonl, plain, .gz or .zst, and .parquet")
      ->required();
  build.add_option("--format", arguments.format, "The inputs are token files: megatron, llm.c, nanogpt, llmq or mds");
  build.add_option("--documents", arguments.documents, "What one document of a .txt file is")
      ->check(CLI::IsMember({"whole-file", "blank-line"}))
      ->capture_default_str();
  build.add_option("--field", options.documents.text_field, "Field of a JSON line, or column, that holds the text")
      ->capture_default_str();
  build.add_flag("--skip-bad-lines", options.documents.skip_bad_lines,
                 "Count JSON lines and rows that cannot be used instead of stopping at the first");
}

}  // namespace

void AddDataBuild(CLI::App& data) {
  auto arguments = std::make_shared<BuildArguments>();
  BuildOptions& options = arguments->options;
  CLI::App* build = data.add_subcommand(
      "build", "Documents to a directory of checksummed token shards, or of another trainer's token files");
  AddInputOptions(*build, *arguments);
  build->add_option("--tokenizer", arguments->tokenizer, "Directory with tokenizer.json")->required();
  build->add_option("--output", options.output, "Directory to make; it must not exist")->required();
  build->add_option("--validation-fraction", options.validation_fraction, "Share of the documents that validate")
      ->capture_default_str();
  build->add_option("--to", options.format, "Write another trainer's token files instead of a dataset")
      ->check(CLI::IsMember({"megatron", "llm.c", "nanogpt"}));
  build->add_option("--shard-tokens", options.shard_tokens, "Tokens of one shard, or file of llm.c")
      ->capture_default_str();
  build->add_option("--threads", options.threads, "Threads that tokenize, and that decode .parquet; 0: one a processor")
      ->capture_default_str();
  AddCurationOptions(*build, *arguments);
  AddMdsOptions(*build, arguments->mds);
  build->add_flag("--json", arguments->json, "Print the summary as JSON");
  build->callback([arguments] { RunCommand([&] { return Build(*arguments); }); });
}

}  // namespace ingot
