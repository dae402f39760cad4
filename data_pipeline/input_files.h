#pragma once
// What a user names as input, as a list of files in an order that depends on nothing but names.
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace ingot {

// `.jsonl`, `.txt`, …: how documents end; for messages.
extern const char* const kDocumentEndings;
bool IsJsonlFile(const std::string& path);
bool IsTextFile(const std::string& path);
bool IsParquetFile(const std::string& path);
inline bool IsDocumentFile(const std::string& path) {
  return IsJsonlFile(path) || IsTextFile(path) || IsParquetFile(path);
}

// Names as given, but `@LIST` becomes the lines of the file LIST (blank ones and those that begin with # left out; a
// line is a name as on the command line, not another list), and a name that is no file or directory and holds *, ? or [
// becomes what it matches as a glob(7) pattern, sorted by bytes. A pattern without a match is an error.
absl::StatusOr<std::vector<std::string>> ExpandNames(const std::vector<std::string>& names);

struct InputFiles {
  std::vector<std::string> files;
  uint64_t bytes = 0;         // on disk
  int64_t ignored_files = 0;  // below directories and among matches of patterns: of other endings
};

// ExpandNames(), and each directory becomes its documents, recursively and sorted by path; hidden entries and other
// endings are passed over there. A name that does not exist, a file of another ending, and a directory or pattern
// without documents are errors.
absl::StatusOr<InputFiles> FindDocuments(const std::vector<std::string>& names);

}  // namespace ingot
