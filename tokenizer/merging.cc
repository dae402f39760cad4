#include "tokenizer/merging.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>

namespace ingot {
namespace {

constexpr int32_t kNoKey = std::numeric_limits<int32_t>::max();

using Lanes = int32_t __attribute__((vector_size(32)));
constexpr size_t kLanes = sizeof(Lanes) / sizeof(int32_t);

inline Lanes Lower(Lanes a, Lanes b) { return a < b ? a : b; }

// The least of `count` keys, a multiple of kLanes.
inline int32_t LeastKey(const int32_t* keys, size_t count) {
  Lanes least;
  std::memcpy(&least, keys, sizeof(least));
  for (size_t i = kLanes; i < count; i += kLanes) {
    Lanes more;
    std::memcpy(&more, keys + i, sizeof(more));
    least = Lower(least, more);
  }
  least = Lower(least, __builtin_shufflevector(least, least, 4, 5, 6, 7, 0, 1, 2, 3));
  least = Lower(least, __builtin_shufflevector(least, least, 2, 3, 0, 1, 6, 7, 4, 5));
  least = Lower(least, __builtin_shufflevector(least, least, 1, 0, 3, 2, 5, 4, 7, 6));
  return least[0];
}

// The short way. Tokens are a linked list over the piece's bytes, so that nothing is moved; a place without a pair that
// merges has kNoKey.
class ScanMerger {
 public:
  ScanMerger(const PairTable& pairs, ScanScratch& scratch) : pairs_(pairs), scratch_(scratch) {}

  // Merges scratch.ids[0, size), 1 to kScanLimit tokens.
  void Run(size_t size, std::vector<int32_t>& ids) {
    const size_t padded = (size + kLanes - 1) / kLanes * kLanes;
    Link(size, padded);
    size_t count = size;
    for (int32_t key; (key = LeastKey(scratch_.keys.data(), padded)) != kNoKey; --count) {
      Join(static_cast<size_t>(key) % kScanLimit, size);
    }
    const size_t first = ids.size();
    ids.resize(first + count);
    int32_t* out = ids.data() + first;
    for (size_t place = 0; place < size; place = scratch_.next[place]) *out++ = scratch_.ids[place];
  }

 private:
  void Link(size_t size, size_t padded) {
    for (size_t place = 0; place < size; ++place) {
      scratch_.next[place] = static_cast<uint8_t>(place + 1);
      scratch_.previous[place + 1] = static_cast<uint8_t>(place);
    }
    for (size_t place = 0; place + 1 < size; ++place) SetKey(place, place + 1);
    std::fill(scratch_.keys.begin() + static_cast<std::ptrdiff_t>(size) - 1,
              scratch_.keys.begin() + static_cast<std::ptrdiff_t>(padded), kNoKey);
  }

  void SetKey(size_t place, size_t next) {
    const RankedMerge merge = pairs_.Find(scratch_.ids[place], scratch_.ids[next]);
    scratch_.results[place] = merge.result;
    scratch_.keys[place] =
        merge.rank == kNoRank ? kNoKey : merge.rank * static_cast<int32_t>(kScanLimit) + static_cast<int32_t>(place);
  }

  void Join(size_t place, size_t size) {
    const size_t gone = scratch_.next[place];
    const size_t after = scratch_.next[gone];
    scratch_.ids[place] = scratch_.results[place];
    scratch_.next[place] = static_cast<uint8_t>(after);
    scratch_.previous[after] = static_cast<uint8_t>(place);
    scratch_.keys[gone] = kNoKey;
    if (after < size) {
      SetKey(place, after);
    } else {
      scratch_.keys[place] = kNoKey;
    }
    if (place > 0) SetKey(scratch_.previous[place], place);
  }

  const PairTable& pairs_;
  ScanScratch& scratch_;
};

// The long way. Tokens are a linked list over the piece's bytes. Places whose pair has rank r wait in bucket r; the
// lowest bucket is emptied from left to right. Places go stale when a neighbour merges: the rank is looked up again.
template <typename Place>
class BucketMerger {
 public:
  BucketMerger(const PairTable& pairs, std::vector<int32_t>& ids, BucketScratch<Place>& scratch)
      : pairs_(pairs), ids_(ids), scratch_(scratch) {}

  void Run(const std::array<int32_t, 256>& byte_ids, absl::string_view piece, std::vector<int32_t>& ids) {
    Link(byte_ids, piece);
    while (!scratch_.ranks.empty()) {
      const int32_t rank = scratch_.ranks.front();
      TakeLowest();
      std::vector<Place>& places = scratch_.current;
      if (!std::is_sorted(places.begin(), places.end())) std::sort(places.begin(), places.end());
      Empty(rank, places);
      places.clear();
    }
    for (Place place = 0; place >= 0; place = scratch_.next[place]) ids.push_back(ids_[place]);
  }

 private:
  using Memo = typename BucketScratch<Place>::Memo;

