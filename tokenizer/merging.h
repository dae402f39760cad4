#pragma once
// Byte-pair merging of one piece, exact: as long as some adjacent pair merges, the pair of lowest rank does, leftmost
// first. Two ways with one result: a scan for short pieces, buckets by rank for long ones (n log n at worst). Encoders
// use it where a vocabulary does not allow tokenizer/backtracking.h, which is held against it.
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "tokenizer/pair_table.h"

namespace ingot {

// Up to this many bytes are merged by scanning, which is quadratic but faster below.
inline constexpr size_t kScanLimit = 128;

struct ScanScratch {
  // rank * kScanLimit + place of the pair that begins at a place: the least key is the leftmost pair of lowest rank.
  alignas(32) std::array<int32_t, kScanLimit> keys;
  std::array<int32_t, kScanLimit> ids, results;
  std::array<uint8_t, kScanLimit + 1> previous, next;
};

template <typename Place>
struct BucketScratch {
  struct Memo {
    int32_t rank = -1;
    uint32_t bucket = 0;
  };
  std::vector<Place> previous, next, current;
  std::vector<std::vector<Place>> buckets;
  std::vector<uint32_t> free_buckets;
  absl::flat_hash_map<int32_t, uint32_t> bucket_of;  // by rank
  std::vector<int32_t> ranks;                        // heap of the ranks that have a bucket, lowest first
  std::array<Memo, 64> memos;                        // recent entries of bucket_of
};

// Memory that merging uses again and again: nothing is allocated for a piece once the scratch has grown.
struct MergeScratch {
  ScanScratch scan;
  std::vector<int32_t> ids;
  BucketScratch<int32_t> narrow;  // pieces below 2 GiB
  BucketScratch<int64_t> wide;
};

// Appends the ids of `piece`.
void MergePiece(const std::array<int32_t, 256>& byte_ids, const PairTable& pairs, absl::string_view piece,
                MergeScratch& scratch, std::vector<int32_t>& ids);

// The ways, apart for tests. Scanning is for pieces of 1 to kScanLimit bytes and vocabularies of up to kScanRanks
// merges; buckets of 32-bit places are for pieces below 2 GiB.
inline constexpr size_t kScanRanks = (size_t{1} << 31) / kScanLimit - 1;
void MergeByScan(const std::array<int32_t, 256>& byte_ids, const PairTable& pairs, absl::string_view piece,
                 MergeScratch& scratch, std::vector<int32_t>& ids);
void MergeByNarrowBuckets(const std::array<int32_t, 256>& byte_ids, const PairTable& pairs, absl::string_view piece,
                          MergeScratch& scratch, std::vector<int32_t>& ids);
void MergeByWideBuckets(const std::array<int32_t, 256>& byte_ids, const PairTable& pairs, absl::string_view piece,
                        MergeScratch& scratch, std::vector<int32_t>& ids);

}  // namespace ingot
