#include "data_pipeline/verify.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/crc32c.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/base/threads.h"
#include "data_pipeline/dataset_state.h"
#include "data_pipeline/foreign/inspect.h"
#include "data_pipeline/hash.h"

namespace ingot {
namespace {

absl::Status Damaged(const std::string& path, absl::string_view found) {
  return absl::DataLossError(absl::StrCat(path, ": ", found, "; build the dataset again with 'ingot data build'"));
}

absl::Status VerifyFile(const std::string& directory, const FileEntry& entry) {
  const std::string path = JoinPath(directory, entry.name);
  INGOT_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  if (static_cast<int64_t>(file.bytes().size()) != entry.bytes) {
    return Damaged(path, absl::StrCat(file.bytes().size(), " bytes; dataset.json says ", entry.bytes));
  }
  const uint32_t crc = Crc32c(file.bytes().data(), file.bytes().size());
  if (crc == entry.crc32c) return absl::OkStatus();
  return Damaged(path, absl::StrFormat("its checksum is %08x; dataset.json says %08x", crc, entry.crc32c));
}

absl::Status VerifyTokenizer(const std::string& directory, const DatasetManifest& manifest) {
  for (const FileEntry& file : manifest.tokenizer_files) INGOT_RETURN_IF_ERROR(VerifyFile(directory, file));
  const std::string path = JoinPath(directory, "tokenizer/tokenizer.json");
  INGOT_ASSIGN_OR_RETURN(const std::string contents, ReadFile(path));
  if (HashBytes(contents) == manifest.tokenizer_hash) return absl::OkStatus();
  return Damaged(path, "not the tokenizer that made the shards");
}

// The shard by itself, then against what the manifest says of it.
absl::Status VerifyShard(const std::string& directory, const DatasetManifest& manifest, const ShardEntry& entry) {
  INGOT_RETURN_IF_ERROR(VerifyFile(directory, entry.file));
  const std::string path = JoinPath(directory, entry.file.name);
  INGOT_ASSIGN_OR_RETURN(const Shard shard, Shard::Open(path));
  INGOT_RETURN_IF_ERROR(shard.Verify());
  const ShardInfo& info = shard.info();
  if (info.tokens == entry.tokens && info.documents == entry.documents && info.vocabulary == manifest.vocabulary &&
      info.end_of_text == manifest.end_of_text) {
    return absl::OkStatus();
  }
  return Damaged(path, "tokens, documents, vocabulary or end of text not as dataset.json says");
}

// A document may run over the end of a shard, but not over the end of a split.
absl::Status VerifySplitEnd(const std::string& directory, const SplitEntry& split) {
  if (split.shards.empty()) return absl::OkStatus();
  const std::string path = JoinPath(directory, split.shards.back().file.name);
  INGOT_ASSIGN_OR_RETURN(const Shard shard, Shard::Open(path));
  if (!shard.ends().empty() && shard.ends().back() == static_cast<uint64_t>(shard.info().tokens)) {
    return absl::OkStatus();
  }
  return Damaged(path, "the last document of the split has no end");
}

absl::StatusOr<VerifyReport> VerifyDirectory(const std::string& directory, int threads) {
  INGOT_ASSIGN_OR_RETURN(const DatasetManifest manifest, ReadManifest(directory));
  INGOT_RETURN_IF_ERROR(VerifyTokenizer(directory, manifest));
  VerifyReport report = {.files = (manifest.stream ? 1 : 2) + static_cast<int64_t>(manifest.tokenizer_files.size())};
  for (const FileEntry& file : manifest.tokenizer_files) report.bytes += file.bytes;
  std::vector<const ShardEntry*> shards;
  for (const SplitEntry& split : manifest.splits) {
    report.tokens += split.tokens;
    report.documents += split.documents;
    for (const ShardEntry& shard : split.shards) {
      shards.push_back(&shard);
      ++report.files;
      report.bytes += shard.file.bytes;
    }
  }
  std::vector<absl::Status> results(shards.size());
  ParallelFor(static_cast<int64_t>(shards.size()), threads, [&](int64_t i) {
    const auto n = static_cast<size_t>(i);
    results[n] = VerifyShard(directory, manifest, *shards[n]);
  });
  for (const absl::Status& result : results) INGOT_RETURN_IF_ERROR(result);
  for (const SplitEntry& split : manifest.splits) INGOT_RETURN_IF_ERROR(VerifySplitEnd(directory, split));
  INGOT_RETURN_IF_ERROR(Dataset::Open(directory).status());  // totals of the splits
  return report;
}

absl::StatusOr<VerifyReport> VerifyForeign(const std::string& path, ForeignFormat format, const MdsOptions& mds) {
  INGOT_ASSIGN_OR_RETURN(const ForeignCorpus corpus, ForeignCorpus::Open(path, format, mds));
  INGOT_ASSIGN_OR_RETURN(const ForeignReport report, InspectForeign(corpus, 0, 0));
  return VerifyReport{.files = corpus.files(),
                      .bytes = corpus.file_bytes(),
                      .tokens = report.contents.tokens,
                      .documents = report.contents.documents};
}

}  // namespace

absl::StatusOr<VerifyReport> VerifyData(const std::string& path, int threads, std::optional<ForeignFormat> format,
                                        const MdsOptions& mds) {
  if (!format && DirectoryExists(path) && !MdsDirectory::Detect(path)) return VerifyDirectory(path, threads);
  if (!format) {
    INGOT_ASSIGN_OR_RETURN(format, DetectForeignFormat(path));
  }
  if (format) return VerifyForeign(path, *format, mds);
  if (!FileExists(path)) {
    return absl::NotFoundError(absl::StrCat(path, ": no such file or directory; expected a dataset or a shard"));
  }
  INGOT_ASSIGN_OR_RETURN(const Shard shard, Shard::Open(path));
  INGOT_RETURN_IF_ERROR(shard.Verify());
  return VerifyReport{.files = 1,
                      .bytes = static_cast<int64_t>(shard.bytes().size()),
                      .tokens = shard.info().tokens,
                      .documents = shard.info().documents};
}

}  // namespace ingot
