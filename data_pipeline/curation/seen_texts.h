#pragma once
// SeenTexts: which texts have been seen, by 128-bit hashes of their bytes. With N different texts the chance of a false
// match is below N^2 / 2^129: under one in 10^14 at N = 10^12.
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ingot {

struct Hash128 {
  uint64_t low = 0, high = 0;
  bool operator==(const Hash128&) const = default;
};

// Two independent chains over 8-byte words. Texts of different `kind` never share a hash. Not against adversaries.
Hash128 HashText(absl::string_view text, uint64_t kind);

class SeenTexts {
 public:
  // The table takes 16 bytes a slot, at most three quarters of which are used, and doubles: while it does so, the old
  // and the new one together stay within `memory` bytes.
  explicit SeenTexts(int64_t memory);

  // True if `hash` is new. Once memory is used up, an error that says what to do.
  absl::StatusOr<bool> Insert(Hash128 hash);
  int64_t size() const { return size_; }

 private:
  absl::Status Grow();
  Hash128& Slot(Hash128 hash);

  int64_t memory_;
  int64_t size_ = 0;
  std::vector<Hash128> slots_;  // {0, 0}: free
};

}  // namespace ingot
