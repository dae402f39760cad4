#include "core/model/initialize.h"

#include <algorithm>

#include "core/base/philox.h"
#include "core/base/threads.h"

namespace ingot {
namespace {

constexpr int64_t kBlock = 65536;  // elements that a thread draws at a time

// Elements [begin, end) of a parameter, to w[0] and on.
void DrawNormal(const Philox& philox, uint64_t stream, float std, float* w, int64_t begin, int64_t end) {
  const int64_t N = end - begin;
  ParallelFor((N + kBlock - 1) / kBlock, 0, [&](int64_t block) {
    for (int64_t n = block * kBlock; n < std::min(N, (block + 1) * kBlock); ++n) {
      w[n] = static_cast<float>(std * philox.Normal(stream, static_cast<uint64_t>(begin + n)));
    }
  });
}

}  // namespace

void InitializeParameters(const ParameterTable& table, uint64_t seed, const Tensor& parameters, int64_t begin) {
  const Philox philox = {seed};
  for (size_t i = 0; i < table.specs.size(); ++i) {
    const ParameterSpec& spec = table.specs[i];
    const int64_t first = std::max<int64_t>(begin - spec.offset, 0);
    const int64_t last = std::min(begin + Count(parameters) - spec.offset, Count(spec));
    if (first >= last) continue;
    float* const w = parameters.data<float>() + (spec.offset + first - begin);
    if (spec.init == ParameterInit::kNormal) {
      DrawNormal(philox, i, spec.init_std, w, first, last);
    } else {
      std::fill_n(w, last - first, spec.init == ParameterInit::kOnes ? 1.0f : 0.0f);
    }
  }
}

}  // namespace ingot
