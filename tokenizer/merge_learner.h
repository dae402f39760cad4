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
  // Adds a word of bytes, ids being their places in the alphabet (tokenizer/bytes.h). At most 2^31 - 1 words.
  void AddWord(absl::string_view bytes, int64_t count);
  // Counts the pairs of all words. Call it once, after the last word.
  void CountPairs();
  // The best pair, if one occurs at least `min_frequency` times (and at all); merges it into id `result` everywhere.
  bool LearnMerge(int64_t min_frequency, int32_t result, Merge& merge);

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

  void MergeInWord(int32_t index, uint64_t pair, int32_t result);
  void Gain(uint64_t pair, int64_t count, int32_t word);
  void Lose(uint64_t pair, int64_t count);

  std::vector<int32_t> symbols_;
  std::vector<Word> words_;
  absl::flat_hash_map<uint64_t, Pair> pairs_;  // key: left id in the high half, so that order is (left, right)
  std::priority_queue<Candidate> candidates_;
  std::vector<uint64_t> gained_;  // pairs that a merge has made, with repeats
};

}  // namespace ingot
