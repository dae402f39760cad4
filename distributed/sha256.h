#pragma once
// SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104): what authenticates the ranks of a run to each other, and the
// digests by which they compare what they were started with.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace ingot {

class Sha256 {
 public:
  using Digest = std::array<uint8_t, 32>;

  void Update(const void* bytes, size_t size);
  void Update(absl::string_view text) { Update(text.data(), text.size()); }
  Digest Finish();  // once

 private:
  void Block(const uint8_t* block);
  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, 64> buffer_{};
  uint64_t bytes_ = 0;
};

// The digest as 32 raw bytes.
std::string Sha256Of(absl::string_view text);
std::string HmacSha256(absl::string_view key, absl::string_view text);

// Whether two strings are equal, in a time that depends on their lengths only.
bool EqualInConstantTime(absl::string_view a, absl::string_view b);

}  // namespace ingot
