#pragma once
// Byte-pair merging of one piece, exact: as long as some adjacent pair merges, the pair of lowest rank does, leftmost
// first. Two ways with one result: a scan for short pieces, buckets by rank for long ones (n log n at worst).
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/strings/string_view.h"
#include "tokenizer/encoding_tables.h"

namespace ingot {

// Memory that merging uses again and again: nothing is allocated for a piece once the scratch has grown.
struct MergeScratch {
  std::vector<int32_t> ids, ranks;
  std::vector<int64_t> previous, next;
  std::vector<std::vector<int64_t>> free_places;
};

// Pieces of up to this many bytes are merged by scanning, which is quadratic but faster below.
inline constexpr size_t kScanLimit = 128;

// Appends the ids of `piece`.
void MergePiece(const std::array<int32_t, 256>& byte_ids, const PairTable& pairs, absl::string_view piece,
                MergeScratch& scratch, std::vector<int32_t>& ids);

// The two ways, apart for tests.
void MergeByScan(const std::array<int32_t, 256>& byte_ids, const PairTable& pairs, absl::string_view piece,
                 MergeScratch& scratch, std::vector<int32_t>& ids);
void MergeByBuckets(const std::array<int32_t, 256>& byte_ids, const PairTable& pairs, absl::string_view piece,
                    MergeScratch& scratch, std::vector<int32_t>& ids);

}  // namespace ingot
