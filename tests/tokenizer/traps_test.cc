// The corpus of traps: tests/tokenizer/traps.jsonl, made by tools/generate_tokenizer_traps.py from Hugging Face
// `tokenizers` and `tiktoken`.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "tests/tokenizer/test_tokenizers.h"
#include "tokenizer/gpt2_files.h"
#include "tokenizer/special_tokens.h"

namespace ingot {
namespace {

struct Trap {
  std::string name, text;
  nlohmann::json ends;  // by pattern
  std::vector<int32_t> gpt2;
  nlohmann::json trained;  // ids by pattern
};

std::vector<Trap> ReadTraps() {
  std::ifstream file(std::string(INGOT_SOURCE_DIR) + "/tests/tokenizer/traps.jsonl");
  std::vector<Trap> traps;
  for (std::string line; std::getline(file, line);) {
    const nlohmann::json json = nlohmann::json::parse(line);
    traps.push_back({json.at("name"), absl::HexStringToBytes(json.at("hex").get<std::string>()), json.at("ends"),
                     json.at("gpt2"), json.at("trained")});
  }
  return traps;
}

TEST(TrapsTest, Pieces) {
  const std::vector<Trap> traps = ReadTraps();
  ASSERT_GT(traps.size(), 400u);
  for (const Trap& trap : traps) {
    for (const SplitPattern pattern : kAllSplitPatterns) {
      std::vector<size_t> ends(trap.text.size());
      ends.resize(SplitText(pattern, trap.text, 0, ends));
      const std::string name(SplitPatternName(pattern));
      EXPECT_EQ(ends, trap.ends.at(name).get<std::vector<size_t>>()) << trap.name << " by " << name;
    }
  }
}

void ExpectIds(const TokenizerModel& model, const std::function<std::vector<int32_t>(const Trap&)>& wanted) {
  const Tokenizer tokenizer(std::make_shared<const TokenizerModel>(model));
  Encoder encoder(tokenizer);
  for (const char* state : {"cold", "warm"}) {
    for (const Trap& trap : ReadTraps()) {
      std::vector<int32_t> ids;
      encoder.Encode(trap.text, ids);
      EXPECT_EQ(ids, wanted(trap)) << trap.name << ", " << state;
      EXPECT_EQ(*tokenizer.Decode(ids), trap.text) << trap.name;
    }
  }
}

TEST(TrapsTest, IdsOfGpt2) {
  const std::string folder = SharedPath("data/tokenizers/gpt2/");
  if (!std::filesystem::exists(folder + "vocab.bpe")) GTEST_SKIP() << "no GPT-2 files in " << folder;
  const absl::StatusOr<TokenizerModel> model = ReadGpt2Files(folder + "encoder.json", folder + "vocab.bpe");
  ASSERT_TRUE(model.ok()) << model.status();
  ExpectIds(*model, [](const Trap& trap) { return trap.gpt2; });
}

// The vocabulary is learned here and there from the same texts: both have to have learned the same.
TEST(TrapsTest, IdsOfTrainedVocabularies) {
  std::vector<std::string> texts;
  for (const Trap& trap : ReadTraps()) {
    if (simdjson::validate_utf8(trap.text.data(), trap.text.size())) texts.push_back(trap.text);
  }
  for (const SplitPattern pattern : kAllSplitPatterns) {
    TrainerOptions options;
    options.vocabulary_size = 256 + 300 + kReservedTokens;
    options.pattern = pattern;
    const absl::StatusOr<TokenizerModel> model = TrainTokenizer(SourceOf(texts), options);
    ASSERT_TRUE(model.ok()) << model.status();
    const std::string name(SplitPatternName(pattern));
    ExpectIds(*model, [&](const Trap& trap) { return trap.trained.at(name).get<std::vector<int32_t>>(); });
  }
}

}  // namespace
}  // namespace ingot
