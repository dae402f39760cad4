// ingot data build | inspect | verify
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "data_pipeline/best_fit.h"
#include "data_pipeline/builder.h"
#include "data_pipeline/foreign/import.h"
#include "data_pipeline/foreign/inspect.h"
#include "data_pipeline/inspect.h"
#include "data_pipeline/verify.h"
#include "tokenizer/tokenizer.h"
#include "tools/ingot/command.h"

namespace ingot {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

void PrintJson(const Json& json) {
  std::printf("%s\n", json.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
}

double BytesPerToken(int64_t text_bytes, int64_t tokens) {
  return tokens > 0 ? static_cast<double>(text_bytes) / static_cast<double>(tokens) : 0;
}

struct BuildArguments {
  BuildOptions options;
  std::string tokenizer;
  std::string documents = "whole-file";
  std::string format;
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

Json CountsJson(const DatasetManifest& manifest) {
  const DocumentCounts& counts = manifest.counts;
  Json json = {{"files", counts.files},
               {"ignored_files", counts.ignored_files},
               {"documents", counts.documents},
               {"empty_documents", counts.empty_documents},
               {"bad_lines", counts.bad_lines},
               {"invalid_utf8_documents", counts.invalid_utf8_documents},
               {"vocabulary", manifest.vocabulary},
               {"validation_fraction", manifest.validation_fraction},
               {"validation_is_tail", manifest.validation_is_tail}};
  for (const Split split : kSplits) {
    const SplitEntry& entry = manifest.split(split);
    json[Name(split)] = {{"documents", entry.documents},
                         {"tokens", entry.tokens},
                         {"text_bytes", entry.text_bytes},
                         {"bytes_per_token", BytesPerToken(entry.text_bytes, entry.tokens)},
                         {"shards", entry.shards.size()}};
  }
  return json;
}

void PrintCounts(const DatasetManifest& manifest) {
  const DocumentCounts& counts = manifest.counts;
  std::printf("documents   %lld in %lld files\n", static_cast<long long>(counts.documents),
              static_cast<long long>(counts.files));
  const auto note = [](int64_t count, const char* what) {
    if (count > 0) std::printf("            %lld %s\n", static_cast<long long>(count), what);
  };
  note(counts.ignored_files, "files passed over: not .txt or .jsonl");
  note(counts.empty_documents, "documents without text left out");
  note(counts.bad_lines, "bad lines skipped");
  note(counts.invalid_utf8_documents, "documents are not valid UTF-8; their bytes were taken as they are");
  for (const Split split : kSplits) {
    const SplitEntry& entry = manifest.split(split);
    std::printf("%-10s  %lld tokens, %lld documents, %lld bytes of text (%.3f bytes a token), %zu shards\n",
                Name(split), static_cast<long long>(entry.tokens), static_cast<long long>(entry.documents),
                static_cast<long long>(entry.text_bytes), BytesPerToken(entry.text_bytes, entry.tokens),
                entry.shards.size());
  }
  if (manifest.validation_is_tail) {
    std::printf("            too few documents to choose from: the last %.3g %% of the text validate\n",
                100 * manifest.validation_fraction);
  }
}

absl::StatusOr<DatasetManifest> BuildAs(const std::string& format, const BuildOptions& options,
                                        const TextEncoder& encoder) {
  if (format.empty()) return BuildDataset(options, encoder);
  INGOT_ASSIGN_OR_RETURN(const ForeignFormat foreign, ParseForeignFormat(format));
  INGOT_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::Load(encoder.directory));
  return ImportDataset(options, foreign, tokenizer, encoder);
}

absl::Status Build(const BuildArguments& arguments) {
  BuildOptions options = arguments.options;
  options.documents.blank_line_documents = arguments.documents == "blank-line";
  INGOT_ASSIGN_OR_RETURN(const TextEncoder encoder, LoadTextEncoder(arguments.tokenizer));
  BuildProgressLine line;
  options.progress = [&](const BuildProgress& progress) { line(progress); };
  const absl::StatusOr<DatasetManifest> manifest = BuildAs(arguments.format, options, encoder);
  line.Clear();
  if (!manifest.ok()) return manifest.status();
  const double seconds = line.seconds();
  const double speed = static_cast<double>(manifest->counts.text_bytes) * 1e-6 / seconds;
  if (arguments.json) {
    Json json = {{"output", options.output},
                 {"format", manifest->format},
                 {"seconds", seconds},
                 {"megabytes_per_second", speed}};
    json.update(CountsJson(*manifest));
    PrintJson(json);
    return absl::OkStatus();
  }
  const char* const made = manifest->format == kDatasetFormat ? "dataset" : manifest->format.c_str();
  std::printf("%-10s  %s  (%.1f s, %.1f MB/s)\n", made, options.output.c_str(), seconds, speed);
  PrintCounts(*manifest);
  return absl::OkStatus();
}

void AddBuild(CLI::App& data) {
  auto arguments = std::make_shared<BuildArguments>();
  BuildOptions& options = arguments->options;
  CLI::App* build = data.add_subcommand(
      "build", "Documents to a directory of checksummed token shards, or of another trainer's token files");
  build->add_option("--input", options.inputs, "Files or directories: .txt, .jsonl, each plain, .gz or .zst")
      ->required();
  build->add_option("--tokenizer", arguments->tokenizer, "Directory with tokenizer.json")->required();
  build->add_option("--output", options.output, "Directory to make; it must not exist")->required();
  build->add_option("--validation-fraction", options.validation_fraction, "Share of the documents that validate")
      ->capture_default_str();
  build->add_option("--documents", arguments->documents, "What one document of a .txt file is")
      ->check(CLI::IsMember({"whole-file", "blank-line"}))
      ->capture_default_str();
  build->add_option("--format", arguments->format, "The inputs are token files: megatron, llm.c, nanogpt or llmq");
  build->add_option("--to", options.format, "Write another trainer's token files instead of a dataset")
      ->check(CLI::IsMember({"megatron", "llm.c", "nanogpt"}));
  build->add_option("--field", options.documents.text_field, "Field of a JSON line that holds the text")
      ->capture_default_str();
  build->add_flag("--skip-bad-lines", options.documents.skip_bad_lines,
                  "Count JSON lines that cannot be used instead of stopping at the first");
  build->add_option("--shard-tokens", options.shard_tokens, "Tokens of one shard, or file of llm.c")
      ->capture_default_str();
  build->add_option("--threads", options.threads, "Threads that tokenize; 0: one a processor")->capture_default_str();
  build->add_flag("--json", arguments->json, "Print the summary as JSON");
  build->callback([arguments] { RunCommand([&] { return Build(*arguments); }); });
}

struct InspectArguments {
  std::string path;
  int samples = 3;
  int64_t sample_tokens = 60;
  int64_t sequence_length = 0;  // above 0: how often packing cuts documents
  std::string format;
  bool json = false;
};

// How many documents of a split each way of packing cuts, printed or put into `json`.
absl::Status InspectPacking(const TokenStream& stream, int64_t T, Json* json) {
  INGOT_ASSIGN_OR_RETURN(const PackingReport report, ReportPacking(stream, T));
  const double documents = std::max(1.0, static_cast<double>(report.documents));
  if (json != nullptr) {
    (*json)["packing"] = {{"sequence_length", T},
                          {"documents_longer", report.longer_than_row},
                          {"documents_cut_by_concatenation", report.cut_by_windows},
                          {"documents_cut_by_best_fit", report.cut_by_best_fit},
                          {"best_fit_sequences", report.rows}};
    return absl::OkStatus();
  }
  const auto percent = [&](int64_t count) { return 100 * static_cast<double>(count) / documents; };
  std::printf("  in sequences of %lld: documents cut by concatenation %.2f %%, by best fit %.2f %%; longer %.2f %%\n",
              static_cast<long long>(T), percent(report.cut_by_windows), percent(report.cut_by_best_fit),
              percent(report.longer_than_row));
  return absl::OkStatus();
}

std::string SampleText(const std::vector<int32_t>& ids, const Tokenizer* tokenizer) {
  if (tokenizer != nullptr) {
    if (absl::StatusOr<std::string> text = tokenizer->Decode(ids, true); text.ok()) return *std::move(text);
  }
  std::string numbers;
  for (const int32_t id : ids) absl::StrAppend(&numbers, numbers.empty() ? "" : " ", id);
  return numbers;
}

Json ReportJson(const SplitReport& report, const Tokenizer* tokenizer) {
  Json json = {{"documents", report.documents}, {"tokens", report.tokens}, {"shards", report.shards}};
  if (report.text_bytes >= 0) {
    json["text_bytes"] = report.text_bytes;
    json["bytes_per_token"] = BytesPerToken(report.text_bytes, report.tokens);
  }
  json["shortest_document"] = report.lengths.shortest;
  json["longest_document"] = report.lengths.longest;
  json["length_histogram"] = Json::array();
  for (size_t b = 0; b < report.lengths.bins.size(); ++b) {
    if (report.lengths.bins[b] == 0) continue;
    json["length_histogram"].push_back({{"from_tokens", int64_t{1} << b}, {"documents", report.lengths.bins[b]}});
  }
  json["samples"] = Json::array();
  for (const auto& ids : report.samples) json["samples"].push_back(SampleText(ids, tokenizer));
  return json;
}

void PrintReport(const char* name, const SplitReport& report, const Tokenizer* tokenizer) {
  std::printf("\n%s: %lld tokens, %lld documents, %lld shards", name, static_cast<long long>(report.tokens),
              static_cast<long long>(report.documents), static_cast<long long>(report.shards));
  if (report.text_bytes >= 0) std::printf(", %.3f bytes a token", BytesPerToken(report.text_bytes, report.tokens));
  std::printf("\n");
  if (report.lengths.longest == 0) return;
  std::printf("  document lengths: %lld to %lld tokens\n", static_cast<long long>(report.lengths.shortest),
              static_cast<long long>(report.lengths.longest));
  for (size_t b = 0; b < report.lengths.bins.size(); ++b) {
    const int64_t count = report.lengths.bins[b];
    if (count == 0) continue;
    const double share = static_cast<double>(count) / static_cast<double>(report.documents);
    std::printf("  %12lld … %-12lld %10lld  %s\n", 1LL << b, (2LL << b) - 1, static_cast<long long>(count),
                std::string(static_cast<size_t>(share * 40 + 0.5), '#').c_str());
  }
  for (const auto& ids : report.samples) std::printf("  > %s\n", SampleText(ids, tokenizer).c_str());
}

absl::Status InspectShard(const InspectArguments& arguments) {
  INGOT_ASSIGN_OR_RETURN(Shard shard, Shard::Open(arguments.path));
  const ShardInfo info = shard.info();
  TokenStream stream;
  stream.Add(std::move(shard));
  const SplitReport report = InspectStream(stream, arguments.samples, arguments.sample_tokens);
  if (arguments.json) {
    Json json = {{"shard", arguments.path}, {"vocabulary", info.vocabulary}, {"end_of_text", info.end_of_text}};
    json.update(ReportJson(report, nullptr));
    PrintJson(json);
    return absl::OkStatus();
  }
  std::printf("%s: a shard of %lld-byte ids, vocabulary %lld, end of text %d\n", arguments.path.c_str(),
              static_cast<long long>(info.token_bytes), static_cast<long long>(info.vocabulary), info.end_of_text);
  PrintReport("contents", report, nullptr);
  return absl::OkStatus();
}

absl::Status InspectDataset(const InspectArguments& arguments) {
  INGOT_ASSIGN_OR_RETURN(const Dataset dataset, Dataset::Open(arguments.path));
  INGOT_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::Load(dataset.tokenizer_directory()));
  const DatasetManifest& manifest = dataset.state().manifest;
  Json json = {{"dataset", arguments.path}, {"fingerprint", absl::StrFormat("%016x", dataset.fingerprint())}};
  json.update(CountsJson(manifest));
  json["sources"] = Json::array();
  for (const SourceEntry& source : manifest.sources) {
    json["sources"].push_back({{"path", source.path},
                               {"documents", source.documents},
                               {"tokens", source.tokens},
                               {"bytes_per_token", BytesPerToken(source.text_bytes, source.tokens)}});
  }
  if (!arguments.json) {
    std::printf("dataset     %s  fingerprint %016llx, vocabulary %lld, end of text %d\n", arguments.path.c_str(),
                static_cast<unsigned long long>(dataset.fingerprint()), static_cast<long long>(dataset.vocabulary()),
                dataset.end_of_text());
    PrintCounts(manifest);
    for (const SourceEntry& source : manifest.sources) {
      std::printf("source      %s: %lld documents, %lld tokens, %.3f bytes a token\n", source.path.c_str(),
                  static_cast<long long>(source.documents), static_cast<long long>(source.tokens),
                  BytesPerToken(source.text_bytes, source.tokens));
    }
  }
  for (const Split split : kSplits) {
    SplitReport report = InspectStream(dataset.state().stream(split), arguments.samples, arguments.sample_tokens);
    report.text_bytes = dataset.text_bytes(split);
    if (arguments.json) {
      json[Name(split)] = ReportJson(report, &tokenizer);
    } else {
      PrintReport(Name(split), report, &tokenizer);
    }
    if (arguments.sequence_length == 0) continue;
    INGOT_RETURN_IF_ERROR(InspectPacking(dataset.state().stream(split), arguments.sequence_length,
                                         arguments.json ? &json[Name(split)] : nullptr));
  }
  if (arguments.json) PrintJson(json);
  return absl::OkStatus();
}

// The format that a token file of another trainer is in: `named`, or found by its first bytes.
absl::StatusOr<std::optional<ForeignFormat>> FormatOf(const std::string& path, const std::string& named) {
  if (!named.empty()) return ParseForeignFormat(named);
  if (DirectoryExists(path)) return std::nullopt;
  return DetectForeignFormat(path);
}

absl::Status InspectForeignFile(const InspectArguments& arguments, ForeignFormat format) {
  INGOT_ASSIGN_OR_RETURN(const ForeignCorpus corpus, ForeignCorpus::Open(arguments.path, format));
  INGOT_ASSIGN_OR_RETURN(const ForeignReport report,
                         InspectForeign(corpus, arguments.samples, arguments.sample_tokens));
  const ForeignInfo& info = corpus.info();
  if (arguments.json) {
    Json json = {{"file", corpus.path()},
                 {"format", Name(info.format)},
                 {"token_type", Name(info.token)},
                 {"largest_id", report.largest_id},
                 {"has_masks", info.has_masks}};
    json.update(ReportJson(report.contents, nullptr));
    PrintJson(json);
    return absl::OkStatus();
  }
  std::printf("%s: %s, %s ids, the largest %lld%s\n", corpus.path().c_str(), Name(info.format), Name(info.token),
              static_cast<long long>(report.largest_id), info.has_masks ? ", with loss masks" : "");
  PrintReport("contents", report.contents, nullptr);
  return absl::OkStatus();
}

absl::Status Inspect(const InspectArguments& arguments) {
  INGOT_ASSIGN_OR_RETURN(const std::optional<ForeignFormat> format, FormatOf(arguments.path, arguments.format));
  if (format) return InspectForeignFile(arguments, *format);
  return FileExists(arguments.path) ? InspectShard(arguments) : InspectDataset(arguments);
}

constexpr char kFormatHelp[] =
    "Format of another trainer's token file: megatron, llm.c, nanogpt, llmq; only nanogpt "
    "must be named";

void AddInspect(CLI::App& data) {
  auto arguments = std::make_shared<InspectArguments>();
  CLI::App* inspect = data.add_subcommand("inspect", "What a dataset, a shard or another trainer's token file holds");
  inspect->add_option("path", arguments->path, "Dataset directory, shard or token file")->required();
  inspect->add_option("--samples", arguments->samples, "Documents to show")->capture_default_str();
  inspect->add_option("--sample-tokens", arguments->sample_tokens, "Tokens to show of each")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  inspect
      ->add_option("--sequence-length", arguments->sequence_length,
                   "Also: how many documents of a dataset are cut when packed into sequences of so many tokens")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20));
  inspect->add_flag("--json", arguments->json, "Print JSON");
  inspect->add_option("--format", arguments->format, kFormatHelp);
  inspect->callback([arguments] { RunCommand([&] { return Inspect(*arguments); }); });
}

