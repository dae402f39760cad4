#pragma once
// PieceCache: short piece → its few ids, for the pieces that came last. Two entries a set, a set a cache line. Which
// pieces it holds changes speed, never ids.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>

#include "tokenizer/piece_key.h"

namespace ingot {

class PieceCache {
 public:
  static constexpr size_t kMostIds = 4;

  PieceCache();
  PieceCache(const PieceCache& other);
  PieceCache& operator=(const PieceCache&) = delete;

  void Prefetch(const PieceKey& key) const { __builtin_prefetch(&SetOf(key)); }

  // The ids of a piece, kMostIds of them with -1 behind the last; nullptr if it is not here. `key` may be that of no
  // piece, which is never here.
  const int32_t* Find(const PieceKey& key) const {
    const Set& set = SetOf(key);
    const int way = set.keys[1] == key ? 1 : 0;
    return set.keys[way] == key && key.size() != 0 ? set.ids[way] : nullptr;
  }

  // Takes the place of the older of two others. 1 … kMostIds ids.
  void Insert(const PieceKey& key, std::span<const int32_t> ids);
  // Takes a place only if one is free.
  void InsertIfFree(const PieceKey& key, int32_t id);

 private:
  static constexpr int kSetBits = 16;  // 4 MiB
  static constexpr size_t kBytes = size_t{64} << kSetBits;

  struct alignas(64) Set {
    PieceKey keys[2];  // the newer one first
    int32_t ids[2][kMostIds];
  };
  static_assert(sizeof(Set) == 64);
  struct Free {
    void operator()(Set* sets) const { std::free(sets); }
  };

  const Set& SetOf(const PieceKey& key) const { return sets_[key.Hash() >> (64 - kSetBits)]; }
  Set& SetOf(const PieceKey& key) { return sets_[key.Hash() >> (64 - kSetBits)]; }
  static void Put(Set& set, int way, const PieceKey& key, std::span<const int32_t> ids);

  std::unique_ptr<Set[], Free> sets_;
};

}  // namespace ingot
