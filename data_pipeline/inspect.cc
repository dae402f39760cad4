#include "data_pipeline/inspect.h"

#include <algorithm>
#include <bit>

namespace ingot {

void LengthHistogram::Add(int64_t tokens) {
  ++bins[static_cast<size_t>(std::bit_width(static_cast<uint64_t>(tokens)) - 1)];
  shortest = shortest == 0 ? tokens : std::min(shortest, tokens);
  longest = std::max(longest, tokens);
}

SplitReport InspectStream(const TokenStream& stream, int samples, int64_t sample_tokens) {
  SplitReport report;
  report.tokens = stream.tokens();
  report.shards = static_cast<int64_t>(stream.shards().size());
  for (const Shard& shard : stream.shards()) report.documents += shard.info().documents;
  int64_t begin = 0, document = 0;
  for (TokenStream::Ends ends(stream, 0); !ends.done(); ends.Next(), ++document) {
    const int64_t end = ends.value();
    if (end <= begin || end > report.tokens) break;  // damaged: `ingot data verify` says where
    report.lengths.Add(end - begin);
    // Sample s is document s * documents / samples.
    const auto taken = static_cast<int64_t>(report.samples.size());
    if (taken < samples && document == taken * report.documents / samples) {
      std::vector<int32_t>& ids = report.samples.emplace_back(std::min(end - begin, sample_tokens));
      stream.Copy(begin, static_cast<int64_t>(ids.size()), ids.data());
    }
    begin = end;
  }
  return report;
}

}  // namespace ingot
