#include "tokenizer/tokenizer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "tokenizer/encoding_tables.h"
#include "tokenizer/hf_files.h"
#include "tokenizer/model.h"
#include "tokenizer/special_tokens.h"

namespace ingot {

absl::StatusOr<Tokenizer> Tokenizer::Load(const std::string& directory) {
  INGOT_ASSIGN_OR_RETURN(TokenizerModel model, ReadTokenizerJson(JoinPath(directory, "tokenizer.json")));
  return Tokenizer(std::make_shared<const TokenizerModel>(std::move(model)));
}

Tokenizer::Tokenizer(std::shared_ptr<const TokenizerModel> model)
    : model_(std::move(model)), tables_(std::make_shared<const EncodingTables>(model_)) {}

bool Tokenizer::MayCutText() const {
  return !tables_->raw_added.finds_ordinary() && !tables_->normalized_added.finds_ordinary();
}

int64_t Tokenizer::size() const { return static_cast<int64_t>(model_->tokens.size()); }

int64_t Tokenizer::padded_size() const { return (size() + 63) / 64 * 64; }

int32_t Tokenizer::end_of_text() const { return FindEndOfText(*model_); }

int32_t Tokenizer::SpecialToken(absl::string_view spelling) const { return FindSpecialToken(*model_, spelling); }

int64_t Tokenizer::ByteLength(int32_t id) const {
  INGOT_CHECK(id >= 0 && id < size(), "token id %d, vocabulary of %lld", id, static_cast<long long>(size()));
  return IsSpecial(*model_, id) ? 0 : static_cast<int64_t>(model_->tokens[id].size());
}

absl::StatusOr<std::string> Tokenizer::Decode(std::span<const int32_t> ids, bool spell_special_tokens) const {
  std::string text;
  for (size_t i = 0; i < ids.size(); ++i) {
    const int32_t id = ids[i];
    if (id < 0 || id >= size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("id ", id, " at place ", i, ": this vocabulary has ids 0 to ", size() - 1));
    }
    if (spell_special_tokens || !IsSpecial(*model_, id)) text += model_->tokens[id];
  }
  return text;
}

}  // namespace ingot
