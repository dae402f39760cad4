#pragma once
// MergeLearner: the merging half of BPE training. Words are sequences of ids with counts; each step merges the pair of
// highest count, ties going to the smallest (left id, right id), and updates only the words that hold it.
#include <cstdint>
#include <queue>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "tokenizer/model.h"

namespace ingot {

class MergeLearner {
 public:
  // Pairs that occur less often than `min_frequency`, at least once, are not learned, nor kept.
  explicit MergeLearner(int64_t min_frequency);

  // Adds a word of bytes, ids being their places in the alphabet (tokenizer/bytes.h). At most 2^31 - 1 words.
  void AddWord(absl::string_view bytes, int64_t count);
  // Counts the pairs of all words. Call it once, after the last word.
  void CountPairs();
  // The best pair, if there is one; merges it into id `result`, larger than all before, everywhere.
  bool LearnMerge(int32_t result, Merge& merge);

  int64_t words() const { return static_cast<int64_t>(words_.size()); }

 private:
  struct Word {
    int64_t begin;  // in symbols_
    int64_t count;
    int32_t size;
  };
  // Words may be listed that hold the pair no more: merging them changes nothing.
  struct Pair {
    int64_t count = 0;
    std::vector<int32_t> words;
  };
  struct Candidate {
    int64_t count;  // may be out of date: too high, never too low
    uint64_t pair;
    bool operator<(const Candidate& other) const {
      return count != other.count ? count < other.count : pair > other.pair;
    }
  };
  // What a merge does to the pairs at one side of its tokens, by the neighbour's id. Sums of a merge are taken here, in
  // two arrays, before they go into the table of pairs.
  struct Side {
    std::vector<int64_t> lost;   // of the neighbour with the token that stood there
    std::vector<int32_t> place;  // in gained, of the neighbour with the merge's result; -1: none
    std::vector<int32_t> losers, gainers;
    std::vector<Pair> gained;

    void Lose(int32_t neighbour, int64_t count);
    void Gain(int32_t neighbour, int64_t count, int32_t word);
  };

  bool NextBest(Candidate& best, std::vector<int32_t>& words);
  void MergeInWord(int32_t index, uint64_t pair, int32_t result);
  void Prefetch(const std::vector<int32_t>& words, size_t i) const;
  void TakeLosses(uint64_t pair, int32_t result);
  void Lose(uint64_t pair, int64_t count);
  void TakeGains(int32_t result);
  void Keep(uint64_t pair, Pair& value);

  const int64_t least_;  // a pair's count
  std::vector<int32_t> symbols_;
  std::vector<Word> words_;
  absl::flat_hash_map<uint64_t, Pair> pairs_;  // key: left id in the high half, so that order is (left, right)
  std::priority_queue<Candidate> candidates_;
  Side left_, right_;
};

}  // namespace ingot
