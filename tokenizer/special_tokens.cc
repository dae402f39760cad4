#include "tokenizer/special_tokens.h"

#include "absl/strings/str_cat.h"

namespace ingot {

std::vector<std::string> ReservedTokens() {
  std::vector<std::string> spellings = {kEndOfText,    kTurnBegin,       kTurnEnd,          kPad,
                                        "<|mask|>",    "<|fim_prefix|>", "<|fim_middle|>",  "<|fim_suffix|>",
                                        "<tool_call>", "</tool_call>",   "<tool_response>", "</tool_response>",
                                        "<think>",     "</think>"};
  for (int i = 0; spellings.size() < kReservedTokens; ++i) spellings.push_back(absl::StrCat("<|reserved_", i, "|>"));
  return spellings;
}

void AppendSpecialTokens(const std::vector<std::string>& spellings, TokenizerModel& model) {
  for (const std::string& spelling : spellings) {
    model.added.push_back({.id = static_cast<int32_t>(model.tokens.size()), .in_vocabulary = !model.whole_piece_first});
    model.tokens.push_back(spelling);
  }
}

int32_t FindSpecialToken(const TokenizerModel& model, absl::string_view spelling) {
  for (const AddedToken& token : model.added) {
    if (token.special && model.tokens[token.id] == spelling) return token.id;
  }
  return -1;
}

int32_t FindEndOfText(const TokenizerModel& model) {
  for (const absl::string_view spelling : {kEndOfText, "<|end_of_text|>", "</s>"}) {
    if (const int32_t id = FindSpecialToken(model, spelling); id >= 0) return id;
  }
  return -1;
}

}  // namespace ingot
