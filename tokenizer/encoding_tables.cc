#include "tokenizer/encoding_tables.h"

#include <algorithm>
#include <bit>

#include "absl/hash/hash.h"

namespace ingot {
namespace {

size_t HashOf(absl::string_view piece) { return absl::Hash<absl::string_view>()(piece); }

}  // namespace

WholePieceTable::WholePieceTable(const std::vector<std::string>& tokens)
    : tokens_(tokens), mask_(std::bit_ceil(2 * tokens.size() + 2) - 1), slots_(mask_ + 1, -1) {}

void WholePieceTable::Insert(int32_t id) {
  const std::string& token = tokens_[id];
  longest_ = std::max(longest_, token.size());
  size_t slot = HashOf(token) & mask_;
  while (slots_[slot] >= 0) slot = (slot + 1) & mask_;
  slots_[slot] = id;
}

int32_t WholePieceTable::Find(absl::string_view piece) const {
  if (piece.size() > longest_) return -1;  // also spares hashing a piece of megabytes
  for (size_t slot = HashOf(piece) & mask_;; slot = (slot + 1) & mask_) {
    const int32_t id = slots_[slot];
    if (id < 0 || tokens_[id] == piece) return id;
  }
}

EncodingTables::EncodingTables(std::shared_ptr<const TokenizerModel> of)
    : model(std::move(of)),
      pairs(model->merges),
      whole_pieces(model->tokens),
      raw_added(*model, /*normalized=*/false),
      normalized_added(*model, /*normalized=*/true) {
  const auto tokens = static_cast<int32_t>(model->tokens.size());
  for (int32_t id = 0; id < tokens; ++id) {
    const std::string& token = model->tokens[id];
    if (token.size() == 1 && IsOrdinary(*model, id)) byte_ids[static_cast<uint8_t>(token[0])] = id;
  }
  if (Backtracking::Serves(*model)) backtracking.emplace(*model, pairs);
  for (int32_t id = 0; id < tokens; ++id) {
    if (!IsOrdinary(*model, id)) continue;
    const bool found_by_merging = backtracking && backtracking->IsOwn(id);
    if (model->whole_piece_first && !found_by_merging) whole_pieces.Insert(id);
    if (model->whole_piece_first || found_by_merging) CacheToken(id);
  }
}

// Lower ids first, which come more often.
void EncodingTables::CacheToken(int32_t id) {
  const std::string& token = model->tokens[id];
  if (token.size() > PieceKey::kMaxBytes) return;
  std::array<size_t, 1> end;
  SplitText(model->pattern, token, 0, end);
  if (end[0] == token.size())
    token_cache.InsertIfFree(MakePieceKey(token.data(), token.size(), token.data() + token.size()), id);
}

}  // namespace ingot
