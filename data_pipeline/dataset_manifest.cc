#include "data_pipeline/dataset_manifest.h"

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/crc32c.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"
#include "data_pipeline/hash.h"

namespace ingot {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 1;
constexpr char kFileName[] = "dataset.json";
constexpr char kForeignFileName[] = "build.json";
constexpr char kChecksumEnding[] = ".crc32c";

// The numbers of CurationCounts by their names in JSON.
constexpr std::pair<const char*, int64_t CurationCounts::*> kCurationCounts[] = {
    {"column_documents", &CurationCounts::column_documents},
    {"short_documents", &CurationCounts::short_documents},
    {"long_documents", &CurationCounts::long_documents},
    {"duplicate_documents", &CurationCounts::duplicate_documents},
    {"duplicate_parts", &CurationCounts::duplicate_parts},
    {"duplicate_bytes", &CurationCounts::duplicate_bytes},
    {"contaminated_documents", &CurationCounts::contaminated_documents},
    {"contaminated_bytes", &CurationCounts::contaminated_bytes},
};

Json ToJson(const FileEntry& file) {
  return {{"file", file.name}, {"bytes", file.bytes}, {"crc32c", absl::StrFormat("%08x", file.crc32c)}};
}

Json ToJson(const SplitEntry& split) {
  Json shards = Json::array();
  for (const ShardEntry& shard : split.shards) {
    Json json = ToJson(shard.file);
    json["tokens"] = shard.tokens;
    json["documents"] = shard.documents;
    shards.push_back(std::move(json));
  }
  return {{"documents", split.documents},
          {"tokens", split.tokens},
          {"text_bytes", split.text_bytes},
          {"shards", std::move(shards)}};
}

Json ToJson(const CurationOptions& options) {
  return {{"where", options.where},
          {"min_bytes", options.min_bytes},
          {"max_bytes", options.max_bytes},
          {"deduplicate", Name(options.deduplicate)},
          {"deduplicate_min_bytes", options.deduplicate_min_bytes},
          {"decontaminate", options.decontaminate},
          {"decontaminate_words", options.decontaminate_words}};
}

Json ToJson(const DocumentCounts& counts) {
  return {{"files", counts.files},
          {"ignored_files", counts.ignored_files},
          {"documents", counts.documents},
          {"text_bytes", counts.text_bytes},
          {"empty_documents", counts.empty_documents},
          {"bad_lines", counts.bad_lines},
          {"invalid_utf8_documents", counts.invalid_utf8_documents}};
}

Json ToJson(const StreamProgress& stream) {
  Json files = Json::array();
  for (const StreamFile& file : stream.files) {
    files.push_back({{"bytes", file.bytes}, {"modified_nanoseconds", file.modified_nanoseconds}, {"done", file.done}});
  }
  return {{"complete", stream.complete},
          {"rules", stream.rules},
          {"shard_tokens", stream.shard_tokens},
          {"files", std::move(files)}};
}

Json ToJson(const DatasetManifest& manifest) {
  Json tokenizer = {{"vocabulary", manifest.vocabulary},
                    {"end_of_text", manifest.end_of_text},
                    {"hash", absl::StrFormat("%016x", manifest.tokenizer_hash)},
                    {"files", Json::array()}};
  for (const FileEntry& file : manifest.tokenizer_files) tokenizer["files"].push_back(ToJson(file));
  Json sources = Json::array();
  for (const SourceEntry& source : manifest.sources) {
    sources.push_back({{"path", source.path},
                       {"documents", source.documents},
                       {"tokens", source.tokens},
                       {"text_bytes", source.text_bytes}});
  }
  Json options = {{"text_field", manifest.options.text_field},
                  {"blank_line_documents", manifest.options.blank_line_documents},
                  {"skip_bad_lines", manifest.options.skip_bad_lines},
                  {"validation_fraction", manifest.validation_fraction}};
  Json counts = ToJson(manifest.counts);
  if (manifest.options.curation.any()) {
    options["curation"] = ToJson(manifest.options.curation);
    counts["curation"] = CurationJson(manifest.counts.curation);
  }
  Json json = {{"format", manifest.format},
               {"version", kVersion},
               {"tokenizer", std::move(tokenizer)},
               {"options", std::move(options)},
               {"validation_is_tail", manifest.validation_is_tail},
               {"training", ToJson(manifest.split(Split::kTraining))},
               {"validation", ToJson(manifest.split(Split::kValidation))},
               {"counts", std::move(counts)},
               {"sources", std::move(sources)}};
  if (manifest.stream) json["stream"] = ToJson(*manifest.stream);
  return json;
}

// A JSON value that knows where it stands, so that a wrong or missing field is named: "dataset.json: training.tokens".
class Field {
 public:
  Field(const Json& json, std::string where) : json_(json), where_(std::move(where)) {}

