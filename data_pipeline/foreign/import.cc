#include "data_pipeline/foreign/import.h"

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "data_pipeline/hash.h"
#include "data_pipeline/token_sink.h"

namespace ingot {
namespace {

class Import {
 public:
  Import(const BuildOptions& options, const Tokenizer& tokenizer, const std::string& directory,
         DatasetManifest& manifest)
      : options_(options), tokenizer_(tokenizer), directory_(directory), manifest_(manifest) {}

  absl::Status Run(ForeignFormat format) {
    INGOT_ASSIGN_OR_RETURN(sinks_, OpenTokenSinks(options_.format, {.directory = directory_,
                                                                    .vocabulary = manifest_.vocabulary,
                                                                    .end_of_text = manifest_.end_of_text,
                                                                    .shard_tokens = options_.shard_tokens}));
    std::vector<int32_t> separators;
    DocumentCutter cutter({}, [](const ForeignPiece&) { return absl::OkStatus(); });
    for (const std::string& path : options_.inputs) {
      INGOT_ASSIGN_OR_RETURN(const ForeignCorpus corpus, ForeignCorpus::Open(path, format));
      if (corpus.info().has_masks) {
        return absl::UnimplementedError(absl::StrCat(path, ": has loss masks, which datasets do not keep"));
      }
      if (manifest_.sources.empty()) {
        separators = SeparatorsFor(corpus.info(), tokenizer_, manifest_.end_of_text);
        cutter = DocumentCutter(separators, [this](const ForeignPiece& piece) { return Write(piece); });
      }
      if (!corpus.BeginsInsideDocument(separators)) INGOT_RETURN_IF_ERROR(cutter.End());
      manifest_.sources.push_back({.path = path});
      INGOT_RETURN_IF_ERROR(corpus.CutInto(cutter, tokenizer_.size()));
    }
    INGOT_RETURN_IF_ERROR(cutter.End());
    for (const Split split : kSplits) {
      TokenSink& sink = *sinks_[static_cast<size_t>(split)];
      INGOT_RETURN_IF_ERROR(sink.Finish());
      manifest_.split(split) = sink.entry();
    }
    manifest_.counts.files = static_cast<int64_t>(options_.inputs.size());
    return absl::OkStatus();
  }

 private:
  absl::Status Write(const ForeignPiece& piece) {
    if (piece.begins) split_ = SplitOf(piece.ids);
    TokenSink& sink = *sinks_[static_cast<size_t>(split_)];
    int64_t bytes = 0;
    for (const int32_t id : piece.ids) bytes += tokenizer_.ByteLength(id);
    sink.AddTextBytes(bytes);
    INGOT_RETURN_IF_ERROR(sink.Append(piece.ids));
    if (piece.ends) INGOT_RETURN_IF_ERROR(sink.EndDocument());
    SourceEntry& source = manifest_.sources.back();
    source.documents += piece.ends;
    source.tokens += static_cast<int64_t>(piece.ids.size()) + piece.ends;
    source.text_bytes += bytes;
    manifest_.counts.documents += piece.ends;
    manifest_.counts.text_bytes += bytes;
    return absl::OkStatus();
  }

  Split SplitOf(std::span<const int32_t> ids) const {
    const uint64_t hash = HashBytes({reinterpret_cast<const char*>(ids.data()), ids.size_bytes()});
    const bool validates = static_cast<double>(hash >> 11) * 0x1p-53 < options_.validation_fraction;
    return validates ? Split::kValidation : Split::kTraining;
  }

  const BuildOptions& options_;
  const Tokenizer& tokenizer_;
  const std::string directory_;
  DatasetManifest& manifest_;
  TokenSinks sinks_;
  Split split_ = Split::kTraining;
};

}  // namespace

std::vector<int32_t> SeparatorsFor(const ForeignInfo& info, const Tokenizer& tokenizer, int32_t end_of_text) {
  std::vector<int32_t> separators = {end_of_text};
  const int32_t own = info.separator;
  const bool is_special = own >= 0 && own < tokenizer.size() && tokenizer.ByteLength(own) == 0;
  if (is_special && own != end_of_text) separators.push_back(own);
  return separators;
}

absl::StatusOr<DatasetManifest> ImportDataset(const BuildOptions& options, ForeignFormat format,
                                              const Tokenizer& tokenizer, const TextEncoder& encoder) {
  return WriteDataset(options, encoder, [&](const std::string& directory, DatasetManifest& manifest) {
    return Import(options, tokenizer, directory, manifest).Run(format);
  });
}

}  // namespace ingot
