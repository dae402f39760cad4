#include "tokenizer/piece_counter.h"

#include <algorithm>
#include <cstring>

namespace ingot {
namespace {

constexpr size_t kBlockBytes = size_t{1} << 18;

}  // namespace

void PieceCounter::AddText(SplitPattern pattern, absl::string_view text) {
  std::array<size_t, 256> ends;
  for (size_t begin = 0; begin < text.size();) {
    const size_t count = SplitText(pattern, text, begin, ends);
    for (size_t i = 0; i < count; ++i) {
      const absl::string_view piece = text.substr(begin, ends[i] - begin);
      begin = ends[i];
      // The table's own hash, taken once. Its low bits choose the slot, its high bits the partition.
      const size_t hash = partitions_[0].hash_function()(piece);
      Counts& counts = partitions_[hash >> 58];
      const auto found = counts.find(piece, hash);
      if (found != counts.end()) {
        ++found->second;
      } else {
        counts.emplace(Keep(piece), 1);
      }
    }
  }
}

void PieceCounter::AddPartition(int i, const PieceCounter& other) {
  for (const auto& [piece, count] : other.partitions_[i]) partitions_[i][piece] += count;
}

absl::string_view PieceCounter::Keep(absl::string_view piece) {
  if (piece.size() > block_left_) {
    const size_t size = std::max(kBlockBytes, piece.size());
    blocks_.push_back(std::make_unique<char[]>(size));
    block_left_ = size;
  }
  // Blocks fill from their end: what is left is always at their begin.
  block_left_ -= piece.size();
  char* const bytes = blocks_.back().get() + block_left_;
  std::memcpy(bytes, piece.data(), piece.size());
  return {bytes, piece.size()};
}

}  // namespace ingot
