#include "distributed/staging.h"

#include <algorithm>

#include "core/base/status_macros.h"

namespace ingot {
namespace {

constexpr int64_t kStagedBytes = int64_t{64} << 20;  // on the way at once from one rank to all others
constexpr int64_t kLeastChunk = int64_t{64} << 10;
constexpr int64_t kAlignment = 256;

std::vector<StagedPart> PartsOf(absl::Span<const Transfer> transfers, int64_t begin, int64_t chunk, int64_t& place) {
  std::vector<StagedPart> parts;
  for (const Transfer& transfer : transfers) {
    const int64_t bytes = std::min(chunk, transfer.bytes - begin);
    if (bytes <= 0) continue;
    parts.push_back({transfer.peer, static_cast<char*>(transfer.data) + begin, place, bytes});
    place += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }
  return parts;
}

}  // namespace

absl::Status ExchangeStaged(absl::Span<const Transfer> sends, absl::Span<const Transfer> receives, int64_t chunk,
                            const std::function<absl::Status(const StagedRound&)>& run) {
  int64_t longest = 0;
  for (const absl::Span<const Transfer> transfers : {sends, receives}) {
    for (const Transfer& transfer : transfers) longest = std::max(longest, transfer.bytes);
  }
  for (int64_t begin = 0; begin < longest; begin += chunk) {
    StagedRound round;
    round.sends = PartsOf(sends, begin, chunk, round.bytes);
    round.receives = PartsOf(receives, begin, chunk, round.bytes);
    INGOT_RETURN_IF_ERROR(run(round));
  }
  return absl::OkStatus();
}

int64_t StagedChunk(int64_t ranks) { return std::max(kLeastChunk, kStagedBytes / ranks); }

}  // namespace ingot