struct VerifyArguments {
  std::string path;
  int threads = 0;
  std::string format;
  bool json = false;
};

absl::Status Verify(const VerifyArguments& arguments) {
  const auto start = Clock::now();
  INGOT_ASSIGN_OR_RETURN(const std::optional<ForeignFormat> format, FormatOf(arguments.path, arguments.format));
  INGOT_ASSIGN_OR_RETURN(const VerifyReport report, VerifyData(arguments.path, arguments.threads, format));
  if (arguments.json) {
    PrintJson({{"valid", true},
               {"files", report.files},
               {"bytes", report.bytes},
               {"tokens", report.tokens},
               {"documents", report.documents},
               {"seconds", SecondsSince(start)}});
    return absl::OkStatus();
  }
  std::printf("%s: valid: %lld files, %lld bytes, %lld tokens, %lld documents (%.1f s)\n", arguments.path.c_str(),
              static_cast<long long>(report.files), static_cast<long long>(report.bytes),
              static_cast<long long>(report.tokens), static_cast<long long>(report.documents), SecondsSince(start));
  return absl::OkStatus();
}

void AddVerify(CLI::App& data) {
  auto arguments = std::make_shared<VerifyArguments>();
  CLI::App* verify =
      data.add_subcommand("verify", "Every checksum and bound of a dataset, a shard or another trainer's token file");
  verify->add_option("path", arguments->path, "Dataset directory, shard or token file")->required();
  verify->add_option("--threads", arguments->threads, "Threads; 0: one a processor")->capture_default_str();
  verify->add_option("--format", arguments->format, kFormatHelp);
  verify->add_flag("--json", arguments->json, "Print JSON");
  verify->callback([arguments] { RunCommand([&] { return Verify(*arguments); }); });
}

}  // namespace

void AddDataCommand(CLI::App& app) {
  CLI::App* data = app.add_subcommand("data", "Documents to token shards, and what they hold");
  data->require_subcommand(1);
  AddBuild(*data);
  AddInspect(*data);
  AddVerify(*data);
}

}  // namespace ingot
