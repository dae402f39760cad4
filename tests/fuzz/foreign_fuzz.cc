// Any bytes as another trainer's token file: refused with an error, or read to the last id inside the file. The first
// byte chooses the format; of Megatron and MDS the second says how much of the rest is the index.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "core/base/check.h"
#include "data_pipeline/foreign/corpus.h"
#include "data_pipeline/foreign/inspect.h"

namespace ingot {
namespace {

constexpr ForeignFormat kFormats[] = {ForeignFormat::kMegatron, ForeignFormat::kLlmC, ForeignFormat::kNanoGpt,
                                      ForeignFormat::kLlmq, ForeignFormat::kMds};

const std::string& Folder() {
  static const std::string folder = [] {
    std::string name = (std::filesystem::temp_directory_path() / "foreign_fuzz_XXXXXX").string();
    INGOT_CHECK(mkdtemp(name.data()) != nullptr, "no temporary directory");
    return name;
  }();
  return folder;
}

void Write(const char* name, const char* bytes, size_t size) {
  std::ofstream(Folder() + name, std::ios::binary | std::ios::trunc).write(bytes, static_cast<std::streamsize>(size));
}

// The shard lies under both names that the seeds have: plain, and compressed.
int ReadMds(const char* bytes, size_t index, size_t shard) {
  Write("/index.json", bytes, index);
  const bool compressed = shard > 4 && static_cast<unsigned char>(bytes[index]) == 0x28;
  std::filesystem::remove(Folder() + "/shard.00000.mds");
  Write(compressed ? "/shard.00000.mds.zstd" : "/shard.00000.mds", bytes + index, shard);
  const auto corpus = ForeignCorpus::Open(Folder(), ForeignFormat::kMds, {.bytes_type = "int64"});
  if (corpus.ok()) InspectForeign(*corpus, 3, 8).status().IgnoreError();
  return 0;
}

}  // namespace
}  // namespace ingot

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const ingot::ForeignFormat format = ingot::kFormats[data[0] % std::size(ingot::kFormats)];
  const auto* const bytes = reinterpret_cast<const char*>(data) + 2;
  const size_t rest = size - 2;
  const bool mds = format == ingot::ForeignFormat::kMds;
  const bool indexed = mds || format == ingot::ForeignFormat::kMegatron;
  const size_t index = indexed ? std::min<size_t>(size_t{data[1]} * (mds ? 4 : 1), rest) : 0;
  if (mds) return ingot::ReadMds(bytes, index, rest - index);
  ingot::Write("/a.idx", bytes, index);
  ingot::Write("/a.bin", bytes + index, rest - index);
  ingot::DetectForeignFormat(ingot::Folder() + "/a.bin").status().IgnoreError();
  const absl::StatusOr<ingot::ForeignCorpus> corpus = ingot::ForeignCorpus::Open(ingot::Folder() + "/a.bin", format);
  if (!corpus.ok()) return 0;
  // Sequences of an index may overlap: the ids that it asks for are bounded here, not by the files.
  int64_t asked = 0;
  for (int64_t s = 0; s < corpus->info().sequences; ++s) {
    const auto range = corpus->Sequence(s);
    if (!range.ok()) return 0;
    asked += range->count;
  }
  if (asked < 1 << 20) ingot::InspectForeign(*corpus, 3, 8).status().IgnoreError();
  return 0;
}
