#include "data_pipeline/fim.h"

#include <algorithm>

#include "core/base/philox.h"
#include "data_pipeline/hash.h"

namespace ingot {
namespace {

constexpr int64_t kMarks = 3;
constexpr uint64_t kFimKey = 0x66696D66696D6669u;

// Writes `part` rearranged to `out`, part.size() + 3 tokens; `draws` gives numbers by index, of which 1 to 3 are used.
void Rearrange(const FimPlan& plan, const Philox& draws, uint64_t stream, std::span<const int32_t> part, int32_t* out) {
  size_t a = draws.Below(part.size() + 1, stream, 1), b = draws.Below(part.size() + 1, stream, 2);
  if (a > b) std::swap(a, b);
  const auto prefix = part.first(a), middle = part.subspan(a, b - a), suffix = part.subspan(b);
  const auto put = [&](std::span<const int32_t> ids) { out = std::copy(ids.begin(), ids.end(), out); };
  *out++ = plan.prefix;
  const bool spm = draws.Uniform(stream, 3) < plan.spm_rate;
  if (!spm) put(prefix);
  *out++ = plan.suffix;
  put(suffix);
  *out++ = plan.middle;
  if (spm) put(prefix);
  put(middle);
}

}  // namespace

void FillInTheMiddle(const FimPlan& plan, uint64_t seed, int64_t epoch, std::span<const int32_t> in,
                     const std::vector<Segment>& segments, std::span<int32_t> out, std::vector<Segment>& out_segments) {
  const Philox draws{CombineHash(CombineHash(seed, kFimKey), static_cast<uint64_t>(epoch))};
  const auto T = static_cast<int64_t>(out.size());
  out_segments.clear();
  int64_t at = 0;
  for (const Segment& segment : segments) {
    const int64_t room = T - at, length = segment.end - segment.begin;
    if (room == 0) break;
    const auto stream = static_cast<uint64_t>(segment.origin);
    const bool chosen = room > kMarks + 1 && length > 1 && draws.Uniform(stream, 0) < plan.rate;
    const int64_t taken = std::min(length, chosen ? room - kMarks : room);
    Segment made = {at, at + taken, segment.origin, segment.next, segment.ends_document && taken == length};
    const auto part = in.subspan(static_cast<size_t>(segment.begin), static_cast<size_t>(taken));
    if (chosen) {
      made.end += kMarks;
      const auto body = part.first(part.size() - (made.ends_document ? 1 : 0));
      Rearrange(plan, draws, stream, body, out.data() + at);
      if (made.ends_document) out[static_cast<size_t>(made.end - 1)] = part.back();
      if (!made.ends_document) made.next = -1;  // what follows the middle here is not what follows it in the text
    } else {
      std::copy(part.begin(), part.end(), out.begin() + at);
      if (taken < length) made.next = in[static_cast<size_t>(segment.begin + taken)];
    }
    out_segments.push_back(made);
    at = made.end;
  }
}

}  // namespace ingot
