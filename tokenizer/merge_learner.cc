#include "tokenizer/merge_learner.h"

#include <algorithm>
#include <array>
#include <limits>

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
  for (size_t index = 0; index < words_.size(); ++index) {
    const Word& word = words_[index];
    for (int64_t i = word.begin; i + 1 < word.begin + word.size; ++i) {
      Gain(PairOf(symbols_[i], symbols_[i + 1]), word.count, static_cast<int32_t>(index));
    }
  }
  gained_.clear();
  for (const auto& [pair, value] : pairs_) candidates_.push({value.count, pair});
}

void MergeLearner::Gain(uint64_t pair, int64_t count, int32_t word) {
  Pair& value = pairs_[pair];
  value.count += count;
  if (value.words.empty() || value.words.back() != word) value.words.push_back(word);
  gained_.push_back(pair);
}

void MergeLearner::Lose(uint64_t pair, int64_t count) {
  if (const auto found = pairs_.find(pair); found != pairs_.end()) found->second.count -= count;
}

bool MergeLearner::LearnMerge(int64_t min_frequency, int32_t result, Merge& merge) {
  while (!candidates_.empty()) {
    const Candidate best = candidates_.top();
    candidates_.pop();
    const auto found = pairs_.find(best.pair);
    if (found == pairs_.end()) continue;
    if (found->second.count != best.count) {  // it has fallen since: it queues again
      if (found->second.count > 0) candidates_.push({found->second.count, best.pair});
      continue;
    }
    if (best.count < std::max<int64_t>(1, min_frequency)) return false;
    const std::vector<int32_t> words = std::move(found->second.words);
    pairs_.erase(found);
    gained_.clear();
    for (const int32_t word : words) MergeInWord(word, best.pair, result);
    // A pair with the new token occurs now for the first time: its count is final until others take from it.
    std::sort(gained_.begin(), gained_.end());
    gained_.erase(std::unique(gained_.begin(), gained_.end()), gained_.end());
    for (const uint64_t pair : gained_) {
      if (const int64_t count = pairs_[pair].count; count > 0) candidates_.push({count, pair});
    }
    merge = {static_cast<int32_t>(best.pair >> 32), static_cast<int32_t>(best.pair), result};
    return true;
  }
  return false;
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
      Lose(PairOf(symbols[size - 1], symbols[i]), word.count);
      Gain(PairOf(symbols[size - 1], result), word.count, index);
    }
    if (i + 2 < word.size) {
      Lose(PairOf(symbols[i + 1], symbols[i + 2]), word.count);
      Gain(PairOf(result, symbols[i + 2]), word.count, index);
    }
    symbols[size++] = result;
    ++i;
  }
  word.size = size;
}

}  // namespace ingot
