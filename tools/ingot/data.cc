// ingot data inspect | verify; build is in data_build.cc
#include "tools/ingot/data.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "data_pipeline/best_fit.h"
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

struct InspectArguments {
  std::string path;
  int samples = 3;
  int64_t sample_tokens = 60;
  int64_t sequence_length = 0;  // above 0: how often packing cuts documents
  std::string format;
  MdsOptions mds;
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

// How far raw documents have been tokenized.
void PrintStream(const StreamProgress& stream) {
  const auto done = std::count_if(stream.files.begin(), stream.files.end(), [](const StreamFile& f) { return f.done; });
  std::printf("cache       of raw documents, %s: %lld of %lld files done\n",
              stream.complete ? "complete" : "not complete", static_cast<long long>(done),
              static_cast<long long>(stream.files.size()));
}

absl::Status InspectDataset(const InspectArguments& arguments) {
  INGOT_ASSIGN_OR_RETURN(const Dataset dataset, Dataset::Open(arguments.path));
  INGOT_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::Load(dataset.tokenizer_directory()));
  const DatasetManifest& manifest = dataset.state().manifest;
  Json json = {{"dataset", arguments.path}, {"fingerprint", absl::StrFormat("%016x", dataset.fingerprint())}};
  json.update(DatasetCountsJson(manifest));
  if (manifest.stream) json["complete"] = manifest.stream->complete;
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
    if (manifest.stream) PrintStream(*manifest.stream);
    PrintDatasetCounts(manifest);
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
  return DetectForeignFormat(path);
}

absl::Status InspectForeignFile(const InspectArguments& arguments, ForeignFormat format) {
  INGOT_ASSIGN_OR_RETURN(const ForeignCorpus corpus, ForeignCorpus::Open(arguments.path, format, arguments.mds));
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
    "Format of another trainer's token file: megatron, llm.c, nanogpt, llmq, mds; only nanogpt "
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
  AddMdsOptions(*inspect, arguments->mds);
  inspect->callback([arguments] { RunCommand([&] { return Inspect(*arguments); }); });
}

struct VerifyArguments {
  std::string path;
  int threads = 0;
  std::string format;
  MdsOptions mds;
  bool json = false;
};

absl::Status Verify(const VerifyArguments& arguments) {
  const auto start = Clock::now();
  INGOT_ASSIGN_OR_RETURN(const std::optional<ForeignFormat> format, FormatOf(arguments.path, arguments.format));
  INGOT_ASSIGN_OR_RETURN(const VerifyReport report,
                         VerifyData(arguments.path, arguments.threads, format, arguments.mds));
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
  AddMdsOptions(*verify, arguments->mds);
  verify->add_flag("--json", arguments->json, "Print JSON");
  verify->callback([arguments] { RunCommand([&] { return Verify(*arguments); }); });
}

}  // namespace

void AddDataCommand(CLI::App& app) {
  CLI::App* data = app.add_subcommand("data", "Documents to token shards, and what they hold");
  data->require_subcommand(1);
  AddDataBuild(*data);
  AddInspect(*data);
  AddVerify(*data);
}

}  // namespace ingot
