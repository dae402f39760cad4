#include "data_pipeline/curation/decontaminator.h"

#include <algorithm>
#include <bit>

#include "core/base/status_macros.h"
#include "data_pipeline/curation/evaluation_texts.h"
#include "data_pipeline/curation/words.h"
#include "data_pipeline/hash.h"
#include "data_pipeline/input_files.h"

namespace ingot {
namespace {

// The hash of words w_0 … w_{k-1} is the sum of w_i * kFactor^(k-1-i) mod 2^64: it rolls. The factor is any odd number
// with bits spread over the word (the fraction of the golden ratio).
constexpr uint64_t kFactor = 0x9E3779B97F4A7C15u;

uint64_t KeyOf(uint64_t hash, size_t words) { return CombineHash(hash, words); }

}  // namespace

absl::StatusOr<Decontaminator> Decontaminator::Create(const std::vector<std::string>& files, int64_t words) {
  Decontaminator made(static_cast<size_t>(words));
  INGOT_ASSIGN_OR_RETURN(const InputFiles input, FindDocuments(files));
  for (const std::string& path : input.files) {
    const auto file = static_cast<uint32_t>(made.files_.size());
    made.files_.push_back({.path = path});
    INGOT_RETURN_IF_ERROR(ForEachEvaluationText(path, [&](absl::string_view text) { made.AddText(text, file); }));
  }
  made.Seal();
  return made;
}

void Decontaminator::AddText(absl::string_view text, uint32_t file) {
  std::vector<uint64_t> words;
  WordHashes reader(text);
  for (uint64_t word; reader.Next(word);) words.push_back(word);
  if (words.size() < kFewestWords) {
    ++files_[file].short_texts;
    return;
  }
  ++files_[file].texts;
  const size_t length = std::min(n_, words.size());
  const auto same = [&](const Window& window) { return window.words == length; };
  if (std::none_of(windows_.begin(), windows_.end(), same)) windows_.push_back({length, 0});
  for (size_t first = 0; first + length <= words.size(); ++first) {
    uint64_t hash = 0;
    for (size_t i = 0; i < length; ++i) hash = hash * kFactor + words[first + i];
    file_of_.emplace(KeyOf(hash, length), file);
  }
}

void Decontaminator::Seal() {
  std::sort(windows_.begin(), windows_.end(), [](const Window& a, const Window& b) { return a.words < b.words; });
  for (Window& window : windows_) {
    window.leaves = 1;
    for (size_t i = 0; i < window.words; ++i) window.leaves *= kFactor;
  }
  const size_t bits = std::bit_ceil(16 * file_of_.size() + 64);
  filter_.assign(bits / 64, 0);
  filter_mask_ = bits - 1;
  for (const auto& [key, file] : file_of_) filter_[(key & filter_mask_) / 64] |= uint64_t{1} << (key % 64);
}

int64_t Decontaminator::FindMatch(absl::string_view text) const {
  if (windows_.empty()) return -1;
  const size_t longest = windows_.back().words;
  std::vector<uint64_t> last(longest), hashes(windows_.size());  // last: word i at i mod longest
  WordHashes reader(text);
  size_t count = 0;  // words so far
  for (uint64_t word; reader.Next(word); ++count) {
    for (size_t w = 0; w < windows_.size(); ++w) {
      const Window& window = windows_[w];
      uint64_t& hash = hashes[w];
      hash = hash * kFactor + word;
      if (count >= window.words) hash -= last[(count - window.words) % longest] * window.leaves;
      if (count + 1 < window.words) continue;
      const uint64_t key = KeyOf(hash, window.words);
      if ((filter_[(key & filter_mask_) / 64] >> (key % 64) & 1) == 0) continue;
      if (const auto found = file_of_.find(key); found != file_of_.end()) return found->second;
    }
    last[count % longest] = word;
  }
  return -1;
}

}  // namespace ingot
