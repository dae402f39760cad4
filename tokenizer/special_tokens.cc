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
    model.special_ids.push_back(static_cast<int32_t>(model.tokens.size()));
    model.tokens.push_back(spelling);
  }
}

int32_t FindSpecialToken(const TokenizerModel& model, absl::string_view spelling) {
  for (const int32_t id : model.special_ids) {
    if (model.tokens[id] == spelling) return id;
  }
  return -1;
}

}  // namespace ingot