  bool Has(const char* key) const { return json_.is_object() && json_.contains(key); }
  absl::StatusOr<Field> At(const char* key) const {
    if (!Has(key)) return Wrong(absl::StrCat("the field \"", key, "\""));
    return Field(json_.at(key), absl::StrCat(where_, where_.back() == ' ' ? "" : ".", key));
  }
  absl::Status Read(const char* key, int64_t& value) const {
    INGOT_ASSIGN_OR_RETURN(const Field field, At(key));
    const bool good = field.json_.is_number_unsigned() && field.json_.get<uint64_t>() <= uint64_t{INT64_MAX};
    if (!good) return field.Wrong("a count");
    value = field.json_.get<int64_t>();
    return absl::OkStatus();
  }
  absl::Status Read(const char* key, double& value) const {
    INGOT_ASSIGN_OR_RETURN(const Field field, At(key));
    if (!field.json_.is_number()) return field.Wrong("a number");
    value = field.json_.get<double>();
    return absl::OkStatus();
  }
  absl::Status Read(const char* key, bool& value) const {
    INGOT_ASSIGN_OR_RETURN(const Field field, At(key));
    if (!field.json_.is_boolean()) return field.Wrong("true or false");
    value = field.json_.get<bool>();
    return absl::OkStatus();
  }
  absl::Status Read(const char* key, std::string& value) const {
    INGOT_ASSIGN_OR_RETURN(const Field field, At(key));
    if (!field.json_.is_string()) return field.Wrong("a string");
    value = field.json_.get<std::string>();
    return absl::OkStatus();
  }
  // A checksum or hash: hexadecimal digits.
  template <typename Number>
  absl::Status ReadHex(const char* key, Number& value) const {
    std::string digits;
    INGOT_RETURN_IF_ERROR(Read(key, digits));
    const bool good =
        digits.size() == 2 * sizeof(Number) && digits.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (!good) return Field(json_.at(key), absl::StrCat(where_, ".", key)).Wrong("hexadecimal digits");
    value = static_cast<Number>(std::stoull(digits, nullptr, 16));
    return absl::OkStatus();
  }
  // Calls read(element, entry) for each element of the array `key`.
  template <typename Entry, typename ReadEntry>
  absl::Status ReadList(const char* key, std::vector<Entry>& entries, const ReadEntry& read) const {
    INGOT_ASSIGN_OR_RETURN(const Field list, At(key));
    if (!list.json_.is_array()) return list.Wrong("an array");
    for (const Json& element : list.json_) {
      const Field field(element, absl::StrCat(list.where_, "[", entries.size(), "]"));
      entries.emplace_back();
      INGOT_RETURN_IF_ERROR(read(field, entries.back()));
    }
    return absl::OkStatus();
  }
  absl::Status Wrong(absl::string_view expected) const {
    return absl::DataLossError(absl::StrCat(where_, where_.back() == ' ' ? "" : ": ", "expected ", expected,
                                            "; build the dataset again with 'ingot data build'"));
  }

