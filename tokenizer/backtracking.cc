#include "tokenizer/backtracking.h"

#include <algorithm>

#include "core/base/check.h"

namespace ingot {
namespace {

constexpr size_t kLongestToken = 4096;  // bytes; vocabularies with longer ones are merged by ranks

}  // namespace

bool Backtracking::Serves(const TokenizerModel& model) {
  if (model.tokens.size() > TokenTrie::kMostTokens) return false;
  std::vector<int32_t> last_made(model.tokens.size(), -1);
  for (size_t rank = 0; rank < model.merges.size(); ++rank) {
    const int32_t result = model.merges[rank].result;
    if (model.tokens[result].size() > kLongestToken) return false;
    last_made[result] = static_cast<int32_t>(rank);
  }
  for (size_t rank = 0; rank < model.merges.size(); ++rank) {
    const Merge& merge = model.merges[rank];
    if (std::max(last_made[merge.left], last_made[merge.right]) >= static_cast<int32_t>(rank)) return false;
  }
  return true;
}

Backtracking::Backtracking(const TokenizerModel& model, const PairTable& pairs)
    : pairs_(pairs), origins_(model.tokens.size()), prefixes_(model.tokens.size()) {
  const std::vector<int32_t> own = FindOwn(model);
  trie_.emplace(model.tokens, own);
  for (const int32_t id : own) prefixes_[id].shorter = trie_->LongestProperPrefix(model.tokens[id]);
  FindBorders(model, own);
}

// A part stands until the token that it is part of is made: what merges with it must do so at a lower rank, or, where
// the part is to the right, at the same, since the same merge further left comes first.
void Backtracking::FindBorders(const TokenizerModel& model, const std::vector<int32_t>& own) {
  std::vector<std::vector<int32_t>> as_left(model.tokens.size()), as_right(model.tokens.size());  // ranks, ascending
  for (size_t rank = 0; rank < model.merges.size(); ++rank) {
    as_left[model.merges[rank].left].push_back(static_cast<int32_t>(rank));
    as_right[model.merges[rank].right].push_back(static_cast<int32_t>(rank));
  }
  borders_.resize(model.tokens.size());
  for (const int32_t id : own) {
    Border& border = borders_[id];
    border.begins = BitOf(id);
    for (int32_t whole = id; origins_[whole].rank >= 0; whole = origins_[whole].right) {
      for (const int32_t rank : as_left[origins_[whole].right]) {
        if (rank >= origins_[whole].rank) break;
        border.after |= BitOf(model.merges[rank].right);
      }
    }
    for (int32_t whole = id; origins_[whole].rank >= 0; whole = origins_[whole].left) {
      border.begins |= BitOf(origins_[whole].left);
      for (const int32_t rank : as_right[origins_[whole].left]) {
        if (rank > origins_[whole].rank) break;
        border.before |= BitOf(model.merges[rank].left);
      }
    }
  }
}

// A token of several bytes is own if its parts are, and stay whole until the merge that joins them.
std::vector<int32_t> Backtracking::FindOwn(const TokenizerModel& model) {
  const auto tokens = static_cast<int32_t>(model.tokens.size());
  for (int32_t id = 0; id < tokens; ++id) {
    if (model.tokens[id].size() == 1 && IsOrdinary(model, id)) prefixes_[id].size = 1;
  }
  for (size_t i = 0; i < model.merges.size(); ++i) {
    const Merge& merge = model.merges[i];
    const auto rank = static_cast<int32_t>(i);
    if (IsOwn(merge.result) || !IsOwn(merge.left) || !IsOwn(merge.right)) continue;
    if (!AreCompatible(merge.left, merge.right, rank)) continue;
    origins_[merge.result] = {merge.left, merge.right, rank};
    prefixes_[merge.result].size = static_cast<uint32_t>(model.tokens[merge.result].size());
  }
  std::vector<int32_t> own;
  for (int32_t id = 0; id < tokens; ++id) {
    if (IsOwn(id)) own.push_back(id);
  }
  return own;
}

// Of two tokens made by the same merge the right one is made later; a merge of that same rank over the border comes
// before it, being further left, and after the left one.
bool Backtracking::AreCompatible(int32_t left, int32_t right, int32_t limit) const {
  for (;;) {
    if (pairs_.Find(left, right).rank < limit) return false;
    const Origin l = origins_[left], r = origins_[right];
    if (std::max(l.rank, r.rank) < 0) return true;
    // Which one is newer cannot be predicted: no branch.
    const bool left_is_newer = l.rank > r.rank;
    limit = left_is_newer ? l.rank : r.rank + 1;
    left = left_is_newer ? l.right : left;
    right = left_is_newer ? right : r.left;
  }
}

// One piece on its way.
class Backtracking::Run {
 public:
  Run(const Backtracking& tables, absl::string_view piece, BacktrackingScratch& scratch, std::vector<int32_t>& ids)
      : tables_(tables),
        begin_(reinterpret_cast<const uint8_t*>(piece.data())),
        end_(begin_ + piece.size()),
        scratch_(scratch),
        ids_(ids),
        first_(ids.size()) {}

