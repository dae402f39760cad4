#include "data_pipeline/curation/evaluation_texts.h"

#include <simdjson.h>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "data_pipeline/document_source.h"
#include "data_pipeline/input_files.h"
#include "data_pipeline/line_reader.h"
#include "data_pipeline/parquet/library.h"
#include "data_pipeline/text_reader.h"

namespace ingot {
namespace {

using Visit = std::function<void(absl::string_view)>;

// As deep as simdjson parses: 1,024 levels.
void VisitStrings(const simdjson::dom::element& element, const Visit& visit) {
  std::string_view text;
  simdjson::dom::array array;
  simdjson::dom::object object;
  if (element.get(text) == simdjson::SUCCESS) {
    visit({text.data(), text.size()});
  } else if (element.get(array) == simdjson::SUCCESS) {
    for (const simdjson::dom::element child : array) VisitStrings(child, visit);
  } else if (element.get(object) == simdjson::SUCCESS) {
    for (const auto& field : object) VisitStrings(field.value, visit);
  }
}

absl::Status VisitLines(const std::string& path, const Visit& visit) {
  INGOT_ASSIGN_OR_RETURN(std::unique_ptr<CompressedFile> file, CompressedFile::Open(path));
  LineReader lines(std::move(file), path, DocumentOptions{}.max_document_bytes);
  simdjson::dom::parser parser;
  for (absl::string_view line;;) {
    INGOT_ASSIGN_OR_RETURN(const bool found, lines.Next(line));
    if (!found) return absl::OkStatus();
    if (line.find_first_not_of(" \t\r") == absl::string_view::npos) continue;
    simdjson::dom::element root;
    if (const auto error = parser.parse(line.data(), line.size(), false).get(root); error) {
      return absl::InvalidArgumentError(absl::StrCat(path, ":", lines.line_number(),
                                                     ": expected a JSON value of an evaluation file (",
                                                     simdjson::error_message(error), ")"));
    }
    VisitStrings(root, visit);
  }
}

absl::Status VisitCells(const std::string& path, const Visit& visit) {
  INGOT_ASSIGN_OR_RETURN(const std::unique_ptr<ParquetTable> table, OpenParquet(path, {}));
  std::string error;
  if (table->VisitStrings([&](std::string_view text) { visit({text.data(), text.size()}); }, error)) {
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrCat(path, ": ", error, "; the file is damaged, fetch it again"));
}

}  // namespace

absl::Status ForEachEvaluationText(const std::string& path, const Visit& visit) {
  if (IsJsonlFile(path)) return VisitLines(path, visit);
  if (IsParquetFile(path)) return VisitCells(path, visit);
  DocumentCounts counts;
  INGOT_ASSIGN_OR_RETURN(const auto source, OpenTextFile(path, DocumentOptions{}, counts));
  std::string text;
  INGOT_ASSIGN_OR_RETURN(const bool found, source->Next(text));
  if (found) visit(text);
  return absl::OkStatus();
}

}  // namespace ingot
