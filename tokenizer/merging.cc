#include "tokenizer/merging.h"

#include <algorithm>
#include <functional>
#include <queue>

#include "absl/container/flat_hash_map.h"

namespace ingot {
namespace {

// The long way. Tokens are a linked list over the piece's bytes. Places whose pair has rank r wait in bucket r; the
// lowest bucket is emptied from left to right. Places go stale when a neighbour merges: the rank is looked up again.
class BucketMerger {
 public:
  BucketMerger(const PairTable& pairs, MergeScratch& scratch) : pairs_(pairs), scratch_(scratch) {}

  void Run(const std::array<int32_t, 256>& byte_ids, absl::string_view piece, std::vector<int32_t>& ids) {
    Link(byte_ids, piece);
    while (!ranks_.empty()) {
      const int32_t rank = ranks_.top();
      ranks_.pop();
      std::vector<int64_t> places = std::move(buckets_[rank]);
      buckets_.erase(rank);
      if (!std::is_sorted(places.begin(), places.end())) std::sort(places.begin(), places.end());
      Empty(rank, places);
      places.clear();
      scratch_.free_places.push_back(std::move(places));
    }
    for (int64_t place = 0; place >= 0; place = scratch_.next[place]) ids.push_back(scratch_.ids[place]);
  }

 private:
  void Link(const std::array<int32_t, 256>& byte_ids, absl::string_view piece) {
    const auto size = static_cast<int64_t>(piece.size());
    scratch_.ids.resize(piece.size());
    scratch_.previous.resize(piece.size());
    scratch_.next.resize(piece.size());
    for (int64_t place = 0; place < size; ++place) {
      scratch_.ids[place] = byte_ids[static_cast<uint8_t>(piece[place])];
      scratch_.previous[place] = place - 1;
      scratch_.next[place] = place + 1 < size ? place + 1 : -1;
    }
    for (int64_t place = 0; place + 1 < size; ++place) Wait(place, MergeAt(place).rank);
  }

  // The merge of the token at `place` with the one after it.
  RankedMerge MergeAt(int64_t place) const {
    const int64_t next = scratch_.next[place];
    if (scratch_.ids[place] < 0 || next < 0) return {kNoRank, -1};
    return pairs_.Find(scratch_.ids[place], scratch_.ids[next]);
  }

  void Wait(int64_t place, int32_t rank) {
    if (rank == kNoRank) return;
    const auto [bucket, is_new] = buckets_.try_emplace(rank);
    if (is_new) {
      ranks_.push(rank);
      if (!scratch_.free_places.empty()) {
        bucket->second = std::move(scratch_.free_places.back());
        scratch_.free_places.pop_back();
      }
    }
    bucket->second.push_back(place);
  }

  void Empty(int32_t rank, const std::vector<int64_t>& places) {
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
  int32_t Join(int64_t place, int32_t result) {
    const int64_t gone = scratch_.next[place];
    const int64_t after = scratch_.next[gone];
    scratch_.ids[place] = result;
    scratch_.ids[gone] = -1;
    scratch_.next[place] = after;
    if (after >= 0) scratch_.previous[after] = place;
    const int32_t right = MergeAt(place).rank;
    Wait(place, right);
    const int64_t before = scratch_.previous[place];
    if (before < 0) return right;
    const int32_t left = MergeAt(before).rank;
    Wait(before, left);
    return std::min(left, right);
  }

  const PairTable& pairs_;
  MergeScratch& scratch_;
  absl::flat_hash_map<int32_t, std::vector<int64_t>> buckets_;
  std::priority_queue<int32_t, std::vector<int32_t>, std::greater<>> ranks_;
};

}  // namespace

void MergeByScan(const std::array<int32_t, 256>& byte_ids, const PairTable& pairs, absl::string_view piece,
                 MergeScratch& scratch, std::vector<int32_t>& ids) {
  size_t size = piece.size();
  if (size == 0) return;
  scratch.ids.resize(std::max(scratch.ids.size(), size));
  scratch.ranks.resize(std::max(scratch.ranks.size(), size));
  int32_t* const id = scratch.ids.data();
  int32_t* const rank = scratch.ranks.data();  // rank[i] of the pair (i, i + 1)
  for (size_t i = 0; i < size; ++i) id[i] = byte_ids[static_cast<uint8_t>(piece[i])];
  for (size_t i = 0; i + 1 < size; ++i) rank[i] = pairs.Find(id[i], id[i + 1]).rank;
  while (size > 1) {
    const size_t at = static_cast<size_t>(std::min_element(rank, rank + size - 1) - rank);
    if (rank[at] == kNoRank) break;
    id[at] = pairs.Find(id[at], id[at + 1]).result;
    std::copy(id + at + 2, id + size, id + at + 1);
    if (at + 2 < size) std::copy(rank + at + 2, rank + size - 1, rank + at + 1);
    --size;
    if (at + 1 < size) rank[at] = pairs.Find(id[at], id[at + 1]).rank;
    if (at > 0) rank[at - 1] = pairs.Find(id[at - 1], id[at]).rank;
  }
  ids.insert(ids.end(), id, id + size);
}

void MergeByBuckets(const std::array<int32_t, 256>& byte_ids, const PairTable& pairs, absl::string_view piece,
                    MergeScratch& scratch, std::vector<int32_t>& ids) {
  if (!piece.empty()) BucketMerger(pairs, scratch).Run(byte_ids, piece, ids);
}

void MergePiece(const std::array<int32_t, 256>& byte_ids, const PairTable& pairs, absl::string_view piece,
                MergeScratch& scratch, std::vector<int32_t>& ids) {
  (piece.size() <= kScanLimit ? MergeByScan : MergeByBuckets)(byte_ids, pairs, piece, scratch, ids);
}

}  // namespace ingot
