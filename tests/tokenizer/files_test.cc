// Files of tokenizers: what we write we read, what we import is right, what is broken is refused by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"
#include "core/base/file.h"
#include "tests/tokenizer/test_tokenizers.h"
#include "tokenizer/bytes.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/gpt2_files.h"
#include "tokenizer/hf_files.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/tiktoken_file.h"

namespace ingot {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename T>
std::string Error(const absl::StatusOr<T>& result) {
  return std::string(result.status().message());
}

void ExpectEqual(const TokenizerModel& a, const TokenizerModel& b) {
  EXPECT_EQ(a.pattern, b.pattern);
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.merges, b.merges);
  EXPECT_EQ(a.added, b.added);
  EXPECT_EQ(a.nfc, b.nfc);
  EXPECT_EQ(a.around, b.around);
  EXPECT_EQ(a.whole_piece_first, b.whole_piece_first);
}

class FilesTest : public testing::Test {
 protected:
  FilesTest() {
    std::string name = testing::TempDir() + "tokenizer_files_XXXXXX";
    INGOT_CHECK(mkdtemp(name.data()) != nullptr, "no temporary directory");
    folder_ = name;
  }
  ~FilesTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return JoinPath(folder_, name); }
  std::string Write(const std::string& name, const std::string& contents) const {
    std::ofstream(Path(name), std::ios::binary) << contents;
    return Path(name);
  }

  std::string folder_;
};

TEST(BytesTest, SpellingsComeBack) {
  std::string all, back;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  EXPECT_TRUE(UnspellBytes(SpellBytes(all), back));
  EXPECT_EQ(back, all);
  EXPECT_EQ(SpellBytes(" \n\r\t"), "\xC4\xA0\xC4\x8A\xC4\x8D\xC4\x89");  // U+0120 U+010A U+010D U+0109
  EXPECT_EQ(SpellBytes(absl::string_view("\0\x7F\xA0\xAD", 4)), "\xC4\x80\xC4\xA1\xC5\x82\xC5\x83");
  for (const char* bad : {" ", "\n", "\xC5\x84", "\xC4", "\xC1\xA1", "\xE4\xB8\xAD", "\xC2\xAD", "\xC4\x20"}) {
    EXPECT_FALSE(UnspellBytes(bad, back)) << absl::CHexEscape(bad);
  }
}

TEST(TokenizerJsonTest, RoundTripOfEveryPattern) {
  for (const SplitPattern pattern : kAllSplitPatterns) {
    TokenizerModel model = SmallModel(pattern);
    for (const bool whole_piece_first : {false, true}) {
      model.whole_piece_first = whole_piece_first;
      const auto read = ParseTokenizerJson(WriteTokenizerJson(model), "it");
      ASSERT_TRUE(read.ok()) << Error(read);
      ExpectEqual(*read, model);
    }
  }
}

