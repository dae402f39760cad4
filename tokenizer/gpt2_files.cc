#include "tokenizer/gpt2_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"
#include "tokenizer/bytes.h"
#include "tokenizer/special_tokens.h"

namespace ingot {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{64} << 20;  // GPT-2's own are 1 MB and 0.5 MB

using IdOfToken = absl::flat_hash_map<std::string, int32_t>;

absl::Status AddMerge(absl::string_view line, IdOfToken& id_of, TokenizerModel& model) {
  const size_t blank = line.find(' ');
  std::string left, right;
  if (blank == absl::string_view::npos || !UnspellBytes(line.substr(0, blank), left) ||
      !UnspellBytes(line.substr(blank + 1), right)) {
    return absl::InvalidArgumentError("expected two tokens in the byte alphabet with a blank between them");
  }
  const auto left_id = id_of.find(left), right_id = id_of.find(right);
  if (left_id == id_of.end() || right_id == id_of.end()) {
    return absl::InvalidArgumentError("merges a token that no line before it makes");
  }
  const auto id = static_cast<int32_t>(model.tokens.size());
  model.merges.push_back({left_id->second, right_id->second, id});
  model.tokens.push_back(left + right);
  if (!id_of.emplace(left + right, id).second) return absl::InvalidArgumentError("makes a token that exists");
  return absl::OkStatus();
}

absl::StatusOr<TokenizerModel> ParseMerges(absl::string_view text) {
  TokenizerModel model;
  model.pattern = SplitPattern::kGpt2;
  IdOfToken id_of;
  for (const uint8_t byte : kAlphabet) {
    model.tokens.emplace_back(1, static_cast<char>(byte));
    id_of.emplace(model.tokens.back(), static_cast<int32_t>(model.tokens.size()) - 1);
  }
  for (int64_t number = 1; !text.empty(); ++number) {
    const size_t newline = std::min(text.find('\n'), text.size());
    const absl::string_view line = text.substr(0, newline);
    if (!line.empty() && !(number == 1 && line.substr(0, 8) == "#version")) {
      const absl::Status status = AddMerge(line, id_of, model);
      if (!status.ok()) return Annotate(status, absl::StrCat("line ", number, ": "));
    }
    text.remove_prefix(std::min(newline + 1, text.size()));
  }
  AppendSpecialTokens({kEndOfText}, model);
  return model;
}

absl::Status CheckEncoder(const nlohmann::json& encoder, const TokenizerModel& model) {
  if (!encoder.is_object() || encoder.size() != model.tokens.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("holds ", encoder.size(), " tokens, the merges give ", model.tokens.size()));
  }
  const size_t end_of_text = model.tokens.size() - 1;
  for (size_t id = 0; id < model.tokens.size(); ++id) {
    const std::string key = id == end_of_text ? model.tokens[id] : SpellBytes(model.tokens[id]);
    const auto found = encoder.find(key);
    if (found == encoder.end() || *found != id) {
      return absl::InvalidArgumentError(absl::StrCat("token \"", key, "\" should have id ", id, " by the merges, ",
                                                     found == encoder.end() ? "is missing" : "has another"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TokenizerModel> ReadGpt2Files(const std::string& encoder_path, const std::string& merges_path) {
  INGOT_ASSIGN_OR_RETURN(const std::string merges_text, ReadFile(merges_path, kMaxFileBytes));
  const absl::StatusOr<TokenizerModel> model = ParseMerges(merges_text);
  if (!model.ok()) return Annotate(model.status(), absl::StrCat(merges_path, ": "));
  INGOT_ASSIGN_OR_RETURN(const std::string encoder_text, ReadFile(encoder_path, kMaxFileBytes));
  INGOT_ASSIGN_OR_RETURN(const nlohmann::json encoder, ParseJson(encoder_text, encoder_path));
  if (absl::Status status = CheckEncoder(encoder, *model); !status.ok()) {
    return Annotate(status, absl::StrCat(encoder_path, ": "));
  }
  INGOT_RETURN_IF_ERROR(Validate(*model));
  return *model;
}

}  // namespace ingot
