#pragma once
// Parquet: a row is a document, its text the column `text_field` (with dots into structs, as the columns of
// options.curation.where). Order: row after row. Row groups are decoded side by side by options.decode_threads threads;
// memory holds 4 MiB of text and a page of each column for every thread, not a row group. A row whose text is null or not
// UTF-8 is an error naming file and row, or is counted with DocumentOptions::skip_bad_lines; rows for which a predicate
// does not hold are counted and passed over, those with null in its column too. A column that is missing or of another
// type than the predicate wants is an error of the file.
#include <memory>
#include <string>

#include "data_pipeline/document_source.h"

namespace ingot {

absl::StatusOr<std::unique_ptr<DocumentSource>> OpenParquetFile(const std::string& path, const DocumentOptions& options,
                                                                DocumentCounts& counts);

}  // namespace ingot
