#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "data_pipeline/foreign/corpus.h"
#include "tests/data_pipeline/test_files.h"

namespace ingot {
namespace {

using ::testing::HasSubstr;
using Documents = std::vector<std::vector<int32_t>>;

constexpr int64_t kAnyId = int64_t{1} << 31;

template <typename T>
std::string Bytes(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// The documents [5,6,7,0] and [8,0] as each format's own writer leaves them; 0 is the separator.
std::string MegatronIndex() {
  return std::string("MMIDIDX\0\0", 9) + Bytes<uint64_t>({1}) + "\x08" + Bytes<uint64_t>({2, 3}) +
         Bytes<int32_t>({4, 2}) + Bytes<int64_t>({0, 8}) + Bytes<int64_t>({0, 1, 2});
}
std::string MegatronTokens() { return Bytes<uint16_t>({5, 6, 7, 0, 8, 0}); }

std::string LlmC(int32_t magic, int32_t version, const std::string& tokens, int32_t count = 6) {
  std::string bytes = Bytes<int32_t>({magic, version, count});
  bytes.resize(1024);
  return bytes + tokens;
}
std::string LlmC16() { return LlmC(20240520, 1, Bytes<uint16_t>({0, 5, 6, 7, 0, 8})); }
std::string LlmC32() { return LlmC(20240801, 7, Bytes<uint32_t>({0, 5, 6, 7, 0, 8})); }

std::string Llmq(bool masks) {
  std::string bytes = "BIN.TOK\n" + Bytes<int32_t>({2, 4, 6, 320, masks});
  bytes.resize(1023, '*');
  return bytes + "\n" + Bytes<int32_t>({5, 6, 7, 0, 8, 0}) + (masks ? "\x2F" : "");
}

absl::StatusOr<Documents> Read(const std::string& path, ForeignFormat format, int64_t vocabulary = kAnyId) {
  auto corpus = ForeignCorpus::Open(path, format);
  if (!corpus.ok()) return corpus.status();
  Documents documents;
  DocumentCutter cutter({0}, [&](const ForeignPiece& piece) {
    if (piece.begins) documents.emplace_back();
    documents.back().insert(documents.back().end(), piece.ids.begin(), piece.ids.end());
    return absl::OkStatus();
  });
  if (const absl::Status status = corpus->CutInto(cutter, vocabulary); !status.ok()) return status;
  if (const absl::Status status = cutter.End(); !status.ok()) return status;
  return documents;
}

struct Sample {
  const char* name;
  ForeignFormat format;
  std::string bytes;
  bool detected = true;
};

std::vector<Sample> Samples() {
  return {{"llm.c 16", ForeignFormat::kLlmC, LlmC16()},
          {"llm.c 32", ForeignFormat::kLlmC, LlmC32()},
          {"nanoGPT", ForeignFormat::kNanoGpt, MegatronTokens(), false},
          {"LLMQ", ForeignFormat::kLlmq, Llmq(false)},
          {"LLMQ with masks", ForeignFormat::kLlmq, Llmq(true)}};
}

std::string Message(const absl::Status& status) { return std::string(status.message()); }

const Documents kWanted = {{5, 6, 7}, {8}};

TEST(ForeignCorpus, ReadsWhatEachFormatsWriterLeaves) {
  const TestDirectory dir;
  for (const Sample& sample : Samples()) {
    const std::string path = dir.Write("a.bin", sample.bytes);
    const auto documents = Read(path, sample.format);
    ASSERT_TRUE(documents.ok()) << sample.name << ": " << documents.status();
    EXPECT_EQ(*documents, kWanted) << sample.name;
    const auto format = DetectForeignFormat(path);
    ASSERT_TRUE(format.ok());
    EXPECT_EQ(format->has_value(), sample.detected) << sample.name;
    if (!sample.detected) continue;
    EXPECT_EQ(**format, sample.format) << sample.name;
  }
}

TEST(ForeignCorpus, MegatronByAnyOfItsNames) {
  const TestDirectory dir;
  EXPECT_EQ(MegatronIndex().size(), 82u);
  dir.Write("a.idx", MegatronIndex());
  dir.Write("a.bin", MegatronTokens());
  for (const char* name : {"a", "a.idx", "a.bin"}) {
    const auto format = DetectForeignFormat(dir / name);
    ASSERT_TRUE(format.ok() && format->has_value()) << name;
    const auto documents = Read(dir / name, **format);
    ASSERT_TRUE(documents.ok()) << documents.status();
    EXPECT_EQ(*documents, kWanted) << name;
  }
}

// Stored offsets are honoured; documents of several sequences and of none; no separator; multimodal modes.
TEST(ForeignCorpus, MegatronFollowsItsIndex) {
  const TestDirectory dir;
  dir.Write("a.idx", std::string("MMIDIDX\0\0", 9) + Bytes<uint64_t>({1}) + "\x04" + Bytes<uint64_t>({3, 4}) +
                         Bytes<int32_t>({1, 2, 1}) + Bytes<int64_t>({12, 0, 8}) + Bytes<int64_t>({0, 2, 2, 3}) +
                         std::string(3, '\0'));
  dir.Write("a.bin", Bytes<int32_t>({100000, 11, 12, 13}));
  const auto documents = Read(dir / "a", ForeignFormat::kMegatron);
  ASSERT_TRUE(documents.ok()) << documents.status();
  EXPECT_EQ(*documents, (Documents{{13, 100000, 11}, {12}}));
}

TEST(ForeignCorpus, NamesWhatIsWrong) {
  const TestDirectory dir;
  const auto read = [&](ForeignFormat format, const std::string& bytes, int64_t vocabulary = kAnyId) {
    return Message(Read(dir.Write("x.bin", bytes), format, vocabulary).status());
  };
  EXPECT_THAT(read(ForeignFormat::kLlmC, LlmC16().substr(0, 1034)), HasSubstr("6 tokens, so 1036 bytes"));
  EXPECT_THAT(read(ForeignFormat::kLlmC, LlmC(20240520, 7, "")), HasSubstr("version 7; expected 1"));
  EXPECT_THAT(read(ForeignFormat::kLlmC, LlmC(20240520, 1, "", -2)), HasSubstr("-2 tokens"));
  EXPECT_THAT(read(ForeignFormat::kLlmC, Llmq(false)), HasSubstr("llm.c's token files"));
  EXPECT_THAT(read(ForeignFormat::kLlmq, LlmC16()), HasSubstr("BIN.TOK"));
  EXPECT_THAT(read(ForeignFormat::kNanoGpt, "abc"), HasSubstr("3 bytes"));
  EXPECT_THAT(read(ForeignFormat::kLlmq, Llmq(false), 8), HasSubstr("token 4 is id 8, outside the vocabulary of 8"));
  EXPECT_THAT(read(ForeignFormat::kLlmC, LlmC(20240801, 7, Bytes<uint32_t>({0, 0xFFFFFFFFu}), 2)),
              HasSubstr("token 1 is id 4294967295"));
  EXPECT_THAT(Message(DetectForeignFormat(dir.Write("t.idx", std::string("TNTIDX\0\0", 8))).status()),
              HasSubstr("fairseq"));
  EXPECT_THAT(Message(DetectForeignFormat(dir.Write("e.bin", LlmC(20240522, 1, ""))).status()),
              HasSubstr("evaluation file"));
}

TEST(ForeignCorpus, NamesWhatIsWrongInMegatronFiles) {
  const TestDirectory dir;
  const auto read = [&](std::string index, const std::string& tokens, size_t at = 0, uint8_t value = 'M') {
    index[at] = static_cast<char>(value);
    dir.Write("a.idx", index);
    dir.Write("a.bin", tokens);
    return Message(Read(dir / "a", ForeignFormat::kMegatron).status());
  };
  EXPECT_THAT(read(MegatronIndex(), MegatronTokens(), 17, 7), HasSubstr("float32"));
  EXPECT_THAT(read(MegatronIndex(), MegatronTokens(), 9, 2), HasSubstr("version 2"));
  EXPECT_THAT(read(MegatronIndex(), MegatronTokens(), 18, 3), HasSubstr("3 sequences"));
  EXPECT_THAT(read(MegatronIndex(), MegatronTokens(), 25, 255), HasSubstr("sequences"));  // wraps if multiplied first
  EXPECT_THAT(read(MegatronIndex(), MegatronTokens(), 34, 7), HasSubstr("sequence 0 is 7 tokens"));
  EXPECT_THAT(read(MegatronIndex(), MegatronTokens(), 37, 255), HasSubstr("sequence 0 is -"));
  EXPECT_THAT(read(MegatronIndex(), MegatronTokens(), 42, 1), HasSubstr("from byte 1"));
  EXPECT_THAT(read(MegatronIndex(), MegatronTokens(), 66, 9), HasSubstr("entry 1 of the document array is 9"));
  EXPECT_THAT(read(MegatronIndex(), MegatronTokens(), 74, 1), HasSubstr("entry 2 of the document array is 1"));
  EXPECT_THAT(read(MegatronIndex(), MegatronTokens().substr(0, 10)), HasSubstr("sequence 1 is 2 tokens"));
  EXPECT_THAT(read(MegatronIndex(), MegatronTokens().substr(0, 9)), HasSubstr("9 bytes"));
}

// Truncated at every length and with every bit turned over: an error, or other tokens inside the file.
TEST(ForeignCorpus, NoDamageIsReadOutsideTheFile) {
  const TestDirectory dir;
  for (const Sample& sample : Samples()) {
    for (size_t length = 0; length < sample.bytes.size(); ++length) {
      const auto documents = Read(dir.Write("a.bin", sample.bytes.substr(0, length)), sample.format);
      EXPECT_TRUE(!documents.ok() || (!sample.detected && length % 2 == 0)) << sample.name << " cut to " << length;
    }
    for (size_t bit = 0; bit < 8 * sample.bytes.size(); ++bit) {
      std::string bytes = sample.bytes;
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
      const auto documents = Read(dir.Write("a.bin", bytes), sample.format);
      EXPECT_TRUE(!documents.ok() || documents->size() <= 4) << sample.name << " bit " << bit;
    }
  }
}

TEST(ForeignCorpus, NoDamageToAMegatronIndexIsReadOutsideTheFiles) {
  const TestDirectory dir;
  dir.Write("a.bin", MegatronTokens());
  for (size_t length = 0; length < MegatronIndex().size(); ++length) {
    dir.Write("a.idx", MegatronIndex().substr(0, length));
    EXPECT_FALSE(Read(dir / "a", ForeignFormat::kMegatron).ok()) << length;
  }
  for (size_t bit = 0; bit < 8 * MegatronIndex().size(); ++bit) {
    std::string bytes = MegatronIndex();
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    dir.Write("a.idx", bytes);
    const auto documents = Read(dir / "a", ForeignFormat::kMegatron);
    EXPECT_TRUE(!documents.ok() || documents->size() <= 4) << bit;
  }
  dir.Write("a.idx", MegatronIndex());
  for (size_t length = 0; length < MegatronTokens().size(); ++length) {
    dir.Write("a.bin", MegatronTokens().substr(0, length));
    EXPECT_FALSE(Read(dir / "a", ForeignFormat::kMegatron).ok()) << length;
  }
}

TEST(ForeignCorpus, LongDocumentsComeInPieces) {
  const TestDirectory dir;
  constexpr size_t kPiece = DocumentCutter::kPieceTokens;
  std::vector<uint16_t> ids(2 * kPiece + 1, 7);
  ids[2 * kPiece] = 0;
  const auto corpus = ForeignCorpus::Open(dir.Write("a.bin", Bytes(ids)), ForeignFormat::kNanoGpt);
  ASSERT_TRUE(corpus.ok());
  std::vector<std::vector<size_t>> pieces;
  DocumentCutter cutter({0}, [&](const ForeignPiece& piece) {
    pieces.push_back({piece.ids.size(), piece.begins, piece.ends});
    return absl::OkStatus();
  });
  ASSERT_TRUE(corpus->CutInto(cutter, kAnyId).ok());
  EXPECT_EQ(pieces, (std::vector<std::vector<size_t>>{{kPiece, 1, 0}, {kPiece, 0, 1}}));
}

}  // namespace
}  // namespace ingot
