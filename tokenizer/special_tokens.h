#pragma once
// Special tokens: control tokens that no text makes. A trained vocabulary ends with a block of 64, so that fine-tuning
// can use chat turns, tools, thinking and fill-in-the-middle without a new embedding table.
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tokenizer/model.h"

namespace ingot {

inline constexpr char kEndOfText[] = "<|endoftext|>";  // ends a document
inline constexpr char kPad[] = "<|pad|>";              // of its own: collators mask it, and must not mask the end
inline constexpr char kTurnBegin[] = "<|im_start|>";
inline constexpr char kTurnEnd[] = "<|im_end|>";

inline constexpr int64_t kReservedTokens = 64;

// The block's spellings in the order of their ids: kEndOfText first, the last 50 without a meaning yet. Names that
// llama.cpp gives a meaning of its own are avoided.
std::vector<std::string> ReservedTokens();

// Gives `spellings` the next ids of `model`. They stand in model.vocab as well, except where a piece of text that is a
// token of the vocabulary is that token: text must not make a special one.
void AppendSpecialTokens(const std::vector<std::string>& spellings, TokenizerModel& model);

// The id of the special token spelled so, -1 if there is none.
int32_t FindSpecialToken(const TokenizerModel& model, absl::string_view spelling);

// The token that ends documents: <|endoftext|>, or in its place an import's <|end_of_text|> or </s>; -1 if there is none.
int32_t FindEndOfText(const TokenizerModel& model);

}  // namespace ingot
