// ingot generate: continues a prompt, token by token, with a key/value cache.
#include "core/model/generate.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/arena.h"
#include "core/base/status_macros.h"
#include "core/training/hf_model.h"
#include "kernels/cast.h"
#include "kernels/cpu/blas.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"
#include "tools/ingot/command.h"
#include "tools/ingot/device.h"

namespace ingot {
namespace {

struct GenerateFlags {
  std::string checkpoint, prompt;
  int64_t max_tokens = 200;
  SamplingOptions sampling;
  std::string device, precision;
  bool json = false;
};

// Bytes in, whole characters out: a character whose last bytes are still to come waits; a byte that belongs to none
// comes out as U+FFFD.
class CharacterStream {
 public:
  std::string Add(const std::string& bytes) {
    pending_ += bytes;
    return Take(false);
  }
  std::string Finish() { return Take(true); }

 private:
  // Whether more bytes could make a character of the `left` bytes at `p`.
  static bool MayGrow(const uint8_t* p, int64_t left) {
    const int64_t size = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : p[0] >= 0xC2 ? 2 : 1;
    return p[0] < 0xF5 && left < size && std::all_of(p + 1, p + left, IsContinuation);
  }

  std::string Take(bool all) {
    std::string text;
    const auto* const begin = reinterpret_cast<const uint8_t*>(pending_.data());
    const auto *p = begin, *const end = begin + pending_.size();
    while (p < end) {
      const Utf8Char character = ReadUtf8(p, end);
      const bool broken = character.code_point == kInvalidCodePoint;
      if (broken && !all && MayGrow(p, end - p)) break;
      text += broken ? "\xEF\xBF\xBD" : std::string(p, p + character.size);
      p += character.size;
    }
    pending_.erase(0, static_cast<size_t>(p - begin));
    return text;
  }

