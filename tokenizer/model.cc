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

absl::Status ValidateAdded(const TokenizerModel& model) {
  const auto size = static_cast<int64_t>(model.tokens.size());
  int64_t previous = -1;
  int64_t behind = 0;
  for (const AddedToken& token : model.added) {
    if (token.id <= previous || token.id >= size) {
      return absl::InvalidArgumentError(
          absl::StrCat("added_tokens: id ", token.id, " twice, or not below the ", "vocabulary's ", size, " tokens"));
    }
    previous = token.id;
    behind += token.in_vocabulary ? 0 : 1;
    std::string bytes;
    if (model.whole_piece_first && token.in_vocabulary && UnspellBytes(model.tokens[token.id], bytes) &&
        bytes != model.tokens[token.id]) {
      return absl::InvalidArgumentError(absl::StrCat("added_tokens: the spelling of id ", token.id,
                                                     " is in the vocabulary, where it stands for other bytes"));
    }
  }
  for (const AddedToken& token : model.added) {
    if (token.in_vocabulary == (token.id < size - behind)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("added_tokens: id ", token.id, " is not where `tokenizers` puts it"));
  }
  return absl::OkStatus();
}

absl::Status ValidateTemplate(const TokenizerModel& model) {
  for (const std::vector<TemplatePart>* parts : {&model.around.single, &model.around.pair}) {
    for (const TemplatePart& part : *parts) {
      if (part.id >= 0 ? FindAdded(model, part.id) != nullptr : part.sequence == 'A' || part.sequence == 'B') continue;
      return absl::InvalidArgumentError("post_processor: a part of the template is neither added token nor sequence");
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateTokens(const TokenizerModel& model) {
  absl::flat_hash_map<std::string, int64_t> id_of;  // by the key that stands in the file
  int bytes = 0;
  for (size_t id = 0; id < model.tokens.size(); ++id) {
    const std::string& token = model.tokens[id];
    const bool added = FindAdded(model, static_cast<int64_t>(id)) != nullptr;
    if (token.empty()) return absl::InvalidArgumentError(absl::StrCat("model.vocab: token ", id, " is empty"));
    const auto [found, is_new] = id_of.try_emplace(added ? token : SpellBytes(token), id);
    if (!is_new) {
      return absl::InvalidArgumentError(absl::StrCat("model.vocab: \"", absl::CHexEscape(found->first),
                                                     "\" is both token ", found->second, " and token ", id));
    }
    if (token.size() == 1 && IsOrdinary(model, static_cast<int64_t>(id))) ++bytes;
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
    return id >= 0 && id < static_cast<int64_t>(model.tokens.size()) && IsOrdinary(model, id);
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

const AddedToken* FindAdded(const TokenizerModel& model, int64_t id) {
  const auto found = std::lower_bound(model.added.begin(), model.added.end(), id,
                                      [](const AddedToken& token, int64_t wanted) { return token.id < wanted; });
  return found != model.added.end() && found->id == id ? &*found : nullptr;
}

bool IsSpecial(const TokenizerModel& model, int64_t id) {
  const AddedToken* const added = FindAdded(model, id);
  return added != nullptr && added->special;
}

bool IsOrdinary(const TokenizerModel& model, int64_t id) {
  const AddedToken* const added = FindAdded(model, id);
  return added == nullptr || (added->in_vocabulary && SpellBytes(model.tokens[id]) == model.tokens[id]);
}

int64_t CountSpecial(const TokenizerModel& model) {
  return std::count_if(model.added.begin(), model.added.end(), [](const AddedToken& token) { return token.special; });
}

absl::Status Validate(const TokenizerModel& model) {
  if (model.tokens.size() > kMaxTokens) {
    return absl::InvalidArgumentError(
        absl::StrCat("model.vocab: ", model.tokens.size(), " tokens, more than the ", kMaxTokens, " supported"));
  }
  INGOT_RETURN_IF_ERROR(ValidateAdded(model));
  INGOT_RETURN_IF_ERROR(ValidateTokens(model));
  INGOT_RETURN_IF_ERROR(ValidateTemplate(model));
  return ValidateMerges(model);
}

}  // namespace ingot
