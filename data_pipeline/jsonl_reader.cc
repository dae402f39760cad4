#include "data_pipeline/jsonl_reader.h"

#include <simdjson.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status_macros.h"
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

bool IsBlank(absl::string_view line) { return line.find_first_not_of(" \t\r") == absl::string_view::npos; }

class JsonLines : public DocumentSource {
 public:
  JsonLines(LineReader lines, std::string path, const DocumentOptions& options, DocumentCounts& counts)
      : lines_(std::move(lines)), path_(std::move(path)), options_(options), counts_(counts) {}

  absl::StatusOr<bool> Next(std::string& text) override {
    for (absl::string_view line;;) {
      INGOT_ASSIGN_OR_RETURN(const bool found, lines_.Next(line));
      if (!found) return false;
      if (lines_.line_number() == 1) absl::ConsumePrefix(&line, "\xEF\xBB\xBF");
      if (IsBlank(line)) continue;
      const absl::Status status = Parse(line, text);
      if (status.ok()) return true;
      if (!options_.skip_bad_lines) return status;
      ++counts_.bad_lines;
    }
  }
  uint64_t bytes_consumed() const override { return lines_.bytes_consumed(); }

 private:
  // The whole line is checked, not just the way to the field: a half-written line must not pass.
  absl::Status Parse(absl::string_view line, std::string& text) {
    constexpr bool kCopyInput = false;  // the line reader keeps the padding
    simdjson::dom::element root;
    if (const auto error = parser_.parse(line.data(), line.size(), kCopyInput).get(root); error) {
      return Bad(absl::StrCat("not a JSON value (", simdjson::error_message(error), ")"));
    }
    simdjson::dom::object object;
    if (root.get(object)) return Bad(absl::StrCat("found ", NameOf(root.type())));
    simdjson::dom::element field;
    if (object.at_key(options_.text_field).get(field)) return Bad(absl::StrCat("found ", FieldNames(object)));
    std::string_view value;
    if (field.get(value)) return Bad(absl::StrCat("its value is ", NameOf(field.type())));
    text.assign(value.data(), value.size());
    return absl::OkStatus();
  }
  absl::Status Bad(absl::string_view found) const {
    return absl::InvalidArgumentError(absl::StrCat(
        path_, ":", lines_.line_number(), ": expected a JSON object with the string field \"", options_.text_field,
        "\"; ", found, "; --field names another field, --skip-bad-lines passes over"));
  }

  LineReader lines_;
  std::string path_;
  DocumentOptions options_;
  DocumentCounts& counts_;
  simdjson::dom::parser parser_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<DocumentSource>> OpenJsonlFile(const std::string& path, const DocumentOptions& options,
                                                              DocumentCounts& counts) {
  INGOT_ASSIGN_OR_RETURN(std::unique_ptr<CompressedFile> file, CompressedFile::Open(path));
  LineReader lines(std::move(file), path, options.max_document_bytes);
  return std::make_unique<JsonLines>(std::move(lines), path, options, counts);
}

}  // namespace ingot
