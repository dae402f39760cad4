#pragma once
// Plain text: the whole file is one document, byte for byte, or blank lines separate documents.
#include <memory>
#include <string>

#include "data_pipeline/document_source.h"

namespace ingot {

// Blank-line mode: a line is blank if it is empty or a lone CR; a document is the lines between blank ones with their
// line ends, the last one's excepted.
absl::StatusOr<std::unique_ptr<DocumentSource>> OpenTextFile(const std::string& path, const DocumentOptions& options,
                                                             DocumentCounts& counts);

}  // namespace ingot