  void Link(const std::array<int32_t, 256>& byte_ids, absl::string_view piece) {
    const auto size = static_cast<Place>(piece.size());
    ids_.resize(piece.size());
    scratch_.previous.resize(piece.size());
    scratch_.next.resize(piece.size());
    for (Place place = 0; place < size; ++place) {
      ids_[place] = byte_ids[static_cast<uint8_t>(piece[place])];
      scratch_.previous[place] = place - 1;
      scratch_.next[place] = place + 1 < size ? place + 1 : -1;
    }
    for (Place place = 0; place + 1 < size; ++place) Wait(place, pairs_.Find(ids_[place], ids_[place + 1]).rank);
  }

  // Moves the places of the lowest rank into scratch_.current.
  void TakeLowest() {
    const int32_t rank = scratch_.ranks.front();
    std::pop_heap(scratch_.ranks.begin(), scratch_.ranks.end(), std::greater<>());
    scratch_.ranks.pop_back();
    const auto found = scratch_.bucket_of.find(rank);
    scratch_.current.swap(scratch_.buckets[found->second]);
    scratch_.free_buckets.push_back(found->second);
    scratch_.bucket_of.erase(found);
    Memo& memo = scratch_.memos[rank % scratch_.memos.size()];
    if (memo.rank == rank) memo.rank = -1;
  }

  // The merge of the token at `place` with the one after it.
  RankedMerge MergeAt(Place place) const {
    const Place next = scratch_.next[place];
    if (ids_[place] < 0 || next < 0) return {kNoRank, -1};
    return pairs_.Find(ids_[place], ids_[next]);
  }

  void Wait(Place place, int32_t rank) {
    if (rank == kNoRank) return;
    Memo& memo = scratch_.memos[rank % scratch_.memos.size()];
    if (memo.rank != rank) memo = {rank, BucketOf(rank)};
    scratch_.buckets[memo.bucket].push_back(place);
  }

  uint32_t BucketOf(int32_t rank) {
    const auto [entry, is_new] = scratch_.bucket_of.try_emplace(rank);
    if (is_new) {
      if (scratch_.free_buckets.empty()) {
        scratch_.free_buckets.push_back(static_cast<uint32_t>(scratch_.buckets.size()));
        scratch_.buckets.emplace_back();
      }
      entry->second = scratch_.free_buckets.back();
      scratch_.free_buckets.pop_back();
      scratch_.ranks.push_back(rank);
      std::push_heap(scratch_.ranks.begin(), scratch_.ranks.end(), std::greater<>());
    }
    return entry->second;
  }

  void Empty(int32_t rank, const std::vector<Place>& places) {
    for (size_t i = 0; i < places.size(); ++i) {
      const RankedMerge merge = MergeAt(places[i]);
      if (merge.rank != rank) continue;
      const int32_t lowest_new = Join(places[i], merge.result);
      if (lowest_new < rank) {
        // Only vocabularies that use a token before one of the merges that make it come here.
        for (++i; i < places.size(); ++i) Wait(places[i], rank);
      }
    }
  }

  // Puts `result` in place of two tokens; the lower rank of the two pairs that this makes.
  int32_t Join(Place place, int32_t result) {
    const Place gone = scratch_.next[place];
    const Place after = scratch_.next[gone];
    ids_[place] = result;
    ids_[gone] = -1;
    scratch_.next[place] = after;
    if (after >= 0) scratch_.previous[after] = place;
    const int32_t right = MergeAt(place).rank;
    Wait(place, right);
    const Place before = scratch_.previous[place];
    if (before < 0) return right;
    const int32_t left = MergeAt(before).rank;
    Wait(before, left);
    return std::min(left, right);
  }

  const PairTable& pairs_;
  std::vector<int32_t>& ids_;
  BucketScratch<Place>& scratch_;
};

}  // namespace

void MergeByScan(const std::array<int32_t, 256>& byte_ids, const PairTable& pairs, absl::string_view piece,
                 MergeScratch& scratch, std::vector<int32_t>& ids) {
  for (size_t i = 0; i < piece.size(); ++i) scratch.scan.ids[i] = byte_ids[static_cast<uint8_t>(piece[i])];
  ScanMerger(pairs, scratch.scan).Run(piece.size(), ids);
}

void MergeByNarrowBuckets(const std::array<int32_t, 256>& byte_ids, const PairTable& pairs, absl::string_view piece,
                          MergeScratch& scratch, std::vector<int32_t>& ids) {
  BucketMerger(pairs, scratch.ids, scratch.narrow).Run(byte_ids, piece, ids);
}

void MergeByWideBuckets(const std::array<int32_t, 256>& byte_ids, const PairTable& pairs, absl::string_view piece,
                        MergeScratch& scratch, std::vector<int32_t>& ids) {
  BucketMerger(pairs, scratch.ids, scratch.wide).Run(byte_ids, piece, ids);
}

void MergePiece(const std::array<int32_t, 256>& byte_ids, const PairTable& pairs, absl::string_view piece,
                MergeScratch& scratch, std::vector<int32_t>& ids) {
  if (piece.empty()) return;
  if (pairs.merges() <= kScanRanks && piece.size() <= kScanLimit) {
    MergeByScan(byte_ids, pairs, piece, scratch, ids);
  } else if (piece.size() < static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    MergeByNarrowBuckets(byte_ids, pairs, piece, scratch, ids);
  } else {
    MergeByWideBuckets(byte_ids, pairs, piece, scratch, ids);
  }
}

}  // namespace ingot
