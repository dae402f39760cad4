#include "data_pipeline/builder.h"

#include <unistd.h>

#include <algorithm>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/base/threads.h"
#include "data_pipeline/document_batches.h"
#include "data_pipeline/documents.h"
#include "data_pipeline/hash.h"
#include "data_pipeline/ordered_pipeline.h"
#include "data_pipeline/token_sink.h"
#include "tokenizer/tokenizer.h"

namespace ingot {
namespace {

constexpr char kTokenizerJson[] = "tokenizer.json";
// What a tokenizer directory may hold beside it; a checkpoint's weights, say, stay where they are.
constexpr const char* kTokenizerFiles[] = {kTokenizerJson, "tokenizer_config.json", "special_tokens_map.json",
                                           "chat_template.jinja"};

// One reading of the input, under one rule for the splits.
class BuildPass {
 public:
  BuildPass(const BuildOptions& options, const TextEncoder& encoder, const std::string& directory)
      : options_(options), encoder_(encoder), directory_(directory) {}

  absl::Status Run(const SplitRule& rule) {
    INGOT_ASSIGN_OR_RETURN(sinks_, OpenTokenSinks(options_.format, {.directory = directory_,
                                                                    .vocabulary = encoder_.vocabulary,
                                                                    .end_of_text = encoder_.end_of_text,
                                                                    .shard_tokens = options_.shard_tokens}));
    INGOT_ASSIGN_OR_RETURN(auto reader, DocumentReader::Open(options_.inputs, options_.documents));
    for (const std::string& file : reader->files()) sources_.push_back({.path = file});
    progress_ = {.second_pass = rule.tail_from >= 0, .input_bytes = reader->input_bytes()};
    DocumentBatches batches(std::move(reader), rule, options_.batch_bytes, encoder_.may_cut_text);
    const int threads = options_.threads > 0 ? options_.threads : AvailableProcessors();
    std::vector<TextEncoder::Encode> encoders;
    for (int i = 0; i < threads; ++i) encoders.push_back(encoder_.make());
    OrderedPipeline<DocumentBatch> pipeline(
        threads, [&](DocumentBatch& batch) { return batches.Next(batch); },
        [&](int worker, DocumentBatch& batch) { EncodePieces(encoders[static_cast<size_t>(worker)], batch); },
        [&](DocumentBatch& batch) { return Write(batch); });
    INGOT_RETURN_IF_ERROR(pipeline.Run());
    for (const auto& sink : sinks_) INGOT_RETURN_IF_ERROR(sink->Finish());
    counts_ = batches.reader().counts();
    return absl::OkStatus();
  }

  void FillManifest(DatasetManifest& manifest) {
    manifest.counts = counts_;
    manifest.sources = std::move(sources_);
    for (const Split split : kSplits) manifest.split(split) = sink(split).entry();
  }

 private:
  TokenSink& sink(Split split) { return *sinks_[static_cast<size_t>(split)]; }

  absl::Status Write(const DocumentBatch& batch) {
    INGOT_RETURN_IF_ERROR(
        ForEachPiece(batch, [&](const DocumentPiece& piece, std::span<const int32_t> ids, int64_t bytes) {
          Count(piece, bytes, static_cast<int64_t>(ids.size()));
          return sink(piece.split).Take(ids, bytes, piece.ends_document);
        }));
    progress_.input_bytes_read = batch.input_bytes_read;
    if (options_.progress) options_.progress(progress_);
    return absl::OkStatus();
  }

  void Count(const DocumentPiece& piece, int64_t bytes, int64_t ids) {
    const int64_t documents = piece.ends_document ? 1 : 0;
    sources_[piece.source].Add(documents, ids + documents, bytes);
    progress_.documents += documents;
    progress_.tokens += ids + documents;
    progress_.text_bytes += bytes;
  }

  const BuildOptions& options_;
  const TextEncoder& encoder_;
  const std::string directory_;
  TokenSinks sinks_;
  std::vector<SourceEntry> sources_;
  DocumentCounts counts_;
  BuildProgress progress_;
};

// Whether each split got a fair part of what it should: see BuildOptions::validation_fraction.
bool SplitsAreFair(const DatasetManifest& manifest, double validation_fraction) {
  const double total = static_cast<double>(manifest.counts.text_bytes);
  const double shares[] = {1 - validation_fraction, validation_fraction};
  for (const Split split : kSplits) {
    const double wanted = shares[static_cast<size_t>(split)];
    if (wanted > 0 && static_cast<double>(manifest.split(split).text_bytes) < 0.25 * wanted * total) return false;
  }
  return true;
}

}  // namespace

absl::Status CopyTokenizer(const std::string& from, const std::string& to, DatasetManifest& manifest) {
  INGOT_RETURN_IF_ERROR(CreateDirectories(JoinPath(to, "tokenizer")));
  for (const char* name : kTokenizerFiles) {
    const std::string source = JoinPath(from, name);
    if (name != kTokenizerJson && !FileExists(source)) continue;
    INGOT_ASSIGN_OR_RETURN(const std::string contents, ReadFile(source));
    if (name == kTokenizerJson) manifest.tokenizer_hash = HashBytes(contents);
    const std::string copy = JoinPath("tokenizer", name);
    INGOT_ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Create(JoinPath(to, copy)));
    INGOT_RETURN_IF_ERROR(writer.Append(contents));
    INGOT_RETURN_IF_ERROR(writer.Close());
    manifest.tokenizer_files.push_back(
        {.name = copy, .bytes = static_cast<int64_t>(writer.bytes_written()), .crc32c = writer.crc32c()});
  }
  return SyncDirectory(JoinPath(to, "tokenizer"));
}