 private:
  const Json& json_;
  std::string where_;
};

absl::Status ReadFileEntry(const Field& field, FileEntry& file) {
  INGOT_RETURN_IF_ERROR(field.Read("file", file.name));
  // A name from a file must not lead out of the directory.
  if (file.name.empty() || file.name[0] == '/' || file.name.find("..") != std::string::npos) {
    return field.Wrong("the name of a file in the dataset's directory");
  }
  INGOT_RETURN_IF_ERROR(field.Read("bytes", file.bytes));
  return field.ReadHex("crc32c", file.crc32c);
}

absl::Status ReadShardEntry(const Field& field, ShardEntry& shard) {
  INGOT_RETURN_IF_ERROR(ReadFileEntry(field, shard.file));
  INGOT_RETURN_IF_ERROR(field.Read("tokens", shard.tokens));
  return field.Read("documents", shard.documents);
}

absl::Status ReadSplit(const Field& field, SplitEntry& split) {
  INGOT_RETURN_IF_ERROR(field.Read("documents", split.documents));
  INGOT_RETURN_IF_ERROR(field.Read("tokens", split.tokens));
  INGOT_RETURN_IF_ERROR(field.Read("text_bytes", split.text_bytes));
  return field.ReadList("shards", split.shards, ReadShardEntry);
}

absl::Status ReadSource(const Field& field, SourceEntry& source) {
  INGOT_RETURN_IF_ERROR(field.Read("path", source.path));
  INGOT_RETURN_IF_ERROR(field.Read("documents", source.documents));
  INGOT_RETURN_IF_ERROR(field.Read("tokens", source.tokens));
  return field.Read("text_bytes", source.text_bytes);
}

absl::Status ReadEvaluationFile(const Field& field, EvaluationFile& file) {
  INGOT_RETURN_IF_ERROR(field.Read("path", file.path));
  INGOT_RETURN_IF_ERROR(field.Read("texts", file.texts));
  INGOT_RETURN_IF_ERROR(field.Read("short_texts", file.short_texts));
  return field.Read("documents", file.documents);
}

absl::Status ReadCuration(const Field& field, CurationCounts& counts) {
  for (const auto& [key, member] : kCurationCounts) INGOT_RETURN_IF_ERROR(field.Read(key, counts.*member));
  return field.ReadList("evaluation", counts.evaluation, ReadEvaluationFile);
}

absl::Status ReadCounts(const Field& field, DocumentCounts& counts) {
  INGOT_RETURN_IF_ERROR(field.Read("files", counts.files));
  INGOT_RETURN_IF_ERROR(field.Read("ignored_files", counts.ignored_files));
  INGOT_RETURN_IF_ERROR(field.Read("documents", counts.documents));
  INGOT_RETURN_IF_ERROR(field.Read("text_bytes", counts.text_bytes));
  INGOT_RETURN_IF_ERROR(field.Read("empty_documents", counts.empty_documents));
  INGOT_RETURN_IF_ERROR(field.Read("bad_lines", counts.bad_lines));
  INGOT_RETURN_IF_ERROR(field.Read("invalid_utf8_documents", counts.invalid_utf8_documents));
  if (!field.Has("curation")) return absl::OkStatus();
  INGOT_ASSIGN_OR_RETURN(const Field curation, field.At("curation"));
  return ReadCuration(curation, counts.curation);
}

absl::Status ReadTokenizer(const Field& field, DatasetManifest& manifest) {
  int64_t end_of_text = 0;
  INGOT_RETURN_IF_ERROR(field.Read("vocabulary", manifest.vocabulary));
  INGOT_RETURN_IF_ERROR(field.Read("end_of_text", end_of_text));
  if (manifest.vocabulary > INT32_MAX || end_of_text >= manifest.vocabulary) {
    return field.Wrong("an end-of-text id inside a vocabulary of at most 2^31 - 1");
  }
  manifest.end_of_text = static_cast<int32_t>(end_of_text);
  INGOT_RETURN_IF_ERROR(field.ReadHex("hash", manifest.tokenizer_hash));
  return field.ReadList("files", manifest.tokenizer_files, ReadFileEntry);
}

absl::Status ReadOptions(const Field& field, DatasetManifest& manifest) {
  INGOT_RETURN_IF_ERROR(field.Read("text_field", manifest.options.text_field));
  INGOT_RETURN_IF_ERROR(field.Read("blank_line_documents", manifest.options.blank_line_documents));
  INGOT_RETURN_IF_ERROR(field.Read("skip_bad_lines", manifest.options.skip_bad_lines));
  return field.Read("validation_fraction", manifest.validation_fraction);
}

absl::Status ReadStreamFile(const Field& field, StreamFile& file) {
  INGOT_RETURN_IF_ERROR(field.Read("bytes", file.bytes));
  INGOT_RETURN_IF_ERROR(field.Read("modified_nanoseconds", file.modified_nanoseconds));
  return field.Read("done", file.done);
}

absl::Status ReadStream(const Field& root, DatasetManifest& manifest) {
  INGOT_ASSIGN_OR_RETURN(const Field field, root.At("stream"));
  StreamProgress& stream = manifest.stream.emplace();
  INGOT_RETURN_IF_ERROR(field.Read("complete", stream.complete));
  INGOT_RETURN_IF_ERROR(field.Read("rules", stream.rules));
  INGOT_RETURN_IF_ERROR(field.Read("shard_tokens", stream.shard_tokens));
  INGOT_RETURN_IF_ERROR(field.ReadList("files", stream.files, ReadStreamFile));
  if (stream.files.size() == manifest.sources.size()) return absl::OkStatus();
  return field.Wrong(absl::StrCat(manifest.sources.size(), " files, one a source"));
}

absl::StatusOr<DatasetManifest> FromJson(const Field& root) {
  DatasetManifest manifest;
  int64_t version = 0;
  INGOT_RETURN_IF_ERROR(root.Read("version", version));
  INGOT_RETURN_IF_ERROR(root.Read("format", manifest.format));
  if (manifest.format != kDatasetFormat) return root.Wrong(absl::StrCat("format \"", kDatasetFormat, "\""));
  if (version != kVersion) return root.Wrong(absl::StrCat("version ", kVersion, ", found ", version));
  INGOT_ASSIGN_OR_RETURN(const Field tokenizer, root.At("tokenizer"));
  INGOT_RETURN_IF_ERROR(ReadTokenizer(tokenizer, manifest));
  INGOT_ASSIGN_OR_RETURN(const Field options, root.At("options"));
  INGOT_RETURN_IF_ERROR(ReadOptions(options, manifest));
  INGOT_RETURN_IF_ERROR(root.Read("validation_is_tail", manifest.validation_is_tail));
  for (const Split split : kSplits) {
    INGOT_ASSIGN_OR_RETURN(const Field field, root.At(Name(split)));
    INGOT_RETURN_IF_ERROR(ReadSplit(field, manifest.split(split)));
  }
  INGOT_ASSIGN_OR_RETURN(const Field counts, root.At("counts"));
  INGOT_RETURN_IF_ERROR(ReadCounts(counts, manifest.counts));
  INGOT_RETURN_IF_ERROR(root.ReadList("sources", manifest.sources, ReadSource));
  if (root.Has("stream")) INGOT_RETURN_IF_ERROR(ReadStream(root, manifest));
  return manifest;
}

std::string ChecksumLine(const std::string& text) {
  return absl::StrFormat("%08x\n", Crc32c(text.data(), text.size()));
}

absl::StatusOr<DatasetManifest> ReadStreamManifest(const std::string& path) {
  INGOT_ASSIGN_OR_RETURN(const std::string contents, ReadFile(path));
  const size_t line = contents.find('\n') + 1;
  const std::string text = contents.substr(line);
  if (contents.substr(0, line) != ChecksumLine(text)) {
    return absl::DataLossError(absl::StrCat(path, ": its checksum is ", absl::StripAsciiWhitespace(ChecksumLine(text)),
                                            ", not as its first line says; remove the directory to tokenize again"));
  }
  INGOT_ASSIGN_OR_RETURN(const Json json, ParseOrderedJson(text, path));
  return FromJson(Field(json, absl::StrCat(path, ": ")));
}

}  // namespace