  std::string pending_;
};

struct Opened {
  ModelDims dims;
  Tokenizer tokenizer;
  int64_t end_of_text;
  std::shared_ptr<const Backend> backend;
  Arena weights;
  Tensor parameters;  // in memory of the backend
};

// The checkpoint's weights in memory of `backend` as `dtype`; `arena` holds them.
absl::StatusOr<Tensor> LoadParameters(const std::string& directory, const ParameterTable& table,
                                      const std::shared_ptr<const Backend>& backend, DType dtype, Arena& arena) {
  const Tensor masters = arena.Take("parameters", DType::kF32, {table.flat_size});
  INGOT_ASSIGN_OR_RETURN(const HostCopy host, HostCopy::Create(backend, masters));
  INGOT_RETURN_IF_ERROR(ReadHfWeights(directory, table, host.tensor()));
  INGOT_RETURN_IF_ERROR(host.Upload());
  if (dtype == DType::kF32) return masters;
  const Tensor rounded = arena.Take("rounded parameters", dtype, {table.flat_size});
  Context ctx = backend->MakeContext();
  ctx.Run(Cast{.x = masters, .y = rounded});
  return rounded;
}

absl::StatusOr<Opened> Open(const GenerateFlags& flags) {
  const std::string& directory = flags.checkpoint;
  std::string problem;
  if (!BlasIsRight(&problem)) return absl::FailedPreconditionError(problem);
  INGOT_ASSIGN_OR_RETURN(const ModelDims dims, ReadHfConfig(directory));
  INGOT_ASSIGN_OR_RETURN(Tokenizer tokenizer, Tokenizer::Load(directory));
  if (tokenizer.size() > dims.V) {
    return absl::InvalidArgumentError(
        absl::StrCat(directory, ": the tokenizer has ", tokenizer.size(), " ids, the model only ", dims.V));
  }
  INGOT_ASSIGN_OR_RETURN(const SpecialIds ids, ReadHfSpecialIds(directory));
  const Device device = DeviceOf(flags.device);
  const DType dtype = PrecisionOf(flags.precision, device);
  if (device == Device::kCpu && dtype != DType::kF32) {
    return absl::InvalidArgumentError("--precision: expected fp32 (all the CPU computes in), found bf16");
  }
  INGOT_ASSIGN_OR_RETURN(std::shared_ptr<const Backend> backend, Backend::Create(device));
  const ParameterTable table = MakeParameterTable(dims);
  const int64_t rounded = dtype == DType::kF32 ? 0 : table.flat_size * SizeOf(dtype);
  INGOT_ASSIGN_OR_RETURN(
      Arena weights, backend->CreateArena("weights", Arena::Aligned(table.flat_size * SizeOf(DType::kF32)) + rounded));
  INGOT_ASSIGN_OR_RETURN(const Tensor parameters, LoadParameters(directory, table, backend, dtype, weights));
  const int64_t end_of_text = ids.end_of_text >= 0 ? ids.end_of_text : tokenizer.end_of_text();
  return Opened{dims, std::move(tokenizer), end_of_text, std::move(backend), std::move(weights), parameters};
}

absl::StatusOr<std::vector<int32_t>> EncodePrompt(const Opened& opened, const std::string& prompt) {
  std::vector<int32_t> ids;
  Encoder(opened.tokenizer).Encode(prompt, ids);
  if (ids.empty() && opened.end_of_text >= 0) ids.push_back(static_cast<int32_t>(opened.end_of_text));
  if (ids.empty()) {
    return absl::InvalidArgumentError(
        "--prompt: expected some text, as this vocabulary has no <|endoftext|> to begin "
        "with; found none");
  }
  if (static_cast<int64_t>(ids.size()) > opened.dims.T) {
    return absl::InvalidArgumentError(absl::StrCat("--prompt: expected at most ", opened.dims.T,
                                                   " tokens, the model's context; found ", ids.size(),
                                                   ": shorten the prompt"));
  }
  return ids;
}

struct Generated {
  std::vector<int32_t> ids;
  std::string text;
  const char* finish_reason = "max_tokens";
  double prompt_seconds = 0, seconds = 0;
};

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void Show(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

// Continues `prompt`; shows the text as it comes if `streams`.
absl::StatusOr<Generated> Continue(const Opened& opened, const GenerateFlags& flags, const std::vector<int32_t>& prompt,
                                   bool streams) {
  const int64_t capacity = std::min(opened.dims.T, static_cast<int64_t>(prompt.size()) + flags.max_tokens);
  INGOT_ASSIGN_OR_RETURN(const auto decoder,
                         CachedDecoder::Create(opened.dims, opened.backend, opened.parameters, capacity));
  SamplingOptions sampling = flags.sampling;
  sampling.vocabulary = opened.tokenizer.size();
  Generated generated;
  CharacterStream characters;
  const auto emit = [&](const std::string& text) {
    generated.text += text;
    if (streams) Show(text);
  };
  auto start = std::chrono::steady_clock::now();
  INGOT_ASSIGN_OR_RETURN(int32_t id, decoder->FeedAndDraw(prompt, sampling, 0));
  generated.prompt_seconds = SecondsSince(start);
  start = std::chrono::steady_clock::now();
  while (true) {
    if (id == opened.end_of_text) {
      generated.finish_reason = "end_of_text";
      break;
    }
    generated.ids.push_back(id);
    INGOT_ASSIGN_OR_RETURN(const std::string bytes, opened.tokenizer.Decode(std::vector<int32_t>{id}));
    emit(characters.Add(bytes));
    if (static_cast<int64_t>(generated.ids.size()) == flags.max_tokens) break;
    if (decoder->length() == opened.dims.T) {
      generated.finish_reason = "context";
      break;
    }
    INGOT_ASSIGN_OR_RETURN(
        id, decoder->FeedAndDraw(std::vector<int32_t>{id}, sampling, static_cast<int64_t>(generated.ids.size())));
  }
  emit(characters.Finish());
  generated.seconds = SecondsSince(start);
  return generated;
}

void PrintJson(const GenerateFlags& flags, const std::vector<int32_t>& prompt, const Generated& generated) {
  const double count = static_cast<double>(generated.ids.size());
  const nlohmann::ordered_json json = {
      {"prompt", flags.prompt},
      {"prompt_ids", prompt},
      {"text", generated.text},
      {"ids", generated.ids},
      {"finish_reason", generated.finish_reason},
      {"prompt_tokens_per_second", static_cast<double>(prompt.size()) / std::max(generated.prompt_seconds, 1e-9)},
      {"tokens_per_second", count / std::max(generated.seconds, 1e-9)}};
  // A prompt from the shell may be any bytes.
  std::printf("%s\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

absl::Status Generate(const GenerateFlags& flags) {
  INGOT_ASSIGN_OR_RETURN(const Opened opened, Open(flags));
  INGOT_ASSIGN_OR_RETURN(const std::vector<int32_t> prompt, EncodePrompt(opened, flags.prompt));
  if (!flags.json) Show(flags.prompt);
  INGOT_ASSIGN_OR_RETURN(const Generated generated, Continue(opened, flags, prompt, !flags.json));
  if (flags.json) {
    PrintJson(flags, prompt, generated);
    return absl::OkStatus();
  }
  Show("\n");
  if (generated.finish_reason == std::string("context")) {
    std::fprintf(stderr, "the model's context of %lld tokens is full\n", static_cast<long long>(opened.dims.T));
  }
  return absl::OkStatus();
}

}  // namespace

void AddGenerateCommand(CLI::App& app) {
  CLI::App* command = app.add_subcommand("generate", "Continues a prompt with a checkpoint");
  auto flags = std::make_shared<GenerateFlags>();
  SamplingOptions& sampling = flags->sampling;
  command->add_option("--checkpoint", flags->checkpoint, "Checkpoint or Hugging Face model directory")->required();
  command->add_option("--prompt", flags->prompt, "Text to continue; empty: a new document");
  command->add_option("--max-tokens", flags->max_tokens, "Tokens to write at most")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 31))
      ->capture_default_str();
  command->add_option("--temperature", sampling.temperature, "Divides the logits; 0: always the likeliest token")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command->add_option("--top-k", sampling.top_k, "Draw among the K likeliest tokens only; 0: all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--top-p", sampling.top_p, "Draw among the likeliest tokens that together reach probability P")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--seed", sampling.seed, "The same seed gives the same text")->capture_default_str();
  AddDeviceOption(*command, flags->device);
  AddPrecisionOption(*command, flags->precision);
  command->add_flag("--json", flags->json, "Print one JSON object with text, ids and tokens per second");
  command->callback([flags] { RunCommand([&] { return Generate(*flags); }); });
}

}  // namespace ingot
