#include "distributed/control.h"

#include <sys/random.h>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "distributed/sha256.h"

namespace ingot {

const char* Name(Phase phase) {
  static constexpr const char* kNames[] = {"start",     "data",     "compute", "reduce",
                                           "optimizer", "validate", "save",    "end"};
  const auto index = static_cast<size_t>(phase);
  return index < std::size(kNames) ? kNames[index] : "?";
}

std::string ClientProof(const std::string& secret, const std::string& server_nonce, const std::string& payload) {
  return HmacSha256(secret, "c" + server_nonce + payload);
}

std::string ServerProof(const std::string& secret, const std::string& server_nonce, const std::string& client_nonce) {
  return HmacSha256(secret, "s" + client_nonce + server_nonce);
}

std::string ConnectionKey(const std::string& secret, const std::string& server_nonce, const std::string& client_nonce) {
  return HmacSha256(secret, "k" + server_nonce + client_nonce);
}

std::string RandomBytes(size_t size) {
  std::string bytes(size, '\0');
  INGOT_CHECK(getrandom(bytes.data(), size, 0) == static_cast<ssize_t>(size), "no random bytes from the system");
  return bytes;
}

std::string RankList(const std::vector<int64_t>& ranks) {
  constexpr size_t kShown = 8;
  std::string list;
  for (size_t i = 0; i < ranks.size() && i < kShown; ++i) absl::StrAppend(&list, i == 0 ? "" : ", ", ranks[i]);
  if (ranks.size() > kShown) absl::StrAppend(&list, " and ", ranks.size() - kShown, " more");
  return list;
}

}  // namespace ingot
