#pragma once
// JSON Lines: one object a line (RFC 8259 each), its field `text_field` is a document. Lines of white space are passed
// over, as is a byte order mark at the file's start. A line that is not JSON, not UTF-8, has a lone surrogate or lacks
// the field is an error naming file:line, or is counted with DocumentOptions::skip_bad_lines. So is a column of another
// type than a predicate of options.curation.where wants; lines for which one does not hold are counted and passed over.
#include <memory>
#include <string>

#include "data_pipeline/document_source.h"

namespace ingot {

absl::StatusOr<std::unique_ptr<DocumentSource>> OpenJsonlFile(const std::string& path, const DocumentOptions& options,
                                                              DocumentCounts& counts);

}  // namespace ingot
