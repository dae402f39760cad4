#include "tokenizer/merge_learner.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "core/base/check.h"
#include "tokenizer/bytes.h"

namespace ingot {
namespace {

constexpr std::array<uint8_t, 256> MakeIdOfByte() {
  std::array<uint8_t, 256> ids{};
  for (int id = 0; id < 256; ++id) ids[kAlphabet[id]] = static_cast<uint8_t>(id);
  return ids;
}
constexpr std::array<uint8_t, 256> kIdOfByte = MakeIdOfByte();

uint64_t PairOf(int32_t left, int32_t right) {
  return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
}

}  // namespace

MergeLearner::MergeLearner(int64_t min_frequency) : least_(std::max<int64_t>(1, min_frequency)) {}

void MergeLearner::AddWord(absl::string_view bytes, int64_t count) {
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
  INGOT_CHECK(words() < kMax, "more than 2^31 - 1 different pieces");
  // A piece of gigabytes is possible (one letter repeated); it is learned from in parts that fit an int32.
  for (size_t begin = 0; begin < bytes.size(); begin += kMax) {
    const absl::string_view part = bytes.substr(begin, kMax);
    if (part.size() < 2) continue;  // no pair
    words_.push_back({static_cast<int64_t>(symbols_.size()), count, static_cast<int32_t>(part.size())});
    for (const char byte : part) symbols_.push_back(kIdOfByte[static_cast<uint8_t>(byte)]);
  }
}

void MergeLearner::CountPairs() {
  std::vector<Pair> pairs(size_t{256} * 256);
  for (size_t index = 0; index < words_.size(); ++index) {
    const Word& word = words_[index];
    for (int64_t i = word.begin; i + 1 < word.begin + word.size; ++i) {
      Pair& pair = pairs[symbols_[i] * 256 + symbols_[i + 1]];
      pair.count += word.count;
      if (pair.words.empty() || pair.words.back() != static_cast<int32_t>(index)) {
        pair.words.push_back(static_cast<int32_t>(index));
      }
    }
  }
  for (int32_t i = 0; i < static_cast<int32_t>(pairs.size()); ++i) Keep(PairOf(i / 256, i % 256), pairs[i]);
}

// A pair's count is final when it is first known, until others take from it: it never rises.
void MergeLearner::Keep(uint64_t pair, Pair& value) {
  if (value.count < least_) return;
  candidates_.push({value.count, pair});
  value.words.shrink_to_fit();
  pairs_.emplace(pair, std::move(value));
}

bool MergeLearner::NextBest(Candidate& best, std::vector<int32_t>& words) {
  while (!candidates_.empty()) {
    best = candidates_.top();
    candidates_.pop();
    const auto found = pairs_.find(best.pair);
    if (found == pairs_.end()) continue;
    if (found->second.count != best.count) {  // it has fallen since: it queues again
      candidates_.push({found->second.count, best.pair});
      continue;
    }
    words = std::move(found->second.words);
    pairs_.erase(found);
    return true;
  }
  return false;
}

bool MergeLearner::LearnMerge(int32_t result, Merge& merge) {
  Candidate best;
  std::vector<int32_t> words;
  if (!NextBest(best, words)) return false;
  for (Side* const side : {&left_, &right_}) {
    side->lost.resize(result + 1);
    side->place.resize(result + 1, -1);
  }
  for (size_t i = 0; i < words.size(); ++i) {
    Prefetch(words, i);
    MergeInWord(words[i], best.pair, result);
  }
  TakeLosses(best.pair, result);
  TakeGains(result);
  merge = {static_cast<int32_t>(best.pair >> 32), static_cast<int32_t>(best.pair), result};
  return true;
}

// Words are spread over memory: their records are fetched some words ahead, and then their symbols.
void MergeLearner::Prefetch(const std::vector<int32_t>& words, size_t i) const {
  constexpr size_t kSymbolsAhead = 6, kWordsAhead = 12;
  if (i + kWordsAhead >= words.size()) return;
  __builtin_prefetch(&words_[words[i + kWordsAhead]]);
  __builtin_prefetch(&symbols_[words_[words[i + kSymbolsAhead]].begin]);
}

// From left to right without overlap. The neighbours' pairs are counted as they stand at that moment, so that runs of
// one letter come out exact.
void MergeLearner::MergeInWord(int32_t index, uint64_t pair, int32_t result) {
  Word& word = words_[index];
  int32_t* const symbols = symbols_.data() + word.begin;
  int32_t size = 0;
  for (int32_t i = 0; i < word.size; ++i) {
    if (i + 1 == word.size || PairOf(symbols[i], symbols[i + 1]) != pair) {
      symbols[size++] = symbols[i];
      continue;
    }
    if (size > 0) {
      left_.Lose(symbols[size - 1], word.count);
      left_.Gain(symbols[size - 1], word.count, index);
    }
    if (i + 2 < word.size) {
      right_.Lose(symbols[i + 2], word.count);
      right_.Gain(symbols[i + 2], word.count, index);
    }
    symbols[size++] = result;
    ++i;
  }
  word.size = size;
}

void MergeLearner::Side::Lose(int32_t neighbour, int64_t count) {
  if (lost[neighbour] == 0) losers.push_back(neighbour);
  lost[neighbour] += count;
}

void MergeLearner::Side::Gain(int32_t neighbour, int64_t count, int32_t word) {
  if (place[neighbour] < 0) {
    place[neighbour] = static_cast<int32_t>(gained.size());
    gainers.push_back(neighbour);
    gained.emplace_back();
  }
  Pair& pair = gained[place[neighbour]];
  pair.count += count;
  if (pair.words.empty() || pair.words.back() != word) pair.words.push_back(word);
}

// Where two merges stand side by side, the second takes (result, left token) away, which the first has just made.
void MergeLearner::TakeLosses(uint64_t pair, int32_t result) {
  const auto left = static_cast<int32_t>(pair >> 32), right = static_cast<int32_t>(pair);
  for (const int32_t neighbour : left_.losers) {
    const int64_t count = std::exchange(left_.lost[neighbour], 0);
    if (neighbour == result) {
      right_.gained[right_.place[left]].count -= count;
    } else {
      Lose(PairOf(neighbour, left), count);
    }
  }
  for (const int32_t neighbour : right_.losers) {
    Lose(PairOf(right, neighbour), std::exchange(right_.lost[neighbour], 0));
  }
  left_.losers.clear();
  right_.losers.clear();
}

// Pairs that are no longer kept, the one just merged among them, have nothing to lose.
void MergeLearner::Lose(uint64_t pair, int64_t count) {
  const auto found = pairs_.find(pair);
  if (found == pairs_.end()) return;
  found->second.count -= count;
  if (found->second.count < least_) pairs_.erase(found);
}

void MergeLearner::TakeGains(int32_t result) {
  for (const int32_t neighbour : left_.gainers) {
    Pair& pair = left_.gained[std::exchange(left_.place[neighbour], -1)];
    Keep(PairOf(neighbour, result), pair);
  }
  for (const int32_t neighbour : right_.gainers) {
    Pair& pair = right_.gained[std::exchange(right_.place[neighbour], -1)];
    Keep(PairOf(result, neighbour), pair);
  }
  for (Side* const side : {&left_, &right_}) {
    side->gainers.clear();
    side->gained.clear();
  }
}

}  // namespace ingot
