#include "data_pipeline/jsonl_reader.h"

#include <simdjson.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status_macros.h"
#include "data_pipeline/curation/predicate.h"
#include "data_pipeline/line_reader.h"

namespace ingot {
namespace {

static_assert(LineReader::kPadding >= simdjson::SIMDJSON_PADDING);

const char* NameOf(simdjson::dom::element_type type) {
  switch (type) {
    case simdjson::dom::element_type::ARRAY:
      return "an array";
    case simdjson::dom::element_type::OBJECT:
      return "an object";
    case simdjson::dom::element_type::STRING:
      return "a string";
    case simdjson::dom::element_type::BOOL:
      return "true or false";
    case simdjson::dom::element_type::NULL_VALUE:
      return "null";
    default:
      return "a number";
  }
}

// `"id", "body"`: what the object has instead of the field that was wanted.
std::string FieldNames(const simdjson::dom::object& object) {
  constexpr int kMostNames = 8;
  std::string names;
  int count = 0;
  for (const auto& field : object) {
    if (++count > kMostNames) return absl::StrCat(names, ", …");
    absl::StrAppend(&names, count > 1 ? ", \"" : "\"", absl::string_view(field.key.data(), field.key.size()), "\"");
  }
  return names.empty() ? "no field" : names;
}

// False also where the column is missing or null.
absl::StatusOr<bool> Holds(const Predicate& predicate, simdjson::dom::element value) {
  for (const std::string& name : predicate.path()) {
    if (!value.is_object() || value.at_key(name).get(value)) return false;
  }
  double number = 0;
  bool flag = false;
  std::string_view text;
  if (value.is_null()) return false;
  if (value.get(flag) == simdjson::SUCCESS) return predicate.Holds(flag);
  if (value.get(number) == simdjson::SUCCESS) return predicate.Holds(number);
  if (value.get(text) == simdjson::SUCCESS) return predicate.Holds(std::string(text));
  return absl::InvalidArgumentError(absl::StrCat("the column of '", predicate.text(), "' is ", NameOf(value.type())));
}

bool IsBlank(absl::string_view line) { return line.find_first_not_of(" \t\r") == absl::string_view::npos; }

class JsonLines : public DocumentSource {
 public:
  JsonLines(LineReader lines, std::string path, const DocumentOptions& options, std::vector<Predicate> where,
            DocumentCounts& counts)
      : lines_(std::move(lines)),
        path_(std::move(path)),
        options_(options),
        where_(std::move(where)),
        counts_(counts) {}

  absl::StatusOr<bool> Next(std::string& text) override {
    for (absl::string_view line;;) {
      INGOT_ASSIGN_OR_RETURN(const bool found, lines_.Next(line));
      if (!found) return false;
      if (lines_.line_number() == 1) absl::ConsumePrefix(&line, "\xEF\xBB\xBF");
      if (IsBlank(line)) continue;
      const absl::StatusOr<bool> stays = Parse(line, text);
      if (stays.ok() && *stays) return true;
      if (!stays.ok() && !options_.skip_bad_lines) return stays.status();
      ++(stays.ok() ? counts_.curation.column_documents : counts_.bad_lines);
    }
  }
  uint64_t bytes_consumed() const override { return lines_.bytes_consumed(); }

 private:
  // False if a predicate does not hold. The whole line is checked, not just the way to the field: a half-written line
  // must not pass.
  absl::StatusOr<bool> Parse(absl::string_view line, std::string& text) {
    constexpr bool kCopyInput = false;  // the line reader keeps the padding
    simdjson::dom::element root;
    if (const auto error = parser_.parse(line.data(), line.size(), kCopyInput).get(root); error) {
      return Bad(absl::StrCat("not a JSON value (", simdjson::error_message(error), ")"));
    }
    simdjson::dom::object object;
    if (root.get(object)) return Bad(absl::StrCat("found ", NameOf(root.type())));
    for (const Predicate& predicate : where_) {
      const absl::StatusOr<bool> holds = Holds(predicate, root);
      if (!holds.ok()) return Bad(holds.status().message());
      if (!*holds) return false;
    }
    simdjson::dom::element field;
    if (object.at_key(options_.text_field).get(field)) return Bad(absl::StrCat("found ", FieldNames(object)));
    std::string_view value;
    if (field.get(value)) return Bad(absl::StrCat("its value is ", NameOf(field.type())));
    text.assign(value.data(), value.size());
    return true;
  }
  absl::Status Bad(absl::string_view found) const {
    return absl::InvalidArgumentError(absl::StrCat(
        path_, ":", lines_.line_number(), ": expected a JSON object with the string field \"", options_.text_field,
        "\"; ", found, "; --field names another field, --skip-bad-lines passes over"));
  }

  LineReader lines_;
  std::string path_;
  DocumentOptions options_;
  std::vector<Predicate> where_;
  DocumentCounts& counts_;
  simdjson::dom::parser parser_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<DocumentSource>> OpenJsonlFile(const std::string& path, const DocumentOptions& options,
                                                              DocumentCounts& counts) {
  INGOT_ASSIGN_OR_RETURN(std::vector<Predicate> where, ParsePredicates(options.curation.where));
  INGOT_ASSIGN_OR_RETURN(std::unique_ptr<CompressedFile> file, CompressedFile::Open(path));
  LineReader lines(std::move(file), path, options.max_document_bytes);
  return std::make_unique<JsonLines>(std::move(lines), path, options, std::move(where), counts);
}

}  // namespace ingot
