// What subcommands share: counts of a dataset, printed, and options of MDS.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "tools/ingot/data.h"

namespace ingot {
namespace {

using Json = nlohmann::ordered_json;

void Note(int64_t count, const char* what) {
  if (count > 0) std::printf("            %lld %s\n", static_cast<long long>(count), what);
}

void PrintCuration(const CurationCounts& counts) {
  Note(counts.column_documents, "documents left out by their columns (--where)");
  Note(counts.short_documents, "documents left out as too short");
  Note(counts.long_documents, "documents left out as too long");
  Note(counts.duplicate_documents, "documents left out as repeated");
  Note(counts.duplicate_parts, "repeated paragraphs or lines removed");
  Note(counts.duplicate_bytes, "bytes of text removed as repeated");
  Note(counts.contaminated_documents, "documents left out as holding evaluation text");
  Note(counts.contaminated_bytes, "bytes of text in them");
  for (const EvaluationFile& file : counts.evaluation) {
    std::printf("            %lld documents left out for %s (%lld texts, %lld too short to look for)\n",
                static_cast<long long>(file.documents), file.path.c_str(), static_cast<long long>(file.texts),
                static_cast<long long>(file.short_texts));
  }
}

}  // namespace

double BytesPerToken(int64_t text_bytes, int64_t tokens) {
  return tokens > 0 ? static_cast<double>(text_bytes) / static_cast<double>(tokens) : 0;
}

void AddMdsOptions(CLI::App& command, MdsOptions& options) {
  command.add_option("--column", options.column, "MDS: the column that holds token ids")->capture_default_str();
  command.add_option("--ids", options.bytes_type,
                     "MDS: type of the ids where the column is plain bytes: uint16, int32, int64, …");
  const auto set = [&options](const std::string& name) { options.joined = name == "joined"; };
  command
      .add_option_function<std::string>(
          "--mds-samples", set, "MDS: each sample is a document, or all are one stream that separators cut [documents]")
      ->check(CLI::IsMember({"documents", "joined"}));
}

void PrintJson(const Json& json) {
  std::printf("%s\n", json.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
}

Json DatasetCountsJson(const DatasetManifest& manifest) {
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
  if (manifest.options.curation.any()) json["curation"] = CurationJson(counts.curation);
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

void PrintDatasetCounts(const DatasetManifest& manifest) {
  const DocumentCounts& counts = manifest.counts;
  std::printf("documents   %lld in %lld files\n", static_cast<long long>(counts.documents),
              static_cast<long long>(counts.files));
  Note(counts.ignored_files, "files passed over: not .txt, .jsonl or .parquet");
  Note(counts.empty_documents, "documents without text left out");
  Note(counts.bad_lines, "bad lines skipped");
  Note(counts.invalid_utf8_documents, "documents are not valid UTF-8; their bytes were taken as they are");
  PrintCuration(counts.curation);
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

}  // namespace ingot
