#include "core/training/flat_parts.h"

#include <algorithm>

namespace ingot {

void* FlatParts::At(Interval range) const {
  for (const FlatPart& part : parts_) {
    if (part.range.begin <= range.begin && range.end <= part.range.end) return part.At(range.begin);
  }
  INGOT_CHECK(false, "elements %lld to %lld of a flat buffer are not here", static_cast<long long>(range.begin),
              static_cast<long long>(range.end));
}

Interval Intersection(Interval a, Interval b) {
  const int64_t begin = std::max(a.begin, b.begin);
  return {begin, std::max(begin, std::min(a.end, b.end))};
}

std::vector<Interval> Joined(std::vector<Interval> intervals) {
  std::sort(intervals.begin(), intervals.end(), [](Interval a, Interval b) { return a.begin < b.begin; });
  std::vector<Interval> joined;
  for (const Interval interval : intervals) {
    if (interval.size() == 0) continue;
    if (joined.empty() || joined.back().end < interval.begin) {
      joined.push_back(interval);
    } else {
      joined.back().end = std::max(joined.back().end, interval.end);
    }
  }
  return joined;
}

}  // namespace ingot
