// Any bytes as a predicate (the first line) and JSON lines or text (the rest) that it and the rest of the curation
// filter: documents come out or an error does, and what comes out is a part of what went in.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "core/base/check.h"
#include "data_pipeline/documents.h"

namespace ingot {
namespace {

const std::string& Folder() {
  static const std::string folder = [] {
    std::string name = (std::filesystem::temp_directory_path() / "curation_fuzz_XXXXXX").string();
    INGOT_CHECK(mkdtemp(name.data()) != nullptr, "no temporary directory");
    std::ofstream(name + "/eval.jsonl") << "[\"one two three four five six seven eight nine\", {\"a\": \"b\"}]\n";
    return name;
  }();
  return folder;
}

void ReadAll(const std::string& path, const CurationOptions& curation, size_t size) {
  const auto reader = DocumentReader::Open({path}, {.skip_bad_lines = true, .curation = curation});
  if (!reader.ok()) return;
  size_t bytes = 0;
  for (std::string text;;) {
    const auto found = (*reader)->Next(text);
    if (!found.ok() || !*found) break;
    bytes += text.size();
  }
  INGOT_CHECK(bytes <= size, "%zu bytes of text from %zu", bytes, size);
}

}  // namespace
}  // namespace ingot

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string all(reinterpret_cast<const char*>(data), size);
  const size_t newline = all.find('\n');
  if (newline == std::string::npos) return 0;
  const std::string rest = all.substr(newline + 1);
  ingot::CurationOptions curation;
  curation.min_bytes = 2;
  curation.deduplicate = size % 2 == 0 ? ingot::Deduplication::kParagraphs : ingot::Deduplication::kLines;
  curation.deduplicate_min_bytes = 3;
  curation.decontaminate = {ingot::Folder() + "/eval.jsonl"};
  for (const char* name : {"/in.txt", "/in.jsonl"}) {
    std::ofstream(ingot::Folder() + name, std::ios::binary | std::ios::trunc) << rest;
    ingot::ReadAll(ingot::Folder() + name, curation, rest.size());
    curation.where = {all.substr(0, newline)};
  }
  return 0;
}
