#pragma once
// Tokenizers and texts that the tests share.
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "tokenizer/model.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/trainer.h"

namespace ingot {

inline TextSource SourceOf(const std::vector<std::string>& documents) {
  auto next = std::make_shared<size_t>(0);
  return [documents, next](std::string& text) -> absl::StatusOr<bool> {
    if (*next == documents.size()) return false;
    text = documents[(*next)++];
    return true;
  };
}

// A text with words, numbers, signs, several scripts and bytes that are no text.
inline std::string MixedText() {
  return "The cat's hat, the cat sat; that hat is 1234 cm high!\r\n\r\n  It'll do, won't it?\n\tfor (i = 0; i < 10; "
         "++i)\n"
         "Die K\xC3\xA4tze sa\xC3\x9F da. \xE4\xB8\xAD\xE6\x96\x87\xE5\xAD\x97 \xE4\xB8\xAD\xE6\x96\x87 "
         "\xF0\x9F\x98\x80\xF0\x9F\x98\x80 \xE2\x80\xA6 \xC2\xA0 x\xFF\xFE\x80y \xC3( \xED\xA0\x80 aaaaaaaaaaaaaaa "
         "the then there thereby 's 'S 'LL \xC5\xBF '\xC5\xBF x'\n";
}

// Trained on MixedText(), with `merges` merges.
inline TokenizerModel SmallModel(SplitPattern pattern, int64_t merges = 60) {
  TrainerOptions options;
  options.vocabulary_size = 256 + merges + 64;
  options.pattern = pattern;
  options.threads = 1;
  absl::StatusOr<TokenizerModel> model = TrainTokenizer(SourceOf({MixedText()}), options);
  INGOT_CHECK(model.ok(), "%s", std::string(model.status().message()).c_str());
  return *std::move(model);
}

inline Tokenizer SmallTokenizer(SplitPattern pattern, int64_t merges = 60) {
  return Tokenizer(std::make_shared<const TokenizerModel>(SmallModel(pattern, merges)));
}

// Every class of characters, its ends, each literal and its near misses.
inline constexpr const char* kFuzzAtoms[] = {"a",
                                             "Z",
                                             "s",
                                             "S",
                                             "t",
                                             "T",
                                             "d",
                                             "m",
                                             "r",
                                             "v",
                                             "e",
                                             "l",
                                             "0",
                                             "19",
                                             " ",
                                             "'",
                                             "\t",
                                             "\r",
                                             "\n",
                                             "\r\n",
                                             "\v",
                                             "\f",
                                             "!",
                                             "_",
                                             "-",
                                             "(",
                                             "'s",
                                             "'S",
                                             "'t",
                                             "'re",
                                             "'RE",
                                             "'vE",
                                             "'m",
                                             "'ll",
                                             "'lL",
                                             "'d",
                                             "'x",
                                             "'\xC5\xBF",
                                             "\xE2\x80\x99s",
                                             "''s",
                                             "\x01",
                                             "\x1C",
                                             "\x7F",
                                             "\xC2\x85",
                                             "\xC2\xA0",
                                             "\xC2\xAD",
                                             "\xE1\x9A\x80",
                                             "\xE1\xA0\x8E",
                                             "\xE2\x80\x80",
                                             "\xE2\x80\x8B",
                                             "\xE2\x80\xA8",
                                             "\xE2\x80\xAF",
                                             "\xE2\x81\x9F",
                                             "\xE2\x81\xA0",
                                             "\xE3\x80\x80",
                                             "\xEF\xBB\xBF",
                                             "\xE2\x80\x8D",
                                             "\xEF\xB8\x8F",
                                             "\xCC\x81",
                                             "\xCD\x84",
                                             "\xE0\xA4\x83",
                                             "\xE0\xB8\xB1",
                                             "\xC2\xB2",
                                             "\xC2\xBD",
                                             "\xD9\xA3",
                                             "\xE2\x85\xA7",
                                             "\xE2\x91\xA0",
                                             "\xE3\x80\x87",
                                             "\xF0\x9D\x9F\x8E",
                                             "\xC2\xAA",
                                             "\xC2\xBA",
                                             "\xC7\x85",
                                             "\xCA\xB0",
                                             "\xC3\xA9",
                                             "\xC3\x9F",
                                             "\xC4\xB0",
                                             "\xD0\x96",
                                             "\xD7\x90",
                                             "\xD8\xB9",
                                             "\xE0\xA4\x95",
                                             "\xE4\xB8\xAD",
                                             "\xE3\x81\x82",
                                             "\xEA\xB0\x80",
                                             "\xE1\x84\x80",
                                             "\xF0\xA0\x80\x80",
                                             "\xF0\x90\x90\x80",
                                             "\xF0\x9F\x98\x80",
                                             "\xF0\x9F\x87\xA9",
                                             "\xEE\x80\x80",
                                             "\xEF\xBF\xBE",
                                             "\xCD\xB8",
                                             "\xE0\xA2\x8F",
                                             "\xF4\x8F\xBF\xBF",
                                             "<|endoftext|>",
                                             " hello",
                                             " the"};

// Strings that fall on the borders of the patterns: every class, its ends, each literal and its near misses, long runs.
// With `break_bytes`, some bytes are made invalid.
class StringFuzzer {
 public:
  explicit StringFuzzer(uint32_t seed) : random_(seed) {}

  std::string Next(bool break_bytes) {
    static const int kRuns[] = {1, 1, 1, 1, 1, 1, 1, 2, 3, 15, 16, 17, 63, 64, 65, 129};
    std::string text(Below(4) == 0 ? Below(64) : 0, 'x');
    for (size_t atoms = 1 + Below(14); atoms > 0; --atoms) {
      const char* atom = kFuzzAtoms[Below(std::size(kFuzzAtoms))];
      for (int run = kRuns[Below(std::size(kRuns))]; run > 0; --run) text += atom;
    }
    for (size_t broken = break_bytes ? Below(4) : 0; broken > 0; --broken) {
      text[Below(text.size())] = static_cast<char>(Below(256));
    }
    return text;
  }

  size_t Below(size_t n) { return random_() % n; }

 private:
  std::mt19937 random_;
};

// Environment variable INGOT_SHARED, the folder with test data; ../shared beside the source tree without it.
inline std::string SharedPath(const std::string& name) {
  const char* const shared = std::getenv("INGOT_SHARED");
#ifdef INGOT_SOURCE_DIR
  return absl::StrCat(shared != nullptr ? shared : INGOT_SOURCE_DIR "/../shared", "/", name);
#else
  return absl::StrCat(shared != nullptr ? shared : "../shared", "/", name);
#endif
}

}  // namespace ingot
