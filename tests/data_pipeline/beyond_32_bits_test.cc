// Token files of more than 4 GiB, and counts above 2^32, as files with holes: every reader of tokens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "core/base/crc32c.h"
#include "data_pipeline/foreign/corpus.h"
#include "data_pipeline/shard.h"
#include "tests/data_pipeline/test_files.h"

namespace ingot {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t k4G = int64_t{1} << 32;
constexpr int64_t kMostCount = (int64_t{1} << 31) - 1;  // of headers with 32 bits

template <typename T>
std::string Bytes(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// A file of `size` bytes that begins with `head`, with a hole behind it.
class Beyond32Bits : public ::testing::Test {
 protected:
  std::string WithHole(const std::string& name, const std::string& head, int64_t size) {
    const std::string path = dir_.Write(name, head);
    std::error_code error;
    std::filesystem::resize_file(path, static_cast<uintmax_t>(size), error);
    EXPECT_FALSE(error) << error.message();
    return path;
  }
  static void WriteAt(const std::string& path, int64_t at, const std::string& bytes) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(at);
    file << bytes;
  }
  static std::vector<int32_t> LastIds(const ForeignCorpus& corpus) {
    std::vector<int32_t> ids(2);
    corpus.Copy(corpus.info().tokens - 2, 2, ids.data());
    return ids;
  }
  TestDirectory dir_;
};

TEST_F(Beyond32Bits, LlmCAndLlmqUpToTheLastTokenTheirHeadersCanCount) {
  const std::string narrow =
      WithHole("a.bin", Bytes<int32_t>({20240520, 1, int32_t{kMostCount}}), 1024 + 2 * kMostCount);
  const std::string wide = WithHole("b.bin", Bytes<int32_t>({20240801, 7, int32_t{kMostCount}}), 1024 + 4 * kMostCount);
  const std::string llmq = WithHole("c.bin", "BIN.TOK\n" + Bytes<int32_t>({2, 4, int32_t{kMostCount}, 100000, 1}),
                                    1024 + 4 * kMostCount + (kMostCount + 7) / 8);
  WriteAt(narrow, 1024 + 2 * (kMostCount - 2), Bytes<uint16_t>({41, 65535}));
  WriteAt(wide, 1024 + 4 * (kMostCount - 2), Bytes<uint32_t>({41, 70000}));
  WriteAt(llmq, 1024 + 4 * (kMostCount - 2), Bytes<int32_t>({41, 70000}));
  for (const auto& [path, format, last] : {std::tuple{narrow, ForeignFormat::kLlmC, 65535},
                                           {wide, ForeignFormat::kLlmC, 70000},
                                           {llmq, ForeignFormat::kLlmq, 70000}}) {
    const auto corpus = ForeignCorpus::Open(path, format);
    ASSERT_TRUE(corpus.ok()) << corpus.status();
    EXPECT_GT(corpus->file_bytes(), k4G);
    EXPECT_EQ(corpus->info().tokens, kMostCount);
    EXPECT_THAT(LastIds(*corpus), ElementsAre(41, last)) << path;
    std::filesystem::resize_file(path, static_cast<uintmax_t>(std::max(corpus->file_bytes() - k4G, int64_t{2048})));
    EXPECT_THAT(std::string(ForeignCorpus::Open(path, format).status().message()),
                HasSubstr(path + ": the header says"));
  }
}

TEST_F(Beyond32Bits, NanoGpt) {
  const std::string path = WithHole("a.bin", "", 2 * (k4G + 5));
  WriteAt(path, 2 * (k4G + 3), Bytes<uint16_t>({41, 42}));
  const auto corpus = ForeignCorpus::Open(path, ForeignFormat::kNanoGpt);
  ASSERT_TRUE(corpus.ok()) << corpus.status();
  EXPECT_EQ(corpus->info().tokens, k4G + 5);
  EXPECT_THAT(LastIds(*corpus), ElementsAre(41, 42));
}

std::string MegatronHeader(uint8_t type, uint64_t sequences, uint64_t entries) {
  return std::string("MMIDIDX\0\0", 9) + Bytes<uint64_t>({1}) + static_cast<char>(type) +
         Bytes<uint64_t>({sequences, entries});
}

// Documents far behind 4 GiB and 2^32 tokens, in both widths, by the way that `data build` reads them.
TEST_F(Beyond32Bits, MegatronDocumentsFarInTheFile) {
  for (const int64_t width : {2, 4}) {
    const std::string tokens = WithHole("a.bin", "", width * (k4G + 8));
    const std::string three = width == 2 ? Bytes<uint16_t>({5, 6, 7}) : Bytes<int32_t>({5, 6, 70000});
    WriteAt(tokens, width * (k4G + 4), three);
    dir_.Write("a.idx", MegatronHeader(width == 2 ? 8 : 4, 2, 3) + Bytes<int32_t>({2, 3}) +
                            Bytes<int64_t>({width * (k4G - 1), width * (k4G + 4)}) + Bytes<int64_t>({0, 1, 2}));
    const auto corpus = ForeignCorpus::Open(tokens, ForeignFormat::kMegatron);
    ASSERT_TRUE(corpus.ok()) << corpus.status();
    EXPECT_EQ(corpus->info().tokens, k4G + 8);
    std::vector<std::vector<int32_t>> documents;
    DocumentCutter cutter({}, [&](const ForeignPiece& piece) {
      documents.emplace_back(piece.ids.begin(), piece.ids.end());
      return absl::OkStatus();
    });
    const absl::Status cut = corpus->CutInto(cutter, 100000);
    EXPECT_TRUE(cut.ok()) << cut;
    EXPECT_THAT(documents, ElementsAre(ElementsAre(0, 0), ElementsAre(5, 6, width == 2 ? 7 : 70000)));
  }
}

TEST_F(Beyond32Bits, MegatronIndexesOfMoreSequencesAndDocuments) {
  constexpr int64_t kMany = k4G + 5;
  const std::string tokens = WithHole("a.bin", "", 4 * kMany);
  const int64_t offsets = 34 + 4 * kMany, entries = offsets + 8 * kMany;
  const std::string index = WithHole("a.idx", MegatronHeader(4, kMany, kMany + 1), entries + 8 * (kMany + 1));
  WriteAt(index, offsets - 4, Bytes<int32_t>({2}));
  WriteAt(index, entries - 8, Bytes<int64_t>({4 * (kMany - 2)}));
  const auto corpus = ForeignCorpus::Open(index, ForeignFormat::kMegatron);
  ASSERT_TRUE(corpus.ok()) << corpus.status();
  EXPECT_EQ(corpus->info().sequences, kMany);
  EXPECT_EQ(corpus->info().documents, kMany);
  const auto range = corpus->Sequence(kMany - 1);
  ASSERT_TRUE(range.ok()) << range.status();
  EXPECT_EQ(range->first, kMany - 2);
  EXPECT_EQ(range->count, 2);
  // Counts whose products would wrap around 64 bits.
  for (const uint64_t huge : {uint64_t{1} << 61, uint64_t{1} << 62, ~uint64_t{0}}) {
    dir_.Write("a.idx", MegatronHeader(4, huge, huge) + std::string(64, '\0'));
    EXPECT_THAT(std::string(ForeignCorpus::Open(tokens, ForeignFormat::kMegatron).status().message()),
                HasSubstr("a.idx: the header says " + absl::StrCat(huge)));
  }
}

// MDS: offsets of 32 bits, so a shard ends before 4 GiB. Between two samples lies a column that is a hole.
TEST_F(Beyond32Bits, MdsShardsUpTo4GiBAndNotBeyond) {
  constexpr int64_t kHole = k4G - 4096;
  const std::string ids = std::string("\x04\x01", 2) + Bytes<uint16_t>({42});  // one dimension, of a byte: 1
  const int64_t begin = 4 * 4 + 4, first = begin, second = first + 8 + kHole + 4, end = second + 8 + 4;
  const auto u32 = [](int64_t value) { return static_cast<uint32_t>(value); };
  const std::string shard =
      WithHole("shard.00000.mds", Bytes<uint32_t>({2, u32(first), u32(second), u32(end), 0}), end);
  WriteAt(shard, first, Bytes<uint32_t>({u32(kHole), 4}));
  WriteAt(shard, second - 4, ids);
  WriteAt(shard, second, Bytes<uint32_t>({0, 4}) + ids);
  const auto index = [&](int64_t bytes) {
    return absl::StrCat(R"({"version": 2, "shards": [{"column_encodings": ["bytes", "ndarray:uint16"], )",
                        R"("column_names": ["blob", "tokens"], "column_sizes": [null, null], "compression": null, )",
                        R"("format": "mds", "hashes": [], "raw_data": {"basename": "shard.00000.mds", "bytes": )",
                        bytes,
                        R"(, "hashes": {}}, "samples": 2, "size_limit": null, "version": 2, "zip_data": null}]})");
  };
  const auto read = [&] {
    std::vector<int32_t> all;
    const auto directory = MdsDirectory::Open(dir_.path(), {});
    absl::Status status = directory.status();
    if (status.ok()) {
      status = directory->ForEachSample(100, [&](std::span<const int32_t> found) {
        all.insert(all.end(), found.begin(), found.end());
        return absl::OkStatus();
      });
    }
    return std::pair(status, all);
  };
  dir_.Write("index.json", index(end));
  const auto good = read();
  EXPECT_TRUE(good.first.ok()) << good.first;
  EXPECT_THAT(good.second, ElementsAre(42, 42));
  std::filesystem::resize_file(shard, static_cast<uintmax_t>(end + k4G));
  EXPECT_THAT(std::string(read().first.message()),
              HasSubstr(shard + ": " + absl::StrCat(end + k4G, " bytes; index.json")));
  dir_.Write("index.json", index(end + k4G));
  EXPECT_THAT(std::string(read().first.message()), HasSubstr(shard + ": the offsets of its samples"));
}

TEST_F(Beyond32Bits, OwnShardsOfBothWidths) {
  for (const int64_t vocabulary : {300, 100000}) {
    const std::string path = dir_ / "a.shard";
    const std::vector<uint64_t> ends = {3, static_cast<uint64_t>(k4G) + 2, static_cast<uint64_t>(k4G) + 5};
    const absl::Status written = WriteSparseShard(path, vocabulary, 0, k4G + 5, ends);
    ASSERT_TRUE(written.ok()) << written;
    const int64_t width = vocabulary == 300 ? 2 : 4;
    WriteAt(path, kShardHeaderBytes + width * (k4G + 3),
            width == 2 ? Bytes<uint16_t>({41, 0}) : Bytes<int32_t>({70000, 0}));
    const auto shard = Shard::Open(path);
    ASSERT_TRUE(shard.ok()) << shard.status();
    EXPECT_EQ(shard->info().tokens, k4G + 5);
    std::vector<int32_t> ids(2);
    shard->Copy(k4G + 3, 2, ids.data());
    EXPECT_THAT(ids, ElementsAre(width == 2 ? 41 : 70000, 0));
    EXPECT_THAT(std::vector<uint64_t>(shard->ends().begin(), shard->ends().end()), ::testing::ElementsAreArray(ends));
  }
}

// The count of documents is patched into the trailer (docs/shard_format.md): their ends are a hole.
TEST_F(Beyond32Bits, OwnShardsOfMoreDocuments) {
  constexpr int64_t kDocuments = k4G + 3, kTokens = kDocuments;
  const std::string path = dir_ / "a.shard";
  ASSERT_TRUE(WriteSparseShard(path, 300, 0, kTokens, {}).ok());
  std::string trailer = Bytes<int64_t>({kTokens, kDocuments}) + Bytes<uint32_t>({0, 0});
  trailer += Bytes<uint32_t>({Crc32c(trailer.data(), trailer.size())}) + "END.";
  const int64_t ends = kShardHeaderBytes + (2 * kTokens + 7) / 8 * 8;
  std::filesystem::resize_file(path, static_cast<uintmax_t>(ends));
  WriteAt(path, ends + 8 * (kDocuments - 1), Bytes<uint64_t>({static_cast<uint64_t>(kTokens)}) + trailer);
  const auto shard = Shard::Open(path);
  ASSERT_TRUE(shard.ok()) << shard.status();
  EXPECT_EQ(shard->info().documents, kDocuments);
  EXPECT_EQ(shard->ends().back(), static_cast<uint64_t>(kTokens));
}

}  // namespace
}  // namespace ingot