namespace {

absl::Status BuildSplits(const BuildOptions& options, const TextEncoder& encoder, const std::string& directory,
                         DatasetManifest& manifest) {
  {
    BuildPass pass(options, encoder, directory);
    INGOT_RETURN_IF_ERROR(pass.Run({.validation_fraction = options.validation_fraction}));
    pass.FillManifest(manifest);
  }
  if (SplitsAreFair(manifest, options.validation_fraction)) return absl::OkStatus();
  INGOT_RETURN_IF_ERROR(RemoveRecursively(directory));
  INGOT_RETURN_IF_ERROR(CreateDirectories(directory));
  const auto total = static_cast<double>(manifest.counts.text_bytes);
  const auto tail_from = static_cast<int64_t>(total - options.validation_fraction * total);
  manifest.validation_is_tail = true;
  BuildPass pass(options, encoder, directory);
  INGOT_RETURN_IF_ERROR(pass.Run({.tail_from = tail_from}));
  pass.FillManifest(manifest);
  return absl::OkStatus();
}

absl::Status CheckOptions(const BuildOptions& options) {
  if (!(options.validation_fraction >= 0 && options.validation_fraction <= 0.5)) {
    return absl::InvalidArgumentError(
        absl::StrCat("validation fraction ", options.validation_fraction, ": expected 0 (none) to 0.5"));
  }
  const int64_t most = options.format == kDatasetFormat ? INT64_MAX : INT32_MAX;  // others count in 32 bits
  if (options.shard_tokens < 1 || options.shard_tokens > most) {
    return absl::InvalidArgumentError(
        absl::StrCat("shards of ", options.shard_tokens, " tokens: expected 1 to ", most, " for ", options.format));
  }
  if (FileExists(options.output) || DirectoryExists(options.output)) {
    return absl::AlreadyExistsError(
        absl::StrCat(options.output, ": exists already; remove it or name another output directory"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TextEncoder> LoadTextEncoder(const std::string& directory) {
  INGOT_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::Load(directory));
  if (tokenizer.end_of_text() < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(directory, ": the tokenizer has no <|endoftext|> token; it ends every document in shards"));
  }
  const auto make = [tokenizer]() -> TextEncoder::Encode {
    return [encoder = std::make_shared<Encoder>(tokenizer)](absl::string_view text, std::vector<int32_t>& ids) {
      encoder->Encode(text, ids);
    };
  };
  return TextEncoder{.make = make,
                     .vocabulary = tokenizer.padded_size(),
                     .end_of_text = tokenizer.end_of_text(),
                     .may_cut_text = tokenizer.MayCutText(),
                     .directory = directory};
}

absl::StatusOr<DatasetManifest> BuildDataset(const BuildOptions& options, const TextEncoder& encoder) {
  return WriteDataset(options, encoder, [&](const std::string& directory, DatasetManifest& manifest) {
    return BuildSplits(options, encoder, directory, manifest);
  });
}

absl::StatusOr<DatasetManifest> WriteDataset(const BuildOptions& given, const TextEncoder& encoder,
                                             const FillDataset& fill) {
  BuildOptions options = given;
  while (options.output.size() > 1 && options.output.back() == '/') options.output.pop_back();
  INGOT_RETURN_IF_ERROR(CheckOptions(options));
  const std::string directory = absl::StrCat(options.output, ".building-", getpid());
  INGOT_RETURN_IF_ERROR(CreateDirectories(directory));
  absl::Cleanup remove = [&] { RemoveRecursively(directory).IgnoreError(); };
  DatasetManifest manifest;
  manifest.format = options.format;
  manifest.vocabulary = encoder.vocabulary;
  manifest.end_of_text = encoder.end_of_text;
  manifest.options = options.documents;
  manifest.validation_fraction = options.validation_fraction;
  INGOT_RETURN_IF_ERROR(fill(directory, manifest));
  INGOT_RETURN_IF_ERROR(CopyTokenizer(encoder.directory, directory, manifest));
  INGOT_RETURN_IF_ERROR(WriteManifest(manifest, directory));
  INGOT_RETURN_IF_ERROR(SyncDirectory(directory));
  INGOT_RETURN_IF_ERROR(RenameWithoutReplacing(directory, options.output));
  std::move(remove).Cancel();
  const std::string parent = std::string(absl::string_view(options.output).substr(0, options.output.rfind('/') + 1));
  INGOT_RETURN_IF_ERROR(SyncDirectory(options.output.rfind('/') == std::string::npos ? "." : parent));
  return manifest;
}

}  // namespace ingot