nlohmann::ordered_json CurationJson(const CurationCounts& counts) {
  Json json;
  for (const auto& [key, member] : kCurationCounts) json[key] = counts.*member;
  json["evaluation"] = Json::array();
  for (const EvaluationFile& file : counts.evaluation) {
    json["evaluation"].push_back(
        {{"path", file.path}, {"texts", file.texts}, {"short_texts", file.short_texts}, {"documents", file.documents}});
  }
  return json;
}

absl::Status WriteManifest(const DatasetManifest& manifest, const std::string& directory) {
  // Paths come from the command line and need not be UTF-8.
  const std::string text = ToJson(manifest).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  if (manifest.stream) return WriteFileAtomically(JoinPath(directory, kStreamManifest), ChecksumLine(text) + text);
  const std::string path = JoinPath(directory, manifest.format == kDatasetFormat ? kFileName : kForeignFileName);
  INGOT_RETURN_IF_ERROR(WriteFileAtomically(path, text));
  return WriteFileAtomically(path + kChecksumEnding, ChecksumLine(text));
}

absl::StatusOr<DatasetManifest> ReadManifest(const std::string& directory) {
  const std::string path = JoinPath(directory, kFileName), stream = JoinPath(directory, kStreamManifest);
  if (!FileExists(path)) {
    if (FileExists(stream)) return ReadStreamManifest(stream);
    return absl::NotFoundError(absl::StrCat(directory, ": not a dataset: it has no ", kFileName,
                                            "; expected a directory made by 'ingot data build'"));
  }
  INGOT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  INGOT_ASSIGN_OR_RETURN(const std::string checksum, ReadFile(path + kChecksumEnding, 64));
  if (checksum != ChecksumLine(text)) {
    return absl::DataLossError(absl::StrCat(path, ": its checksum is ", absl::StripAsciiWhitespace(ChecksumLine(text)),
                                            ", not as the ", kChecksumEnding,
                                            " file beside it says; build the dataset again with 'ingot data build'"));
  }
  INGOT_ASSIGN_OR_RETURN(const Json json, ParseOrderedJson(text, path));
  return FromJson(Field(json, absl::StrCat(path, ": ")));
}

uint64_t FingerprintOf(const DatasetManifest& manifest) {
  uint64_t hash = CombineHash(manifest.tokenizer_hash, static_cast<uint64_t>(manifest.vocabulary));
  for (const SplitEntry& split : manifest.splits) {
    hash = CombineHash(hash, split.shards.size());
    for (const ShardEntry& shard : split.shards) {
      hash = CombineHash(hash, static_cast<uint64_t>(shard.tokens));
      hash = CombineHash(hash, static_cast<uint64_t>(shard.documents));
      hash = CombineHash(hash, shard.file.crc32c);
    }
  }
  return hash;
}

}  // namespace ingot
