#include "data_pipeline/curation/seen_texts.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "data_pipeline/hash.h"

namespace ingot {

constexpr size_t kFirstSlots = size_t{1} << 12;

Hash128 HashText(absl::string_view text, uint64_t kind) {
  uint64_t low = CombineHash(kind, text.size());
  uint64_t high = Mix64(~low);
  const auto add = [&](uint64_t word) {
    low = CombineHash(low, word);
    high = Mix64((high ^ word) * 0xD6E8FEB86659FD93u + 0xA0761D6478BD642Fu);  // odd: one to one in `word`
  };
  size_t at = 0;
  for (uint64_t word; at + sizeof word <= text.size(); at += sizeof word) {
    std::memcpy(&word, text.data() + at, sizeof word);
    add(word);
  }
  if (at < text.size()) {
    uint64_t word = 0;
    std::memcpy(&word, text.data() + at, text.size() - at);
    add(word);
  }
  if (low == 0 && high == 0) high = 1;  // {0, 0} marks a free slot
  return {low, high};
}

SeenTexts::SeenTexts(int64_t memory) : memory_(memory), slots_(kFirstSlots) {}

Hash128& SeenTexts::Slot(Hash128 hash) {
  const size_t mask = slots_.size() - 1;
  size_t at = hash.low & mask;
  while (slots_[at] != Hash128{} && slots_[at] != hash) at = (at + 1) & mask;
  return slots_[at];
}

absl::Status SeenTexts::Grow() {
  const size_t wanted = 2 * slots_.size();
  if (static_cast<int64_t>((wanted + slots_.size()) * sizeof(Hash128)) > memory_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("deduplication has seen ", size_, " different texts, which is what its ", memory_,
                     " bytes of memory hold; give more with --deduplicate-memory, or build parts of the input"));
  }
  std::vector<Hash128> old(wanted);
  old.swap(slots_);
  for (const Hash128& hash : old) {
    if (hash != Hash128{}) Slot(hash) = hash;
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> SeenTexts::Insert(Hash128 hash) {
  Hash128* slot = &Slot(hash);
  if (*slot == hash) return false;
  if (4 * (static_cast<size_t>(size_) + 1) > 3 * slots_.size()) {
    INGOT_RETURN_IF_ERROR(Grow());
    slot = &Slot(hash);
  }
  *slot = hash;
  ++size_;
  return true;
}

}  // namespace ingot
