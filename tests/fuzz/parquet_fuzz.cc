// Any bytes as a Parquet file: documents come out or an error does. Apache's library is not instrumented; what is ours
// around it is. Without the library in this build there is nothing to fuzz.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "core/base/check.h"
#include "data_pipeline/curation/evaluation_texts.h"
#include "data_pipeline/documents.h"
#include "data_pipeline/parquet/library.h"

namespace ingot {
namespace {

const std::string& Path() {
  static const std::string path = [] {
    std::string name = (std::filesystem::temp_directory_path() / "parquet_fuzz_XXXXXX").string();
    INGOT_CHECK(mkdtemp(name.data()) != nullptr, "no temporary directory");
    if (const absl::Status there = ParquetIsThere(); !there.ok()) {
      std::printf("nothing is fuzzed: %s\n", std::string(there.message()).c_str());
    }
    return name + "/in.parquet";
  }();
  return path;
}

void ReadAll(const DocumentOptions& options) {
  const auto reader = DocumentReader::Open({Path()}, options);
  if (!reader.ok()) return;
  size_t documents = 0;
  for (std::string text; documents < 100000; ++documents) {
    const auto found = (*reader)->Next(text);
    if (!found.ok() || !*found) break;
  }
}

}  // namespace
}  // namespace ingot

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::ofstream(ingot::Path(), std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  ingot::ReadAll({.skip_bad_lines = true, .decode_threads = 1});
  ingot::ReadAll({.text_field = "with_null",
                  .skip_bad_lines = true,
                  .decode_threads = 1,
                  .curation = {.where = {"count>=0", "meta.quality>=0", "language=en|de", "good=true"}}});
  size_t bytes = 0;
  ingot::ForEachEvaluationText(ingot::Path(), [&](absl::string_view text) { bytes += text.size(); }).IgnoreError();
  return 0;
}
