#include "core/model/dims.h"

#include "absl/strings/str_cat.h"

namespace ingot {
namespace {

constexpr int64_t kLargestSize = int64_t{1} << 31;  // ids and positions are 32-bit
constexpr double kMostParameters = 1e12;            // far beyond one machine, far below overflow of 64-bit counts

// Weights of the matrix products of one block.
double BlockWeights(const ModelDims& d) {
  const double C = double(d.C), F = double(d.F);  // in double: a size may be anything here
  const double HD = double(d.H) * double(d.D), KD = double(d.K) * double(d.D);
  if (d.architecture == Architecture::kGpt2) return 4 * C * C + 2 * C * F;
  return 2 * C * HD + 2 * C * KD + 3 * C * F;
}

void Add(std::vector<std::string>& problems, const char* field, const std::string& expected, const std::string& found) {
  problems.push_back(absl::StrCat("model.", field, ": expected ", expected, ", found ", found));
}

void CheckSizes(const ModelDims& d, std::vector<std::string>& problems) {
  const struct {
    const char* field;
    int64_t value;
  } sizes[] = {{"layers", d.L},     {"channels", d.C},     {"heads", d.H},      {"kv_heads", d.K},
               {"head_width", d.D}, {"feed_forward", d.F}, {"vocabulary", d.V}, {"context", d.T}};
  for (const auto& [field, value] : sizes) {
    if (value < 1 || value >= kLargestSize) {
      Add(problems, field, "a number from 1 to 2147483647", absl::StrCat(value));
    }
  }
}

void CheckNumbers(const ModelDims& d, std::vector<std::string>& problems) {
  if (!(d.norm_eps > 0 && d.norm_eps < 1)) {
    Add(problems, "norm_eps", "a number above 0 and below 1", absl::StrCat(d.norm_eps));
  }
  if (!(d.rope_theta >= 1 && d.rope_theta <= 1e12f)) {
    Add(problems, "rope_theta", "a number from 1 to 1e12", absl::StrCat(d.rope_theta));
  }
  const double parameters = BlockWeights(d) * double(d.L) + 2 * double(d.V) * double(d.C);
  if (parameters > kMostParameters) {
    Add(problems, "layers", "at most 1e12 parameters in all", absl::StrCat(parameters));
  }
}

void CheckHeads(const ModelDims& d, std::vector<std::string>& problems) {
  if (d.H % d.K != 0) {
    Add(problems, "kv_heads", absl::StrCat("a divisor of heads = ", d.H), absl::StrCat(d.K));
  }
  if (d.D % 2 != 0) Add(problems, "head_width", "an even number", absl::StrCat(d.D));
}

// What LlamaForCausalLM, Qwen2ForCausalLM and Qwen3ForCausalLM can express.
void CheckLlama(const ModelDims& d, std::vector<std::string>& problems) {
  if (d.qkv_bias && d.qk_norm) {
    Add(problems, "qk_norm", "false, as model.qkv_bias is true: no Hugging Face class has both", "true");
  } else if (d.qkv_bias && d.H * d.D != d.C) {
    Add(problems, "head_width", absl::StrCat("heads * head_width = channels = ", d.C, " with qkv_bias (Qwen2)"),
        absl::StrCat(d.H, " * ", d.D));
  } else if (!d.qk_norm && d.C % d.H != 0) {
    Add(problems, "heads", absl::StrCat("a divisor of channels = ", d.C), absl::StrCat(d.H));
  }
}

// What GPT2LMHeadModel can express.
void CheckGpt2(const ModelDims& d, std::vector<std::string>& problems) {
  if (d.qkv_bias) Add(problems, "qkv_bias", "false: gpt2 has its biases always", "true");
  if (d.qk_norm) Add(problems, "qk_norm", "false with gpt2", "true");
  if (d.K != d.H) Add(problems, "kv_heads", absl::StrCat("heads = ", d.H, " with gpt2"), absl::StrCat(d.K));
  if (d.H * d.D != d.C) {
    Add(problems, "head_width", absl::StrCat("heads * head_width = channels = ", d.C, " with gpt2"),
        absl::StrCat(d.H, " * ", d.D));
  }
}

}  // namespace

std::vector<std::string> Problems(const ModelDims& dims) {
  std::vector<std::string> problems;
  CheckSizes(dims, problems);
  const bool sizes_are_right = problems.empty();
  CheckNumbers(dims, problems);
  if (!sizes_are_right) return problems;  // the rules below divide and multiply sizes
  CheckHeads(dims, problems);
  if (dims.architecture == Architecture::kLlama) CheckLlama(dims, problems);
  if (dims.architecture == Architecture::kGpt2) CheckGpt2(dims, problems);
  return problems;
}

double TrainingFlopsPerToken(const ModelDims& dims, int64_t T) {
  const double weights = BlockWeights(dims) * double(dims.L) + double(dims.V) * double(dims.C);
  return 6 * weights + 6 * double(dims.L) * double(dims.H) * double(dims.D) * double(T + 1);
}

}  // namespace ingot
