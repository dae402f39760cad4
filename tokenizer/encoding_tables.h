#pragma once
// EncodingTables: what encoding looks up, derived from a model once and shared by all its encoders. Immutable.
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/backtracking.h"
#include "tokenizer/model.h"
#include "tokenizer/pair_table.h"
#include "tokenizer/piece_cache.h"

namespace ingot {

// Token bytes → id, for pieces that are one token as they stand.
class WholePieceTable {
 public:
  explicit WholePieceTable(const std::vector<std::string>& tokens);
  void Insert(int32_t id);
  // -1 if `piece` is none of the tokens inserted.
  int32_t Find(absl::string_view piece) const;

 private:
  const std::vector<std::string>& tokens_;
  size_t longest_ = 0;
  size_t mask_;
  std::vector<int32_t> slots_;
};

struct EncodingTables {
  explicit EncodingTables(std::shared_ptr<const TokenizerModel> of);

  std::shared_ptr<const TokenizerModel> model;
  std::array<int32_t, 256> byte_ids{};
  PairTable pairs;
  std::optional<Backtracking> backtracking;  // where the vocabulary allows it; else pieces are merged by ranks
  WholePieceTable whole_pieces;              // with whole_piece_first: tokens that merging may not give
  AddedTokenFinder raw_added, normalized_added;
  PieceCache token_cache;  // short tokens that are the only id of their bytes: what a new encoder's cache begins with

 private:
  void CacheToken(int32_t id);
};

}  // namespace ingot
