// What `ingot data build --to` writes: byte for byte as the formats' own tools do, and the same documents when read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data_pipeline/foreign/import.h"
#include "data_pipeline/foreign/writers.h"
#include "data_pipeline/verify.h"
#include "tests/data_pipeline/test_dataset.h"
#include "tests/tokenizer/test_tokenizers.h"

namespace ingot {
namespace {

using ::testing::HasSubstr;
using Documents = std::vector<std::vector<int32_t>>;

// Writes `documents` and ends each with 0.
absl::Status Write(const std::string& format, const SinkOptions& options, const Documents& documents) {
  auto sinks = OpenTokenSinks(format, options);
  if (!sinks.ok()) return sinks.status();
  TokenSink& sink = *(*sinks)[0];
  for (const auto& ids : documents) {
    // In two parts: a document may come in pieces.
    const std::span<const int32_t> all = ids;
    for (const auto& part : {all.first(ids.size() / 2), all.subspan(ids.size() / 2)}) {
      if (part.empty()) continue;
      if (const absl::Status status = sink.Append(part); !status.ok()) return status;
    }
    if (const absl::Status status = sink.EndDocument(); !status.ok()) return status;
  }
  return sink.Finish();
}

SinkOptions Options(const TestDirectory& dir, int64_t vocabulary = 320, int64_t shard_tokens = 1000) {
  return {.directory = dir.path(), .vocabulary = vocabulary, .end_of_text = 0, .shard_tokens = shard_tokens};
}

std::string Unhex(const std::string& digits) {
  std::string bytes;
  for (size_t i = 0; i < digits.size(); i += 2) bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  return bytes;
}

std::string PaddedTo(size_t size, std::string bytes) {
  bytes.resize(size);
  return bytes;
}

const Documents kDocuments = {{5, 6, 7}, {8}};

// The examples of docs/foreign_formats.md, which are the formats' own writers' bytes.
TEST(ForeignWriters, BytesAreThoseOfTheFormatsOwnTools) {
  const TestDirectory dir;
  ASSERT_TRUE(Write("megatron", Options(dir), kDocuments).ok());
  EXPECT_EQ(ReadAll(dir / "train.bin"), Unhex("050006000700000008000000"));
  EXPECT_EQ(ReadAll(dir / "train.idx"),
            Unhex("4D4D494449445800000100000000000000080200000000000000030000000000000004000000020000000000000000000000"
                  "0800000000000000000000000000000001000000000000000200000000000000"));
  ASSERT_TRUE(Write("nanogpt", Options(dir), kDocuments).ok());
  EXPECT_EQ(ReadAll(dir / "train.bin"), Unhex("050006000700000008000000"));
  ASSERT_TRUE(Write("llm.c", Options(dir), kDocuments).ok());
  EXPECT_EQ(ReadAll(dir / "train_000000.bin"),
            PaddedTo(1024, Unhex("88D834010100000006000000")) + Unhex("000005000600070000000800"));
  ASSERT_TRUE(Write("llm.c", Options(dir, 128256), kDocuments).ok());
  EXPECT_EQ(ReadAll(dir / "train_000000.bin"), PaddedTo(1024, Unhex("A1D934010700000006000000")) +
                                                   Unhex("000000000500000006000000070000000000000008000000"));
}

TEST(ForeignWriters, WidthFollowsTheVocabulary) {
  const TestDirectory dir;
  const auto bytes = [&](const char* format, int64_t vocabulary, const char* file) {
    EXPECT_TRUE(Write(format, Options(dir, vocabulary), kDocuments).ok());
    return ReadAll(dir / file).size();
  };
  EXPECT_EQ(bytes("megatron", 65499, "train.bin"), 12u);
  EXPECT_EQ(bytes("megatron", 65500, "train.bin"), 24u);
  EXPECT_EQ(ReadAll(dir / "train.idx")[17], 4);  // int32
  EXPECT_EQ(bytes("llm.c", 65536, "train_000000.bin"), 1036u);
  EXPECT_EQ(bytes("llm.c", 65537, "train_000000.bin"), 1048u);
  EXPECT_EQ(bytes("nanogpt", 65536, "train.bin"), 12u);
  EXPECT_THAT(std::string(Write("nanogpt", Options(dir, 65537), kDocuments).message()), HasSubstr("65537"));
  EXPECT_THAT(std::string(Write("llmq", Options(dir), kDocuments).message()), HasSubstr("not written"));
}

// llm.c: documents run over the ends of files. Megatron: a long document is several sequences of one document.
TEST(ForeignWriters, LongDocumentsAreCut) {
  const TestDirectory dir;
  ASSERT_TRUE(Write("llm.c", Options(dir, 320, 2), kDocuments).ok());
  const auto ids = [&](int file) {
    return ReadAll(dir / ("train_00000" + std::to_string(file) + ".bin")).substr(1024);
  };
  EXPECT_EQ(ids(0), Unhex("00000500"));
  EXPECT_EQ(ids(1), Unhex("06000700"));
  EXPECT_EQ(ids(2), Unhex("00000800"));
  EXPECT_FALSE(FileExists(dir / "train_000003.bin"));
  ASSERT_TRUE(Write("megatron", Options(dir, 320, 3), kDocuments).ok());
  const auto corpus = ForeignCorpus::Open(dir / "train", ForeignFormat::kMegatron);
  ASSERT_TRUE(corpus.ok()) << corpus.status();
  EXPECT_EQ(corpus->info().documents, 2);
  EXPECT_EQ(corpus->info().sequences, 3);
  EXPECT_EQ(corpus->Sequence(1)->count, 1);
}

TEST(ForeignWriters, NoTokenNoFile) {
  const TestDirectory dir;
  for (const char* format : {"megatron", "llm.c", "nanogpt"}) ASSERT_TRUE(Write(format, Options(dir), {}).ok());
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

// Text to their files and from there to a dataset: the same tokens as from text at once.
TEST(ForeignWriters, BuildWritesFilesThatBuildReads) {
  const TestDirectory dir;
  TextEncoder encoder = ByteEncoder(dir);
  const Tokenizer tokenizer = SmallTokenizer(SplitPattern::kGpt2);
  ASSERT_GT(tokenizer.size(), kByteEndOfText);
  const std::string input = dir.Write("in.jsonl", AsJsonl(SomeDocuments(300)));
  const Dataset wanted = MustBuild({.inputs = {input}, .output = dir / "wanted"}, encoder);
  for (const std::string format : {"megatron", "llm.c", "nanogpt"}) {
    const BuildOptions options = {.inputs = {input}, .output = dir / format, .format = format, .shard_tokens = 999};
    const auto made = BuildDataset(options, encoder);
    ASSERT_TRUE(made.ok()) << made.status();
    EXPECT_FALSE(Dataset::Open(options.output).ok());
    EXPECT_TRUE(FileExists(options.output + "/build.json"));
    for (const Split split : kSplits) {
      BuildOptions back;
      back.output = dir / (format + Name(split));
      back.validation_fraction = 0;
      for (const ShardEntry& file : made->split(split).shards) {
        const std::string path = JoinPath(options.output, file.file.name);
        EXPECT_EQ(FileSize(path).value(), static_cast<uint64_t>(file.file.bytes));
        if (file.tokens > 0) back.inputs.push_back(path);
      }
      EXPECT_EQ(made->split(split).tokens, wanted.tokens(split));
      EXPECT_EQ(made->split(split).text_bytes, wanted.text_bytes(split));
      const auto read = ImportDataset(back, ParseForeignFormat(format).value(), tokenizer, encoder);
      ASSERT_TRUE(read.ok()) << format << ": " << read.status();
      const auto dataset = Dataset::Open(back.output);
      ASSERT_TRUE(dataset.ok()) << dataset.status();
      EXPECT_EQ(TokensOf(*dataset, Split::kTraining), TokensOf(wanted, split)) << format;
    }
  }
}

TEST(ForeignWriters, WritesFromForeignFiles) {
  const TestDirectory dir;
  TextEncoder encoder = ByteEncoder(dir);
  const Tokenizer tokenizer = SmallTokenizer(SplitPattern::kGpt2);
  const std::string input = dir.Write("a.bin", std::string("\5\0\6\0\7\0\0\1\x8\0\0\1", 12));
  const BuildOptions options = {
      .inputs = {input}, .output = dir / "out", .format = "megatron", .validation_fraction = 0};
  const auto made = ImportDataset(options, ForeignFormat::kNanoGpt, tokenizer, encoder);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(ReadAll(dir / "out/train.bin"), ReadAll(input));
  const auto report = VerifyData(dir / "out/train.idx");
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->documents, 2);
}

}  // namespace
}  // namespace ingot
