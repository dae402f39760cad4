#include "tokenizer/model.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "tokenizer/bytes.h"

namespace ingot {
namespace {

constexpr size_t kMaxTokens = size_t{1} << 24;  // 5 times the largest vocabulary known; ranks then fit 32 bits

absl::Status ValidateSpecialIds(const TokenizerModel& model) {
  int64_t previous = -1;
  for (const int32_t id : model.special_ids) {
    if (id <= previous || id >= static_cast<int64_t>(model.tokens.size())) {
      return absl::InvalidArgumentError(absl::StrCat("added_tokens: id ", id, " twice, or not below the vocabulary's ",
                                                     model.tokens.size(), " tokens"));
    }
    previous = id;
  }
  return absl::OkStatus();
}

absl::Status ValidateTokens(const TokenizerModel& model) {
  absl::flat_hash_map<std::string, int64_t> id_of;  // by the key that stands in the file
  int bytes = 0;
  for (size_t id = 0; id < model.tokens.size(); ++id) {
    const std::string& token = model.tokens[id];
    const bool special = std::binary_search(model.special_ids.begin(), model.special_ids.end(), id);
    if (token.empty()) return absl::InvalidArgumentError(absl::StrCat("model.vocab: token ", id, " is empty"));
    const auto [found, is_new] = id_of.try_emplace(special ? token : SpellBytes(token), id);
    if (!is_new) {
      return absl::InvalidArgumentError(absl::StrCat("model.vocab: \"", absl::CHexEscape(found->first),
                                                     "\" is both token ", found->second, " and token ", id));
    }
    if (!special && token.size() == 1) ++bytes;
  }
  if (bytes != 256) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model.vocab: ", bytes, " of the 256 single bytes are tokens; all must be, or text would be lost"));
  }
  return absl::OkStatus();
}

absl::Status ValidateMerges(const TokenizerModel& model) {
  absl::flat_hash_set<std::pair<int32_t, int32_t>> pairs;
  const auto is_ordinary = [&model](int32_t id) {
    return id >= 0 && id < static_cast<int64_t>(model.tokens.size()) &&
           !std::binary_search(model.special_ids.begin(), model.special_ids.end(), id);
  };
  for (size_t rank = 0; rank < model.merges.size(); ++rank) {
    const Merge& merge = model.merges[rank];
    const std::string field = absl::StrCat("model.merges[", rank, "]");
    if (!is_ordinary(merge.left) || !is_ordinary(merge.right) || !is_ordinary(merge.result)) {
      return absl::InvalidArgumentError(absl::StrCat(field, ": not of ordinary tokens of the vocabulary"));
    }
    if (model.tokens[merge.left] + model.tokens[merge.right] != model.tokens[merge.result]) {
      return absl::InvalidArgumentError(absl::StrCat(field, ": the two tokens do not join to token ", merge.result));
    }
    if (!pairs.insert({merge.left, merge.right}).second) {
      return absl::InvalidArgumentError(absl::StrCat(field, ": this pair has been merged before"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Validate(const TokenizerModel& model) {
  if (model.tokens.size() > kMaxTokens) {
    return absl::InvalidArgumentError(
        absl::StrCat("model.vocab: ", model.tokens.size(), " tokens, more than the ", kMaxTokens, " supported"));
  }
  INGOT_RETURN_IF_ERROR(ValidateSpecialIds(model));
  INGOT_RETURN_IF_ERROR(ValidateTokens(model));
  return ValidateMerges(model);
}

}  // namespace ingot
