#include "core/training/raw_sources.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/training/run_directory.h"

namespace ingot {
namespace {

// Shards are smaller than blocks, so that a block is there soon after its last token.
constexpr int64_t kShardsPerBlock = 4, kFewestShardTokens = 4096, kMostShardTokens = int64_t{1} << 20;
// How far the documents are tokenized ahead of training: blocks, or steps where these are longer.
constexpr int64_t kBlocksAhead = 2;
constexpr double kStallSeconds = 600;  // without another shard

std::string CacheOf(const RawConfig& raw, int source, int sources, const RawPlace& place) {
  if (!raw.cache().empty()) return raw.cache();
  const std::string name = sources > 1 ? absl::StrCat(kTokenizedName, "-", source) : kTokenizedName;
  return JoinPath(place.run_directory, name);
}

StreamOptions StreamOptionsOf(const RunConfig& config, const RawConfig& raw, const std::string& cache) {
  const int64_t block = config.data().shuffle_tokens();
  StreamOptions options;
  options.inputs = {raw.input().begin(), raw.input().end()};
  options.documents.text_field = raw.text_field();
  options.documents.blank_line_documents = raw.blank_line_documents();
  options.documents.skip_bad_lines = raw.skip_bad_lines();
  options.documents.curation.where = {raw.where().begin(), raw.where().end()};
  options.documents.curation.min_bytes = raw.min_bytes();
  options.documents.curation.max_bytes = raw.max_bytes();
  options.validation_fraction = raw.validation_fraction();
  options.cache = cache;
  options.shard_tokens = std::clamp(block / kShardsPerBlock, kFewestShardTokens, kMostShardTokens);
  options.read_ahead = kBlocksAhead * std::max(block, TokensPerStep(config));
  options.threads = static_cast<int>(raw.threads());
  return options;
}

// Training tokens' worth of windows that a validation reads, if the source validates.
int64_t ValidationTokens(const RunConfig& config, const SourceConfig& source) {
  if (!source.validates() || source.raw().validation_fraction() == 0) return 0;
  const int64_t T = config.data().sequence_length();
  return (config.validation().tokens() + T - 1) / T * T + 1;
}

}  // namespace

std::vector<SourceConfig> SourcesOf(const DataConfig& data) {
  if (data.source_size() > 0) return {data.source().begin(), data.source().end()};
  SourceConfig source;
  source.set_path(data.path());
  if (data.has_raw()) *source.mutable_raw() = data.raw();
  return {source};
}

// Of text that has at least four bytes a token, whose ids take as much as the text.
int64_t RawDocumentsBytes(const RunConfig& config) {
  int64_t bytes = 0;
  for (const SourceConfig& source : SourcesOf(config.data())) {
    if (!source.has_raw()) continue;
    bytes += 2 * static_cast<int64_t>(StreamOptions().batch_bytes) * (2 * source.raw().threads() + 2);
  }
  return bytes;
}

absl::StatusOr<std::vector<std::unique_ptr<StreamWriter>>> StartWriters(const RunConfig& config,
                                                                        const RawPlace& place) {
  const std::vector<SourceConfig> sources = SourcesOf(config.data());
  std::vector<std::unique_ptr<StreamWriter>> writers(sources.size());
  for (size_t i = 0; i < sources.size() && place.writes; ++i) {
    if (!sources[i].has_raw()) continue;
    const RawConfig& raw = sources[i].raw();
    INGOT_ASSIGN_OR_RETURN(const TextEncoder encoder, LoadTextEncoder(raw.tokenizer()));
    const std::string cache = CacheOf(raw, static_cast<int>(i), static_cast<int>(sources.size()), place);
    INGOT_ASSIGN_OR_RETURN(writers[i], StreamWriter::Start(StreamOptionsOf(config, raw, cache), encoder));
  }
  return writers;
}

absl::StatusOr<Dataset> OpenRawSource(const RunConfig& config, int source, const RawPlace& place,
                                      StreamWriter* writer) {
  const std::vector<SourceConfig> sources = SourcesOf(config.data());
  const SourceConfig& its = sources[static_cast<size_t>(source)];
  const double stall = kStallSeconds * config.training().deadline_scale();
  return OpenGrowing({.cache = CacheOf(its.raw(), source, static_cast<int>(sources.size()), place),
                      .writer = writer,
                      .stall = std::chrono::duration<double>(stall)},
                     ValidationTokens(config, its));
}

}  // namespace ingot
