#pragma once
// All documents of some input, for tests.
#include <string>
#include <vector>

#include "data_pipeline/documents.h"

namespace ingot {

struct Read {
  std::vector<std::string> texts;
  absl::Status status;
  DocumentCounts counts;
};

inline Read ReadDocuments(const std::vector<std::string>& paths, const DocumentOptions& options = {}) {
  Read read;
  auto reader = DocumentReader::Open(paths, options);
  if (!reader.ok()) return {{}, reader.status(), {}};
  for (std::string text;;) {
    const auto found = (*reader)->Next(text);
    if (!found.ok()) read.status = found.status();
    if (!found.ok() || !*found) break;
    read.texts.push_back(text);
  }
  read.counts = (*reader)->counts();
  return read;
}

inline std::string Message(const Read& read) { return std::string(read.status.message()); }

}  // namespace ingot
