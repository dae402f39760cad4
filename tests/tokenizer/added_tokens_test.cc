#include "tokenizer/added_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/tokenizer/test_tokenizers.h"

namespace ingot {
namespace {

using ::testing::ElementsAre;

struct Added {
  std::string spelling;
  AddedToken flags;
};

// The 256 bytes by value, then the tokens.
Tokenizer With(const std::vector<Added>& added, bool nfc = false) {
  auto model = std::make_shared<TokenizerModel>();
  for (int byte = 0; byte < 256; ++byte) model->tokens.emplace_back(1, static_cast<char>(byte));
  for (const Added& token : added) {
    model->added.push_back(token.flags);
    model->added.back().id = static_cast<int32_t>(model->tokens.size());
    model->tokens.push_back(token.spelling);
  }
  model->nfc = nfc;
  INGOT_CHECK(Validate(*model).ok(), "not valid");
  return Tokenizer(model);
}

// Each id, text by its characters and added tokens as {0}, {1}, …
std::string Cut(const Tokenizer& tokenizer, const std::string& text, bool allow_special = true) {
  std::vector<int32_t> ids;
  Encoder encoder(tokenizer);
  allow_special ? encoder.EncodeWithSpecialTokens(text, ids) : encoder.Encode(text, ids);
  std::string shown;
  for (const int32_t id : ids) {
    shown += id < 256 ? std::string(1, static_cast<char>(id)) : absl::StrCat("{", id - 256, "}");
  }
  return shown;
}

TEST(AddedTokensTest, StripsTakeWhiteSpaceAlong) {
  const Tokenizer tokenizer =
      With({{"<m>", {.lstrip = true, .rstrip = true}}, {"<l>", {.lstrip = true}}, {"<r>", {.rstrip = true}}});
  EXPECT_EQ(Cut(tokenizer, "ab  <m> \n cd"), "ab{0}cd");
  EXPECT_EQ(Cut(tokenizer, "a <l> b <r> c"), "a{1} b {2}c");
  EXPECT_EQ(Cut(tokenizer, "a\u3000\u00A0<l>\u2028<r>\u0085x"), "a{1}\u2028{2}x");
  EXPECT_EQ(Cut(tokenizer, "<r> <l>"), "{2}{1}");  // the blank goes once
  EXPECT_EQ(Cut(tokenizer, "\x80 <m>\xFF"), "\x80{0}\xFF");
}

TEST(AddedTokensTest, SingleWordsStandAlone) {
  const Tokenizer tokenizer = With({{"cat", {.single_word = true}}, {"cats", {.special = false, .single_word = true}}});
  EXPECT_EQ(Cut(tokenizer, "cat a cat, concat cat_ (cat) \u4E2Dcat cat\u0301 cat"),
            "{0} a {0}, concat cat_ ({0}) \u4E2Dcat cat\u0301 {0}");
  EXPECT_EQ(Cut(tokenizer, "cats catsx"), "{1} catsx");  // a longest match that is refused is text
}

TEST(AddedTokensTest, OrdinaryOnesAreFoundInAnyText) {
  const Tokenizer tokenizer = With({{"<think>", {.special = false}}, {"<|a<think>|>", {}}, {"#x", {.special = false}}});
  EXPECT_FALSE(tokenizer.MayCutText());
  EXPECT_EQ(Cut(tokenizer, "y<think>#x<thin", false), "y{0}{2}<thin");
  EXPECT_EQ(Cut(tokenizer, "<|a<think>|>#x", false), "<|a<think>|>{2}");  // a special one covers what it holds
  EXPECT_EQ(Cut(tokenizer, "<|a<think>|>#x"), "{1}{2}");
  EXPECT_EQ(*tokenizer.Decode(std::vector<int32_t>{'a', 256, 257}), "a<think>");
  EXPECT_TRUE(With({{"<s>", {}}}).MayCutText());
}

TEST(AddedTokensTest, NormalizedOnesComeSecond) {
  const Tokenizer tokenizer =
      With({{"ab", {.normalized = true}}, {"bc", {}}, {"e\u0301", {.special = false, .normalized = true}}}, true);
  EXPECT_EQ(Cut(tokenizer, "abc ab"), "a{1} {0}");
  EXPECT_EQ(Cut(tokenizer, "\u00E9 e\u0301 e\u0301\u0323", false), "{2} {2} \u1EB9\u0301");
}

TEST(AddedTokensTest, ManyFirstBytesAndEveryOffset) {
  std::vector<Added> added;
  for (const char* spelling : {"<a>", "[b]", "{c}", "(d)", "##", "%%"}) added.push_back({spelling, {}});
  const Tokenizer many = With(added), one = With({added[0]});
  for (size_t offset = 0; offset < 70; ++offset) {
    const std::string pad(offset, 'z');
    EXPECT_EQ(Cut(many, pad + "<a>[b]z%%%##{c" + pad + "(d)"), pad + "{0}{1}z{5}%{4}{c" + pad + "{3}");
    EXPECT_EQ(Cut(one, pad + "<<a>>" + pad + "<a"), pad + "<{0}>" + pad + "<a");
  }
}

}  // namespace
}  // namespace ingot
