#pragma once
// Buckets: the portions in which a layer's gradients go to their owners.
#include <cstdint>
#include <vector>

#include "core/model/flat_windows.h"
#include "distributed/sum_tree.h"

namespace ingot {

// The parts of `pieces` that lie inside `shard`.
std::vector<WindowPiece> Within(const std::vector<WindowPiece>& pieces, Interval shard);
int64_t SizeOf(const std::vector<WindowPiece>& pieces);

// What one exchange moves: by rank the pieces that it owns.
using Bucket = std::vector<std::vector<WindowPiece>>;

// `pieces` cut along `shards` (by rank, of all elements) into buckets in which no rank owns more than `most` elements.
// Every element is in one bucket. Empty if there are no pieces.
std::vector<Bucket> BucketsOf(const std::vector<WindowPiece>& pieces, const std::vector<Interval>& shards,
                              int64_t most);

}  // namespace ingot
