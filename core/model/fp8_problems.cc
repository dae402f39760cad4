#include "core/model/fp8_problems.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace ingot {

std::vector<std::string> Fp8Problems(const ModelDims& dims, int64_t tokens, const Fp8Use& use) {
  constexpr int64_t kMultiple = 16;  // rows of 8-bit values begin at multiples of 16 bytes
  const auto product = [](int64_t a, int64_t b) {
    int64_t c = 0;
    return __builtin_mul_overflow(a, b, &c) ? 0 : c;
  };
  const std::pair<const char*, int64_t> sizes[] = {
      {"model.channels", dims.C},
      {"model.heads * model.head_width", product(dims.H, dims.D)},
      {"2 * model.kv_heads * model.head_width", product(product(2, dims.K), dims.D)},
      {"model.feed_forward", dims.F},
      {"training.micro_batch * data.sequence_length", tokens},
      {"model.vocabulary, with precision.fp8_head", use.head ? dims.V : 0}};
  std::vector<std::string> problems;
  for (const auto& [name, size] : sizes) {
    if (size % kMultiple == 0) continue;
    problems.push_back(
        absl::StrCat(name, ": expected a multiple of ", kMultiple, " with precision.compute fp8, found ", size));
  }
  return problems;
}

}  // namespace ingot
