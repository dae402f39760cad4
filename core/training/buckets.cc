#include "core/training/buckets.h"

#include <algorithm>

namespace ingot {

std::vector<WindowPiece> Within(const std::vector<WindowPiece>& pieces, Interval shard) {
  std::vector<WindowPiece> inside;
  for (const WindowPiece& piece : pieces) {
    const int64_t begin = std::max(piece.begin, shard.begin), end = std::min(piece.end, shard.end);
    if (begin < end) inside.push_back({.begin = begin, .end = end, .place = piece.place + begin - piece.begin});
  }
  return inside;
}

int64_t SizeOf(const std::vector<WindowPiece>& pieces) {
  int64_t size = 0;
  for (const WindowPiece& piece : pieces) size += piece.size();
  return size;
}

std::vector<Bucket> BucketsOf(const std::vector<WindowPiece>& pieces, const std::vector<Interval>& shards,
                              int64_t most) {
  std::vector<Bucket> buckets;
  for (size_t rank = 0; rank < shards.size(); ++rank) {
    int64_t at = 0;  // elements of this rank so far
    for (WindowPiece rest : Within(pieces, shards[rank])) {
      while (rest.size() > 0) {
        const auto bucket = static_cast<size_t>(at / most);
        if (bucket == buckets.size()) buckets.emplace_back(shards.size());
        const int64_t size = std::min(rest.size(), most - at % most);
        buckets[bucket][rank].push_back({.begin = rest.begin, .end = rest.begin + size, .place = rest.place});
        rest.begin += size;
        rest.place += size;
        at += size;
      }
    }
  }
  return buckets;
}

}  // namespace ingot
