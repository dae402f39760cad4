#include "data_pipeline/input_files.h"

#include <glob.h>

#include <algorithm>
#include <filesystem>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "data_pipeline/compressed_file.h"

namespace ingot {
namespace {

absl::Status CheckNotEmpty(const std::vector<std::string>& names) {
  if (!names.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError("no input: expected at least one file or directory");
}

bool Exists(const std::string& name) { return FileExists(name) || DirectoryExists(name); }

bool IsPattern(const std::string& name) { return name.find_first_of("*?[") != std::string::npos && !Exists(name); }

absl::Status ExpandPattern(const std::string& pattern, std::vector<std::string>& names) {
  glob_t found = {};
  const absl::Cleanup free = [&] { globfree(&found); };
  const int code = glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found);
  if (code != 0 && code != GLOB_NOMATCH) {
    return absl::InternalError(absl::StrCat(pattern, ": matching the pattern failed (glob: ", code, ")"));
  }
  if (code == GLOB_NOMATCH) {
    return absl::NotFoundError(absl::StrCat(pattern, ": no file or directory matches this pattern"));
  }
  std::vector<std::string> matches(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  std::sort(matches.begin(), matches.end());  // by bytes, where glob(3) asks the locale
  names.insert(names.end(), matches.begin(), matches.end());
  return absl::OkStatus();
}

absl::Status ExpandName(const std::string& name, std::vector<std::string>& names) {
  if (IsPattern(name)) return ExpandPattern(name, names);
  names.push_back(name);
  return absl::OkStatus();
}

absl::Status ExpandList(const std::string& list, std::vector<std::string>& names) {
  INGOT_ASSIGN_OR_RETURN(const std::string text, ReadFile(list));
  const size_t before = names.size();
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    absl::ConsumeSuffix(&line, "\r");
    if (line.empty() || line[0] == '#') continue;
    INGOT_RETURN_IF_ERROR(ExpandName(std::string(line), names));
  }
  if (names.size() > before) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(list, ": names no input; expected a file or directory a line"));
}

absl::Status AddFile(const std::string& path, InputFiles& input) {
  INGOT_ASSIGN_OR_RETURN(const uint64_t bytes, FileSize(path));
  input.bytes += bytes;
  input.files.push_back(path);
  return absl::OkStatus();
}

absl::Status AddDirectory(const std::string& path, InputFiles& input) {
  namespace fs = std::filesystem;
  std::error_code error;
  std::vector<std::string> found;
  for (fs::recursive_directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    const bool hidden = absl::StartsWith(it->path().filename().string(), ".");
    std::error_code unreadable;  // a link to nowhere is passed over like any other entry that is no file
    if (hidden && it->is_directory(unreadable)) it.disable_recursion_pending();
    if (hidden || !it->is_regular_file(unreadable)) continue;
    if (IsDocumentFile(it->path().string())) {
      found.push_back(it->path().string());
    } else {
      ++input.ignored_files;
    }
  }
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat(path, ": listing the directory failed"));
  if (found.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": no documents in this directory; expected files named ",
                                                   kDocumentEndings, "; found ", input.ignored_files, " other files"));
  }
  std::sort(found.begin(), found.end());
  for (const std::string& file : found) INGOT_RETURN_IF_ERROR(AddFile(file, input));
  return absl::OkStatus();
}

}  // namespace

const char* const kDocumentEndings = ".txt, .jsonl, either followed by .gz or .zst, or .parquet";

bool IsJsonlFile(const std::string& path) { return absl::EndsWith(NameWithoutCompression(path), ".jsonl"); }
bool IsTextFile(const std::string& path) { return absl::EndsWith(NameWithoutCompression(path), ".txt"); }
bool IsParquetFile(const std::string& path) { return absl::EndsWith(path, ".parquet"); }

absl::StatusOr<std::vector<std::string>> ExpandNames(const std::vector<std::string>& names) {
  INGOT_RETURN_IF_ERROR(CheckNotEmpty(names));
  std::vector<std::string> expanded;
  for (const std::string& name : names) {
    const bool list = absl::StartsWith(name, "@") && !Exists(name);
    INGOT_RETURN_IF_ERROR(list ? ExpandList(name.substr(1), expanded) : ExpandName(name, expanded));
  }
  return expanded;
}

absl::StatusOr<InputFiles> FindDocuments(const std::vector<std::string>& names) {
  INGOT_RETURN_IF_ERROR(CheckNotEmpty(names));
  InputFiles input;
  for (const std::string& name : names) {
    INGOT_ASSIGN_OR_RETURN(const std::vector<std::string> expanded, ExpandNames({name}));
    const bool matched = expanded.size() != 1 || expanded[0] != name;
    const size_t before = input.files.size();
    for (const std::string& path : expanded) {
      if (DirectoryExists(path)) {
        INGOT_RETURN_IF_ERROR(AddDirectory(path, input));
      } else if (!FileExists(path)) {
        return absl::NotFoundError(absl::StrCat(path, ": no such file or directory; expected text to read"));
      } else if (IsDocumentFile(path)) {
        INGOT_RETURN_IF_ERROR(AddFile(path, input));
      } else if (matched && name[0] != '@') {
        ++input.ignored_files;
      } else {
        return absl::InvalidArgumentError(
            absl::StrCat(path, ": cannot tell the format from the name; expected ", kDocumentEndings));
      }
    }
    if (input.files.size() > before) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": matches no documents; expected files named ", kDocumentEndings));
  }
  return input;
}

}  // namespace ingot