  void Encode() {
    for (const uint8_t* p = begin_; p < end_;) {
      const TokenTrie::Match match = tables_.trie_->Longest(p, end_);
      if (Fits(match.id, match.end)) [[likely]] {
        ids_.push_back(match.id);
        p = match.end;
      } else {
        p = TakeShorter(p, match.id);
      }
    }
  }

 private:
  // Whether a token that ends at `end` may come next.
  bool Fits(int32_t id, const uint8_t* end) {
    if (any_dead_ && IsDead(end)) return false;
    return ids_.size() == first_ || KnownCompatible(ids_.back(), id);
  }

  bool KnownCompatible(int32_t left, int32_t right) {
    const uint64_t pair = static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
    uint64_t& known = scratch_.pairs[pair * 0x9E3779B97F4A7C15ull >> (64 - BacktrackingScratch::kPairBits)];
    if (known == pair) [[likely]]
      return true;
    const bool compatible = tables_.PartsNeverMerge(left, right) ? tables_.pairs_.Find(left, right).rank == kNoRank
                                                                 : tables_.AreCompatible(left, right);
    if (compatible) known = pair;
    return compatible;
  }

  // Takes the next shorter token than `id` that fits at `p`, or at a place before it; where it ends.
  const uint8_t* TakeShorter(const uint8_t* p, int32_t id) {
    for (;;) {
      id = tables_.prefixes_[id].shorter;
      while (id < 0) p = StepBack(p, id);
      const uint8_t* const end = p + tables_.prefixes_[id].size;
      if (!Fits(id, end)) continue;
      ids_.push_back(id);
      return end;
    }
  }

  // Nothing fits at `p`, which is dead then: takes the token before it back. `id` becomes the next to try in its place.
  const uint8_t* StepBack(const uint8_t* p, int32_t& id) {
    INGOT_CHECK(ids_.size() > first_, "a piece of %td bytes has no ids", end_ - begin_);
    if (!any_dead_) scratch_.dead.assign(static_cast<size_t>(end_ - begin_) / 64 + 1, 0);
    any_dead_ = true;
    const auto place = static_cast<size_t>(p - begin_);
    scratch_.dead[place / 64] |= uint64_t{1} << (place % 64);
    const Prefix& last = tables_.prefixes_[ids_.back()];
    ids_.pop_back();
    id = last.shorter;
    return p - last.size;
  }

  bool IsDead(const uint8_t* p) const {
    const auto place = static_cast<size_t>(p - begin_);
    return (scratch_.dead[place / 64] >> (place % 64) & 1) != 0;
  }

  const Backtracking& tables_;
  const uint8_t* const begin_;
  const uint8_t* const end_;
  BacktrackingScratch& scratch_;
  std::vector<int32_t>& ids_;
  const size_t first_;
  bool any_dead_ = false;
};

void Backtracking::Encode(absl::string_view piece, BacktrackingScratch& scratch, std::vector<int32_t>& ids) const {
  if (scratch.pairs.empty()) scratch.pairs.resize(size_t{1} << BacktrackingScratch::kPairBits, ~uint64_t{0});
  Run(*this, piece, scratch, ids).Encode();
}

}  // namespace ingot