TEST(TokenizerJsonTest, LegacySpellings) {
  const TokenizerModel model = SmallModel(SplitPattern::kGpt2);
  json file = json::parse(WriteTokenizerJson(model));
  json legacy = {"#version: 0.2"};
  for (const json& merge : file["model"]["merges"]) {
    legacy.push_back(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  }
  file["model"]["merges"] = legacy;
  file["model"].erase("type");
  file["model"].erase("ignore_merges");
  file["model"]["continuing_subword_prefix"] = "";
  file["pre_tokenizer"].erase("use_regex");
  file["post_processor"] = nullptr;
  const auto read = ParseTokenizerJson(file.dump(), "it");
  ASSERT_TRUE(read.ok()) << Error(read);
  ExpectEqual(*read, model);
}

TEST(TokenizerJsonTest, AddedTokensBehindTheVocabulary) {
  const TokenizerModel model = SmallModel(SplitPattern::kQwen2);
  json file = json::parse(WriteTokenizerJson(model));
  for (const json& token : file["added_tokens"]) file["model"]["vocab"].erase(token["content"].get<std::string>());
  const auto read = ParseTokenizerJson(file.dump(), "it");
  ASSERT_TRUE(read.ok()) << Error(read);
  TokenizerModel behind = model;
  for (AddedToken& token : behind.added) token.in_vocabulary = false;
  ExpectEqual(*read, behind);
  EXPECT_EQ(json::parse(WriteTokenizerJson(*read)), file);
  file["added_tokens"].erase(3);  // tokenizers would move the rest down by one
  EXPECT_THAT(Error(ParseTokenizerJson(file.dump(), "it")), HasSubstr("where the vocabulary gives it 319"));
}

// What the files of Qwen and Llama 3 ask for beside vocabulary and merges comes back as it was.
TEST(TokenizerJsonTest, NormalizerTemplateAndFlagsComeBack) {
  TokenizerModel model = SmallModel(SplitPattern::kLlama3);
  model.nfc = true;
  model.whole_piece_first = true;
  for (AddedToken& token : model.added) token.in_vocabulary = false;
  model.added[1].lstrip = model.added[2].rstrip = model.added[3].single_word = model.added[4].normalized = true;
  model.added[5].special = false;
  const int32_t begin = model.added[0].id, end = model.added[1].id;
  const TemplatePart a{.sequence = 'A'}, b{.sequence = 'B', .type_id = 1};
  model.around = {.single = {{.id = begin}, a, {.id = end}},
                  .pair = {{.id = begin}, a, {.id = begin, .type_id = 1}, b}};
  ASSERT_TRUE(Validate(model).ok()) << Validate(model);
  const std::string text = WriteTokenizerJson(model);
  const auto read = ParseTokenizerJson(text, "it");
  ASSERT_TRUE(read.ok()) << Error(read);
  ExpectEqual(*read, model);
  EXPECT_EQ(WriteTokenizerJson(*read), text);
  json file = json::parse(text);
  file["post_processor"] = file["post_processor"]["processors"][1];  // as older files have it
  file["normalizer"] = {{"type", "Sequence"}, {"normalizers", {file["normalizer"]}}};
  const auto older = ParseTokenizerJson(file.dump(), "it");
  ASSERT_TRUE(older.ok()) << Error(older);
  ExpectEqual(*older, model);
}

TEST(TokenizerJsonTest, TemplatesOfOtherTokensAreRefused) {
  TokenizerModel model = SmallModel(SplitPattern::kQwen2);
  model.around.single = {{.id = model.added[0].id}, {.sequence = 'A'}};
  const json good = json::parse(WriteTokenizerJson(model));
  const struct {
    const char* pointer;
    json value;
    const char* error;
  } kChanges[] = {
      {"/0", {{"type", "Metaspace"}}, "processors[0].type"},
      {"/1/type", "ByteLevel", "processors[1].type"},
      {"/1/single/0/SpecialToken/id", "<|none|>", "single[0].SpecialToken.id"},
      {"/1/single/0/SpecialToken/type_id", -1, "single[0].SpecialToken.type_id"},
      {"/1/single/1/Sequence/id", "C", "single[1].Sequence.id"},
      {"/1/single/1", {{"SpecialToken", {{"id", "<|endoftext|>"}, {"type_id", 0}}}}, "holds sequence A once"},
      {"/1/special_tokens/<|endoftext|>/ids", {1, 2}, "the one id that added_tokens gives"},
      {"/1/pair", 1, "pair is 1"},
  };
  for (const auto& change : kChanges) {
    json file = good;
    file["post_processor"]["processors"][json::json_pointer(change.pointer)] = change.value;
    EXPECT_THAT(Error(ParseTokenizerJson(file.dump(), "it")), HasSubstr(change.error)) << change.pointer;
  }
}

// Each change of one field, and what the error says.
TEST(TokenizerJsonTest, RefusesByField) {
  const json good = json::parse(WriteTokenizerJson(SmallModel(SplitPattern::kQwen2)));
  const struct {
    const char* pointer;
    json value;
    const char* error;
  } kChanges[] = {
      {"/version", "2.0", "top level.version is \"2.0\""},
      {"/extra", 1, "top level.extra is not supported"},
      {"/normalizer", {{"type", "NFKC"}}, "normalizer is {\"type\":\"NFKC\"}, expected null or NFC"},
      {"/truncation", {{"max_length", 5}}, "top level.truncation"},
      {"/decoder", nullptr, "decoder is null"},
      {"/post_processor", {{"type", "RobertaProcessing"}}, "post_processor.type"},
      {"/post_processor", {{"type", "TemplateProcessing"}}, "post_processor.special_tokens"},
      {"/pre_tokenizer", nullptr, "pre_tokenizer is null"},
      {"/pre_tokenizer/type", "Whitespace", "pre_tokenizer.type"},
      {"/pre_tokenizer/pretokenizers/0/pattern/Regex", "\\w+", "pre_tokenizer.pretokenizers[0].pattern"},
      {"/pre_tokenizer/pretokenizers/0/behavior", "Removed", "pretokenizers[0].behavior"},
      {"/pre_tokenizer/pretokenizers/0/invert", true, "pretokenizers[0].invert"},
      {"/pre_tokenizer/pretokenizers/1/add_prefix_space", true, "pretokenizers[1].add_prefix_space"},
      {"/pre_tokenizer/pretokenizers/1/use_regex", true, "pretokenizers[1].use_regex"},
      {"/pre_tokenizer/pretokenizers/2", {{"type", "Digits"}}, "expected two"},
      {"/added_tokens", 5, "added_tokens is 5"},
      {"/added_tokens/0/lstrip", 1, "added_tokens[0].lstrip"},
      {"/added_tokens/1/special", "no", "added_tokens[1].special"},
      {"/added_tokens/1/content", "<|endoftext|>", "added_tokens: \"<|endoftext|>\" has id 317"},
      {"/added_tokens/2/id", -1, "added_tokens[2].id"},
      {"/added_tokens/2/content", "", "added_tokens[2].content"},
      {"/model", nullptr, "model is null"},
      {"/model/type", "Unigram", "model.type"},
      {"/model/dropout", 0.1, "model.dropout"},
      {"/model/byte_fallback", true, "model.byte_fallback"},
      {"/model/end_of_word_suffix", "</w>", "model.end_of_word_suffix"},
      {"/model/ignore_merges", 1, "model.ignore_merges"},
      {"/model/vocab", json::array(), "model.vocab is []"},
      {"/model/vocab/a", 1 << 20, "model.vocab[\"a\"]"},
      {"/model/vocab/a", 0, "id 0 occurs twice"},
      {"/model/vocab/a", -5, "model.vocab[\"a\"] is -5"},
      {"/model/vocab/a", 1.5, "model.vocab[\"a\"] is 1.5"},
      {"/model/vocab/a b", 380, "neither of the byte alphabet nor an added token"},
      {"/model/merges/0", {"a", "zzz"}, "model.merges[0]: \"zzz\" is not in model.vocab"},
      {"/model/merges/1", "a b c", "model.merges[1] is"},
      {"/model/merges/1", {"a"}, "model.merges[1] is"},
      {"/model/merges/2", good["model"]["merges"][0], "model.merges[2]: this pair has been merged before"},
      {"/model/merges", 3, "model.merges is 3"},
  };
  for (const auto& change : kChanges) {
    json file = good;
    file[json::json_pointer(change.pointer)] = change.value;
    EXPECT_THAT(Error(ParseTokenizerJson(file.dump(), "file.json")),
                testing::AllOf(testing::StartsWith("file.json: "), HasSubstr(change.error)))
        << change.pointer;
  }
  for (const char* key : {"vocab", "merges"}) {
    json file = good;
    file["model"].erase(key);
    EXPECT_THAT(Error(ParseTokenizerJson(file.dump(), "it")), HasSubstr(absl::StrCat("model.", key, " is missing")));
  }
}

TEST(TokenizerJsonTest, AVocabularyThatLacksAByteIsRefused) {
  TokenizerModel model = SmallModel(SplitPattern::kQwen2, 0);
  model.tokens[0] = "not a byte";
  EXPECT_THAT(Error(ParseTokenizerJson(WriteTokenizerJson(model), "it")), HasSubstr("255 of the 256 single bytes"));
}

TEST(TokenizerJsonTest, RefusesDuplicateKeysAndLoneSurrogates) {
  const std::string text = WriteTokenizerJson(SmallModel(SplitPattern::kQwen2));
  const std::string twice = absl::StrReplaceAll(text, {{"\"b\": ", "\"a\": "}});
  EXPECT_THAT(Error(ParseTokenizerJson(twice, "it")), HasSubstr("\"a\""));
  const std::string lone = absl::StrReplaceAll(text, {{"<|mask|>", "\\ud800"}});
  EXPECT_FALSE(ParseTokenizerJson(lone, "it").ok());
}

TEST(TokenizerJsonTest, TruncatedAndFlippedFilesDoNotCrash) {
  const std::string text = WriteTokenizerJson(SmallModel(SplitPattern::kLlama3, 20));
  for (size_t size = 0; size < text.size(); size += 97) {
    EXPECT_FALSE(ParseTokenizerJson(text.substr(0, size), "it").ok()) << size;
  }
  std::mt19937 random(4);
  int refused = 0;
  for (int i = 0; i < 400; ++i) {
    std::string flipped = text;
    flipped[random() % text.size()] ^= static_cast<char>(1 << random() % 8);
    const auto model = ParseTokenizerJson(flipped, "it");
    refused += model.ok() ? 0 : 1;
    EXPECT_TRUE(!model.ok() || Validate(*model).ok());
  }
  EXPECT_GT(refused, 200);
}

TEST_F(FilesTest, SavedDirectoryLoads) {
  const TokenizerModel model = SmallModel(SplitPattern::kQwen2);
  ASSERT_TRUE(SaveTokenizer(model, Path("new/tokenizer/")).ok());
  EXPECT_THAT(*ListDirectory(Path("new/tokenizer")),
              ElementsAre("chat_template.jinja", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"));
  EXPECT_THAT(*ListDirectory(Path("new")), ElementsAre("tokenizer"));  // nothing temporary stays
  const auto tokenizer = Tokenizer::Load(Path("new/tokenizer"));
  ASSERT_TRUE(tokenizer.ok()) << Error(tokenizer);
  ExpectEqual(tokenizer->model(), model);
}

TEST_F(FilesTest, Companions) {
  ASSERT_TRUE(WriteTokenizerFiles(SmallModel(SplitPattern::kQwen2), 1024, folder_).ok());
  const json config = json::parse(*ReadFile(Path("tokenizer_config.json")));
  EXPECT_EQ(config["tokenizer_class"], "PreTrainedTokenizerFast");
  EXPECT_EQ(config["model_max_length"], 1024);
  EXPECT_EQ(config["eos_token"], "<|endoftext|>");
  EXPECT_EQ(config["bos_token"], "<|endoftext|>");
  EXPECT_EQ(config["pad_token"], "<|pad|>");
  EXPECT_EQ(config["clean_up_tokenization_spaces"], false);
  EXPECT_EQ(config["added_tokens_decoder"]["316"]["content"], "<|endoftext|>");
  EXPECT_FALSE(config.contains("add_bos_token"));
  EXPECT_FALSE(config.contains("extra_special_tokens"));
  EXPECT_EQ(config["chat_template"], *ReadFile(Path("chat_template.jinja")));
  const json map = json::parse(*ReadFile(Path("special_tokens_map.json")));
  EXPECT_EQ(map["additional_special_tokens"].size(), 62u);
  EXPECT_EQ(map["eos_token"], "<|endoftext|>");
}

TEST_F(FilesTest, ReplacesOnlyATokenizer) {
  ASSERT_TRUE(SaveTokenizer(SmallModel(SplitPattern::kQwen2), Path("out")).ok());
  ASSERT_TRUE(SaveTokenizer(SmallModel(SplitPattern::kGpt2), Path("out")).ok());
  EXPECT_EQ(Tokenizer::Load(Path("out"))->model().pattern, SplitPattern::kGpt2);
  Write("out/notes.txt", "mine");
  const absl::Status status = SaveTokenizer(SmallModel(SplitPattern::kQwen2), Path("out"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("holds other files"));
  EXPECT_EQ(Tokenizer::Load(Path("out"))->model().pattern, SplitPattern::kGpt2);
  EXPECT_THAT(std::string(SaveTokenizer(SmallModel(SplitPattern::kQwen2), Path("out/notes.txt")).message()),
              HasSubstr("is a file"));
  EXPECT_THAT(*ListDirectory(folder_), ElementsAre("out"));
}

TEST_F(FilesTest, MissingFileIsNamed) {
  EXPECT_THAT(Error(Tokenizer::Load(Path("nowhere"))), HasSubstr("nowhere/tokenizer.json"));
}

std::string Base64(const std::string& bytes) { return absl::Base64Escape(bytes); }

// 256 lines of bytes by value, then `more`.
std::string TiktokenText(const std::vector<std::string>& more) {
  std::string text;
  int rank = 0;
  for (; rank < 256; ++rank) absl::StrAppend(&text, Base64(std::string(1, static_cast<char>(rank))), " ", rank, "\n");
  for (const std::string& token : more) absl::StrAppend(&text, Base64(token), " ", rank++, "\n");
  return text;
}

TEST(TiktokenFileTest, MergesFromRanks) {
  const auto model = ParseTiktokenFile(TiktokenText({"ab", "cd", "abcd", "abc"}), "it", SplitPattern::kLlama3, {});
  ASSERT_TRUE(model.ok()) << Error(model);
  EXPECT_THAT(model->merges,
              ElementsAre(Merge{'a', 'b', 256}, Merge{'c', 'd', 257}, Merge{256, 257, 258}, Merge{256, 'c', 259}));
  EXPECT_EQ(model->pattern, SplitPattern::kLlama3);
  EXPECT_EQ(model->tokens.back(), kEndOfText);
  EXPECT_FALSE(model->whole_piece_first);
}

TEST(TiktokenFileTest, UnreachableTokensAreKept) {
  const auto model = ParseTiktokenFile(TiktokenText({"ab", "abcd"}), "it", SplitPattern::kGpt2, {"<s>", "</s>"});
  ASSERT_TRUE(model.ok()) << Error(model);
  EXPECT_EQ(model->merges.size(), 1u);
  EXPECT_TRUE(model->whole_piece_first);
  EXPECT_EQ(FindSpecialToken(*model, "<s>"), 258);
  EXPECT_EQ(FindSpecialToken(*model, "</s>"), 259);
}

TEST(TiktokenFileTest, Errors) {
  const auto error = [](const std::string& text) {
    return Error(ParseTiktokenFile(text, "f.tiktoken", SplitPattern::kGpt2, {}));
  };
  EXPECT_THAT(error(""), HasSubstr("0 of the 256 single bytes"));
  EXPECT_THAT(error("YQ==\n"), HasSubstr("f.tiktoken: line 1: expected a token in base64"));
  EXPECT_THAT(error("YQ== 0\n?? 1\n"), HasSubstr("line 2"));
  EXPECT_THAT(error("YQ== 0\nYg== 0\n"), HasSubstr("rank 0 occurs twice"));
  EXPECT_THAT(error("YQ== 5\n"), HasSubstr("rank 0 is missing"));
  EXPECT_THAT(error("YQ== 99999999999\n"), HasSubstr("line 1"));
  EXPECT_THAT(error("YQ== 99999999\n"), HasSubstr("not below 2^24"));
  EXPECT_THAT(error(TiktokenText({"ab", "ab"})), HasSubstr("is both token 256 and token 257"));
}

TEST_F(FilesTest, Gpt2PairMustAgree) {
  const TokenizerModel trained = SmallModel(SplitPattern::kGpt2, 5);
  std::string merges = "#version: 0.2\n";
  json encoder;
  for (const Merge& merge : trained.merges) {
    absl::StrAppend(&merges, SpellBytes(trained.tokens[merge.left]), " ", SpellBytes(trained.tokens[merge.right]),
                    "\n");
  }
  for (int id = 0; id < 261; ++id) encoder[SpellBytes(trained.tokens[id])] = id;
  encoder[kEndOfText] = 261;
  const std::string merges_path = Write("vocab.bpe", merges);
  const auto model = ReadGpt2Files(Write("encoder.json", encoder.dump()), merges_path);
  ASSERT_TRUE(model.ok()) << Error(model);
  EXPECT_EQ(model->merges, trained.merges);
  EXPECT_EQ(model->tokens.size(), 262u);
  encoder["a"] = encoder["b"];
  EXPECT_THAT(Error(ReadGpt2Files(Write("encoder.json", encoder.dump()), merges_path)), HasSubstr("token \"a\""));
  EXPECT_THAT(Error(ReadGpt2Files(Write("encoder.json", "{}"), merges_path)), HasSubstr("holds 0 tokens"));
  EXPECT_THAT(Error(ReadGpt2Files(Path("encoder.json"), Write("vocab.bpe", "#version\na b\nab zz\n"))),
              HasSubstr("vocab.bpe: line 3"));
}

TEST_F(FilesTest, Gpt2Itself) {
  const std::string folder = SharedPath("data/tokenizers/gpt2");
  if (!DirectoryExists(folder)) GTEST_SKIP() << "no " << folder << ": set INGOT_SHARED";
  const auto model = ReadGpt2Files(JoinPath(folder, "encoder.json"), JoinPath(folder, "vocab.bpe"));
  ASSERT_TRUE(model.ok()) << Error(model);
  ASSERT_TRUE(SaveTokenizer(*model, Path("gpt2")).ok());
  const auto tokenizer = Tokenizer::Load(Path("gpt2"));
  ASSERT_TRUE(tokenizer.ok()) << Error(tokenizer);
  EXPECT_EQ(tokenizer->size(), 50257);
  EXPECT_EQ(tokenizer->padded_size(), 50304);
  EXPECT_EQ(tokenizer->end_of_text(), 50256);
  std::vector<int32_t> ids;
  Encoder(*tokenizer).Encode(absl::string_view("Hello world, don't\0!", 20), ids);
  EXPECT_THAT(ids, ElementsAre(15496, 995, 11, 836, 470, 188, 0));
}

}  // namespace
}  // namespace ingot
