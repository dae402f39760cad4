// MosaicML's MDS: the files in tests/golden/mds were written by the format's own writer.
#include "data_pipeline/foreign/mds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data_pipeline/foreign/import.h"
#include "data_pipeline/foreign/inspect.h"
#include "data_pipeline/foreign/mds_array.h"
#include "data_pipeline/verify.h"
#include "tests/data_pipeline/test_dataset.h"
#include "tests/tokenizer/test_tokenizers.h"

namespace ingot {
namespace {

using ::testing::HasSubstr;
using Documents = std::vector<std::vector<int32_t>>;

std::string Golden(const std::string& name) { return INGOT_SOURCE_DIR "/tests/golden/mds/" + name; }

absl::StatusOr<Documents> Read(const std::string& path, const MdsOptions& options = {}, int64_t vocabulary = 320) {
  const auto directory = MdsDirectory::Open(path, options);
  if (!directory.ok()) return directory.status();
  Documents documents;
  const absl::Status status = directory->ForEachSample(vocabulary, [&](std::span<const int32_t> ids) {
    documents.emplace_back(ids.begin(), ids.end());
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return documents;
}

std::string Message(const absl::StatusOr<Documents>& read) { return std::string(read.status().message()); }

TEST(Mds, ReadsWhatTheFormatsWriterLeaves) {
  const Documents wanted = {{5, 6, 7, 0}, {8, 0}};
  for (const char* name : {"uint16", "zstd", "bytes", "fixed", "shards"}) {
    EXPECT_TRUE(MdsDirectory::Detect(Golden(name)));
    const auto read = Read(Golden(name), {.bytes_type = "int64"});
    ASSERT_TRUE(read.ok()) << name << ": " << read.status();
    EXPECT_EQ(*read, name == std::string("fixed") ? Documents({{5, 6, 7, 0}, {8, 0, 9, 1}}) : wanted) << name;
  }
  EXPECT_EQ(MdsDirectory::Open(Golden("shards"), {})->samples(), 2);
  EXPECT_FALSE(MdsDirectory::Detect(Golden("")));
}

TEST(Mds, AsksForWhatTheFilesDoNotSay) {
  EXPECT_THAT(Message(Read(Golden("bytes"))), HasSubstr("--ids"));
  EXPECT_THAT(Message(Read(Golden("bytes"), {.bytes_type = "float32"})), HasSubstr("float32"));
  EXPECT_THAT(Message(Read(Golden("bytes"), {.column = "text"})), HasSubstr("[\"n\",\"tokens\",\"uid\"]"));
  EXPECT_THAT(Message(Read(Golden("bytes"), {.column = "uid"})), HasSubstr("'str', which holds no ids"));
  EXPECT_THAT(Message(Read(Golden("uint16"), {}, 8)), HasSubstr("sample 1: token 0 is id 8, outside"));
  // int32 read as int64: 5 and 6 become one large number.
  EXPECT_THAT(Message(Read(Golden("bytes"), {.bytes_type = "uint16"}, 6)), HasSubstr("token 4 is id 6"));
}

// A copy of a golden directory in which a file is changed.
class MdsDamage : public ::testing::Test {
 protected:
  std::string Index() const { return ReadAll(Golden("uint16/index.json")); }
  std::string Shard() const { return ReadAll(Golden("uint16/shard.00000.mds")); }
  std::string MessageOf(const std::string& index, const std::string& shard) {
    dir_.Write("index.json", index);
    dir_.Write("shard.00000.mds", shard);
    const auto read = Read(dir_.path());
    return read.ok() ? "read" : Message(read);
  }
  std::string Replaced(const std::string& from, const std::string& to) {
    std::string index = Index();
    index.replace(index.find(from), from.size(), to);
    return MessageOf(index, Shard());
  }
  const TestDirectory dir_;
};

TEST_F(MdsDamage, NamesWhatIsWrongInTheIndex) {
  EXPECT_EQ(MessageOf(Index(), Shard()), "read");
  EXPECT_THAT(Replaced("\"mds\"", "\"json\""), HasSubstr("format mds"));
  EXPECT_THAT(Replaced("222", "223"), HasSubstr("222 bytes; index.json says 223"));
  EXPECT_THAT(Replaced("\"samples\": 2", "\"samples\": 3"), HasSubstr("3 samples"));
  EXPECT_THAT(Replaced("\"samples\": 2", "\"samples\": -2"), HasSubstr("number of samples"));
  EXPECT_THAT(Replaced("shard.00000.mds", "../shard.mds"), HasSubstr("raw_data"));
  EXPECT_THAT(Replaced("shard.00000.mds", "elsewhere.mds"), HasSubstr("elsewhere.mds"));
  EXPECT_THAT(Replaced("[null]", "[null, null]"), HasSubstr("do not match"));
  EXPECT_THAT(Replaced("[null]", "[4]"), HasSubstr("smaller than it"));
  EXPECT_THAT(Replaced("[null]", "[-4]"), HasSubstr("bad column"));
  EXPECT_THAT(Replaced("ndarray:uint16", "ndarray:uint16:4"), HasSubstr("sample 0"));
  EXPECT_THAT(Replaced("ndarray:uint16", "pkl"), HasSubstr("'pkl'"));
  EXPECT_THAT(Replaced("\"zip_data\": null", "\"zip_data\": null,"), HasSubstr("index.json"));
  EXPECT_THAT(MessageOf("{\"version\": 2, \"shards\": []}", ""), HasSubstr("not an index"));
  EXPECT_THAT(MessageOf("[]", ""), HasSubstr("not an index"));
}

TEST_F(MdsDamage, EveryTruncationAndEveryFlippedBitIsSafe) {
  const std::string shard = Shard();
  for (size_t size = 0; size < shard.size(); ++size) {
    EXPECT_THAT(MessageOf(Index(), shard.substr(0, size)), HasSubstr("index.json says 222")) << size;
  }
  int found = 0;
  for (size_t at = 0; at < shard.size(); ++at) {
    std::string damaged = shard;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x80);
    found += MessageOf(Index(), damaged) != "read";
  }
  // All in the 16 bytes of counts, the two sizes and shapes, and ids that leave the vocabulary; not in the description.
  EXPECT_GE(found, 16 + 2 * 6);
}

TEST_F(MdsDamage, CompressedShardsAreCheckedToo) {
  dir_.Write("index.json", ReadAll(Golden("zstd/index.json")));
  const std::string shard = ReadAll(Golden("zstd/shard.00000.mds.zstd"));
  dir_.Write("shard.00000.mds.zstd", shard.substr(0, 100));
  EXPECT_THAT(Message(Read(dir_.path())), HasSubstr("truncated"));
  dir_.Write("shard.00000.mds.zstd", shard + Zstd("more"));
  EXPECT_THAT(Message(Read(dir_.path())), HasSubstr("index.json says 232"));
  dir_.Write("shard.00000.mds.zstd", "not zstd");
  EXPECT_THAT(Message(Read(dir_.path())), HasSubstr("not valid zstd"));
}

TEST(MdsArray, ShapesAreChecked) {
  std::vector<int32_t> ids;
  const auto read = [&](std::vector<uint8_t> bytes, const MdsEncoding& encoding) {
    return ReadMdsCell(std::as_bytes(std::span(bytes)), encoding, 300, ids);
  };
  EXPECT_TRUE(read({16, 9, 1, 0, 2, 0, 5, 0, 6, 0}, {}).ok());  // uint16, two dimensions of 16 bits: 1 and 2
  EXPECT_EQ(ids, (std::vector<int32_t>{5, 6}));
  EXPECT_TRUE(read({9, 4, 0}, {}).ok());  // no numbers
  EXPECT_TRUE(ids.empty());
  for (const std::vector<uint8_t>& bytes : {std::vector<uint8_t>{},
                                            {9},
                                            {7, 4, 1, 5},
                                            {9, 4},
                                            {9, 4, 2, 5},
                                            {9, 4, 1, 5, 6},
                                            {16, 4, 1, 5},
                                            {9, 255},
                                            {9, 4, 1, 255}}) {
    EXPECT_FALSE(read(bytes, {}).ok());
  }
  // Four dimensions of 64 bits whose product wraps.
  std::vector<uint8_t> huge = {9, 19};
  for (int d = 0; d < 4; ++d) huge.insert(huge.end(), {0, 0, 0, 0, 0, 0, 0, 128});
  EXPECT_FALSE(read(huge, {}).ok());
}

TEST(Mds, ThroughBuildInspectAndVerify) {
  const TestDirectory dir;
  const auto verified = VerifyData(Golden("shards"));
  ASSERT_TRUE(verified.ok()) << verified.status();
  EXPECT_EQ(verified->files, 4);
  EXPECT_EQ(verified->tokens, 6);
  EXPECT_EQ(verified->documents, 2);
  const auto corpus = ForeignCorpus::Open(Golden("zstd"), ForeignFormat::kMds);
  ASSERT_TRUE(corpus.ok()) << corpus.status();
  const auto report = InspectForeign(*corpus, 3, 2);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->contents.samples, (Documents{{5, 6}, {8, 0}}));
  EXPECT_EQ(report->largest_id, 8);
  const Tokenizer tokenizer = SmallTokenizer(SplitPattern::kGpt2);
  TextEncoder encoder = ByteEncoder(dir);
  BuildOptions options;
  options.validation_fraction = 0;
  for (const bool joined : {false, true}) {
    options.inputs = {Golden("fixed"), Golden("uint16")};
    options.output = dir / (joined ? "joined" : "documents");
    const auto made = ImportDataset(options, ForeignFormat::kMds, tokenizer, encoder, {.joined = joined});
    ASSERT_TRUE(made.ok()) << made.status();
    EXPECT_TRUE(VerifyData(options.output).ok());
    const auto dataset = Dataset::Open(options.output);
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    const int32_t end = kByteEndOfText;
    const std::vector<int32_t> apart = {5, 6, 7, 0, end, 8, 0, 9, 1, end, 5, 6, 7, 0, end, 8, 0, end},
                               together = {5, 6, 7, 0, 8, 0, 9, 1, end, 5, 6, 7, 0, 8, 0, end};
    EXPECT_EQ(TokensOf(*dataset, Split::kTraining), joined ? together : apart);
  }
}

}  // namespace
}  // namespace ingot
