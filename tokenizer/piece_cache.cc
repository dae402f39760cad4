#include "tokenizer/piece_cache.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>

namespace ingot {
namespace {

// One huge page where the system gives it: pages are touched in no order, so that small ones cost a fault and a TLB
// entry each.
void* AllocateHugePage(size_t bytes) {
  void* const memory = std::aligned_alloc(bytes, bytes);
  if (memory == nullptr) throw std::bad_alloc();
  madvise(memory, bytes, MADV_HUGEPAGE);  // only advice: a failure changes nothing
  return memory;
}

}  // namespace

PieceCache::PieceCache() : sets_(static_cast<Set*>(AllocateHugePage(kBytes))) {
  std::memset(static_cast<void*>(sets_.get()), 0, kBytes);
}

PieceCache::PieceCache(const PieceCache& other) : sets_(static_cast<Set*>(AllocateHugePage(kBytes))) {
  std::memcpy(static_cast<void*>(sets_.get()), other.sets_.get(), kBytes);
}

void PieceCache::Put(Set& set, int way, const PieceKey& key, std::span<const int32_t> ids) {
  set.keys[way] = key;
  for (size_t i = 0; i < kMostIds; ++i) set.ids[way][i] = i < ids.size() ? ids[i] : -1;
}

// The newer entry is the likelier to come again: it moves to the second place, the older one goes.
void PieceCache::Insert(const PieceKey& key, std::span<const int32_t> ids) {
  Set& set = SetOf(key);
  set.keys[1] = set.keys[0];
  std::copy(set.ids[0], set.ids[0] + kMostIds, set.ids[1]);
  Put(set, 0, key, ids);
}

void PieceCache::InsertIfFree(const PieceKey& key, int32_t id) {
  Set& set = SetOf(key);
  for (const int way : {0, 1}) {
    if (set.keys[way].size() != 0) continue;
    return Put(set, way, key, {&id, 1});
  }
}

}  // namespace ingot
