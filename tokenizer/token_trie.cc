#include "tokenizer/token_trie.h"

#include <algorithm>

#include "core/base/check.h"

namespace ingot {

// Places nodes breadth first, so that the upper ones, which most searches pass, lie together.
class TokenTrieBuilder {
 public:
  TokenTrieBuilder(const std::vector<std::string>& tokens, std::vector<int32_t> ids, TokenTrie& trie)
      : tokens_(tokens), ids_(std::move(ids)), trie_(trie) {
    std::sort(ids_.begin(), ids_.end(), [&](int32_t a, int32_t b) { return tokens_[a] < tokens_[b]; });
    AddBlock();  // the first block stays empty: base 0 is that of nodes without children
  }

  void Build() {
    std::vector<Node> nodes = {{0, ids_.size(), 0, kRoot}}, next;
    for (; !nodes.empty(); nodes.swap(next)) {
      next.clear();
      for (const Node& node : nodes) PlaceChildren(node, next);
    }
  }

 private:
  static constexpr size_t kBlock = 256, kRoot = 0;
  // The tokens ids_[begin, end) share their first `depth` bytes and are longer.
  struct Node {
    size_t begin, end, depth, place;  // place kRoot: the root itself
  };

  uint32_t ByteAt(size_t i, size_t depth) const { return static_cast<uint8_t>(tokens_[ids_[i]][depth]); }

  void PlaceChildren(const Node& node, std::vector<Node>& next) {
    labels_.clear();
    for (size_t i = node.begin; i < node.end; ++i) {
      const uint32_t c = ByteAt(i, node.depth);
      if (labels_.empty() || labels_.back() != c) labels_.push_back(c);
    }
    const size_t base = FindBase();
    base_used_[base] = true;
    if (node.place == kRoot) {
      trie_.root_ = TokenTrie::UnitOf(base, TokenTrie::kNoToken, 0);
    } else {
      trie_.units_[node.place] |= TokenTrie::UnitOf(base, 0, 0);
    }
    for (size_t begin = node.begin; begin < node.end;) {
      const uint32_t c = ByteAt(begin, node.depth);
      size_t end = begin + 1;
      while (end < node.end && ByteAt(end, node.depth) == c) ++end;
      // The token that ends here sorts first.
      const bool is_token = tokens_[ids_[begin]].size() == node.depth + 1;
      const auto token = is_token ? static_cast<uint32_t>(ids_[begin]) : TokenTrie::kNoToken;
      trie_.units_[base ^ c] = TokenTrie::UnitOf(0, token, c);
      if (is_token) ++begin;
      if (begin < end) next.push_back({begin, end, node.depth + 1, base ^ c});
      begin = end;
    }
  }

  bool IsFree(size_t place) const { return TokenTrie::LabelOf(trie_.units_[place]) == TokenTrie::kNoLabel; }

  // A base under which all of labels_ are free, looked for in the last blocks only: what stays free in older ones is
  // little.
  size_t FindBase() {
    constexpr size_t kSearched = 2 * kBlock;
    const size_t size = trie_.units_.size();
    if (labels_.size() < 32) {
      for (size_t place = size - std::min(size - kBlock, kSearched); place < size; ++place) {
        const size_t base = place ^ labels_[0];
        if (base_used_[base] || !IsFree(place)) continue;
        if (std::all_of(labels_.begin(), labels_.end(), [&](uint32_t c) { return IsFree(base ^ c); })) return base;
      }
    }
    AddBlock();
    return size;
  }

  void AddBlock() {
    trie_.units_.resize(trie_.units_.size() + kBlock, TokenTrie::UnitOf(0, TokenTrie::kNoToken, TokenTrie::kNoLabel));
    base_used_.resize(trie_.units_.size());
    INGOT_CHECK(trie_.units_.size() < size_t{1} << 31, "a vocabulary of more than 2^31 prefixes");
  }

  const std::vector<std::string>& tokens_;
  std::vector<int32_t> ids_;
  TokenTrie& trie_;
  std::vector<bool> base_used_;
  std::vector<uint32_t> labels_;
};

TokenTrie::TokenTrie(const std::vector<std::string>& tokens, const std::vector<int32_t>& ids) : root_(0) {
  INGOT_CHECK(ids.size() <= kMostTokens && tokens.size() <= kMostTokens, "%zu tokens in a trie", tokens.size());
  TokenTrieBuilder(tokens, ids, *this).Build();
  first_two_.assign(size_t{1} << 16, UnitOf(0, kNoToken, kNoLabel));
  for (uint32_t first = 0; first < 256; ++first) {
    const uint64_t node = units_[BaseOf(root_) ^ first];
    byte_ids_[first] = static_cast<int32_t>(TokenOf(node));
    for (uint32_t second = 0; second < 256; ++second) {
      const uint64_t unit = units_[BaseOf(node) ^ second];
      if (LabelOf(unit) == second) first_two_[first << 8 | second] = unit;
    }
  }
}

int32_t TokenTrie::LongestProperPrefix(absl::string_view bytes) const {
  if (bytes.size() < 2) return -1;
  const auto* const p = reinterpret_cast<const uint8_t*>(bytes.data());
  return Longest(p, p + bytes.size() - 1).id;
}

}  // namespace ingot
