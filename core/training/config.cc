#include "core/training/config.h"

#include <google/protobuf/text_format.h>

#include <algorithm>
#include <array>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"

namespace ingot {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// A run may go on with another value of these: they shape neither the model nor the stream of data.
constexpr std::array<const char*, 23> kMayChange = {"training.steps",          "validation.every",
                                                    "validation.tokens",       "checkpoint.every",
                                                    "checkpoint.keep_last",    "checkpoint.keep_every",
                                                    "training.deadline_scale", "checkpoint.background",
                                                    "checkpoint.max_failures", "data.path",
                                                    "spikes.policy",           "spikes.loss_z",
                                                    "spikes.norm_factor",      "spikes.max_skips",
                                                    "spikes.max_rollbacks",    "spikes.margin_steps",
                                                    "parallel.zero",           "parallel.compare_every",
                                                    "data.raw.input",          "data.raw.tokenizer",
                                                    "data.raw.cache",          "data.raw.threads",
                                                    "training.cuda_graph"};
constexpr int64_t kRawShuffleTokens = int64_t{1} << 24;

// Protobuf's text format leaves defaults out; setting every field to its own value brings them in.
void WriteOutDefaults(Message& message) {
  const auto* reflection = message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message.GetDescriptor()->field(i);
    if (field->is_repeated()) {
      if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
      for (int n = 0; n < reflection->FieldSize(message, field); ++n) {
        WriteOutDefaults(*reflection->MutableRepeatedMessage(&message, field, n));
      }
    } else if (field->message_type() == RawConfig::descriptor() && !reflection->HasField(message, field)) {
      continue;  // its presence means something
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      WriteOutDefaults(*reflection->MutableMessage(&message, field));
    } else if (!reflection->HasField(message, field)) {
      std::string value;
      google::protobuf::TextFormat::PrintFieldValueToString(message, field, -1, &value);
      google::protobuf::TextFormat::ParseFieldValueFromString(value, field, &message);
    }
  }
}

// Where data lies does not count: its fingerprint does.
void ForgetPlaces(SourceConfig& source) {
  source.clear_path();
  if (!source.has_raw()) return;
  source.mutable_raw()->clear_input();
  source.mutable_raw()->clear_tokenizer();
  source.mutable_raw()->clear_cache();
  source.mutable_raw()->clear_threads();
}

// `[a, b]`: the elements of a repeated field.
std::string ListText(const Message& message, const FieldDescriptor& field) {
  std::vector<std::string> elements;
  for (int i = 0; i < message.GetReflection()->FieldSize(message, &field); ++i) {
    std::string& text = elements.emplace_back();
    if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
      google::protobuf::TextFormat::PrintFieldValueToString(message, &field, i, &text);
      continue;
    }
    const Message& element = message.GetReflection()->GetRepeatedMessage(message, &field, i);
    const std::unique_ptr<Message> copy(element.New());
    copy->CopyFrom(element);
    if (copy->GetDescriptor() == SourceConfig::descriptor()) ForgetPlaces(static_cast<SourceConfig&>(*copy));
    text = copy->ShortDebugString();
  }
  return absl::StrCat("[", absl::StrJoin(elements, ", "), "]");
}

void AppendDifferences(const Message& stored, const Message& now, const std::string& prefix,
                       std::vector<std::string>& differences) {
  for (int i = 0; i < stored.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = stored.GetDescriptor()->field(i);
    const std::string path = absl::StrCat(prefix, field->name());
    if (field->is_repeated()) {
      const std::string was = ListText(stored, *field), is = ListText(now, *field);
      if (was != is) differences.push_back(absl::StrCat(path, ": expected ", was, ", found ", is));
      continue;
    }
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      AppendDifferences(stored.GetReflection()->GetMessage(stored, field), now.GetReflection()->GetMessage(now, field),
                        path + ".", differences);
      continue;
    }
    std::string was, is;
    google::protobuf::TextFormat::PrintFieldValueToString(stored, field, -1, &was);
    google::protobuf::TextFormat::PrintFieldValueToString(now, field, -1, &is);
    if (was != is) differences.push_back(absl::StrCat(path, ": expected ", was, ", found ", is));
  }
}

void AppendMissingData(const DataConfig& data, std::vector<std::string>& problems) {
  const auto check = [&](const std::string& field, const std::string& path, bool raw) {
    if (raw || DirectoryExists(path)) return;
    problems.push_back(absl::StrCat(field, ": expected a directory made by `ingot data build`, found ",
                                    path.empty() ? "nothing" : path, path.empty() ? "" : ", which is none"));
  };
  if (data.source().empty()) check("data.path", data.path(), data.has_raw());
  for (int i = 0; i < data.source_size(); ++i) {
    check(absl::StrCat("data.source[", i, "].path"), data.source(i).path(), data.source(i).has_raw());
  }
}

}  // namespace

absl::Status ProblemsStatus(const std::vector<std::string>& problems) {
  if (problems.empty()) return absl::OkStatus();
  if (problems.size() == 1) return absl::InvalidArgumentError(problems.front());
  return absl::InvalidArgumentError(
      absl::StrCat(problems.size(), " problems with the configuration:\n  ", absl::StrJoin(problems, "\n  ")));
}

absl::StatusOr<RunConfig> LoadConfig(const std::string& path, const std::vector<std::string>& settings, bool needs_data,
                                     Device device) {
  INGOT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, uint64_t{1} << 20));
  std::vector<std::string> problems;
  RunConfig config = ParseConfig(text, path, problems);
  for (const std::string& setting : settings) {
    const absl::Status status = ApplySetting(config, setting);
    if (!status.ok()) problems.emplace_back(status.message());
  }
  SetDefaultPrecision(device, config);
  SetDefaultOrder(config);
  for (std::string& problem : ConfigProblems(config, device)) problems.push_back(std::move(problem));
  if (needs_data) AppendMissingData(config.data(), problems);
  INGOT_RETURN_IF_ERROR(ProblemsStatus(problems));
  return config;
}

RunConfig Resolved(const RunConfig& config) {
  RunConfig resolved = config;
  WriteOutDefaults(resolved);
  const ModelDims dims = DimsOf(config);
  resolved.mutable_model()->set_kv_heads(dims.K);
  resolved.mutable_model()->set_head_width(dims.D);
  resolved.mutable_model()->set_context(dims.T);
  resolved.mutable_training()->set_tokens_per_step(TokensPerStep(config));
  return resolved;
}

std::string ConfigText(const RunConfig& config) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(Resolved(config), &text);
  return text;
}

std::vector<std::string> ResumeDifferences(const RunConfig& stored, const RunConfig& now) {
  std::vector<std::string> all, refused;
  AppendDifferences(Resolved(stored), Resolved(now), "", all);
  for (std::string& difference : all) {
    bool may_change = false;
    for (const char* field : kMayChange) may_change |= absl::StartsWith(difference, absl::StrCat(field, ":"));
    if (!may_change) refused.push_back(std::move(difference));
  }
  return refused;
}

int64_t TokensPerStep(const RunConfig& config) {
  const int64_t tokens = config.training().tokens_per_step();
  return tokens != 0 ? tokens : config.training().micro_batch() * config.data().sequence_length();
}

ModelDims DimsOf(const RunConfig& config) {
  const ModelConfig& model = config.model();
  ModelDims dims;
  dims.architecture = model.architecture() == ModelConfig::gpt2 ? Architecture::kGpt2 : Architecture::kLlama;
  dims.L = model.layers();
  dims.C = model.channels();
  dims.H = model.heads();
  dims.K = model.kv_heads() != 0 ? model.kv_heads() : model.heads();
  dims.D = model.head_width() != 0 ? model.head_width() : dims.C / std::max<int64_t>(dims.H, 1);
  dims.F = model.feed_forward();
  dims.V = model.vocabulary();
  dims.T = model.context() != 0 ? model.context() : config.data().sequence_length();
  dims.qkv_bias = model.qkv_bias();
  dims.qk_norm = model.qk_norm();
  dims.tied_embeddings = model.tied_embeddings();
  dims.norm_eps = model.norm_eps();
  dims.rope_theta = model.rope_theta();
  return dims;
}

bool HasRawDocuments(const DataConfig& data) {
  return data.has_raw() || std::any_of(data.source().begin(), data.source().end(),
                                       [](const SourceConfig& source) { return source.has_raw(); });
}

void SetDefaultOrder(RunConfig& config) {
  if (!HasRawDocuments(config.data()) || config.data().has_shuffle_tokens()) return;
  config.mutable_data()->set_shuffle_tokens(kRawShuffleTokens);
}

void SetDefaultPrecision(Device device, RunConfig& config) {
  if (config.precision().has_compute()) return;
  config.mutable_precision()->set_compute(device == Device::kCpu ? PrecisionConfig::fp32 : PrecisionConfig::bf16);
}

Fp8Use Fp8Of(const PrecisionConfig& precision) {
  if (precision.compute() != PrecisionConfig::fp8) return {};
  return {.blocks = true,
          .head = precision.fp8_head(),
          .gradients = precision.fp8_gradients() == PrecisionConfig::e5m2 ? DType::kE5m2 : DType::kE4m3};
}

RunShape ShapeOf(const RunConfig& config, Device device) {
  return {.B = config.training().micro_batch(),
          .T = config.data().sequence_length(),
          .training = true,
          .recompute_block = config.model().recompute() == ModelConfig::block,
          .recompute_mlp = config.model().recompute() == ModelConfig::mlp,
          .device = device,
          .cuda_graph = config.training().cuda_graph(),
          .dtype = config.precision().compute() == PrecisionConfig::fp32 ? DType::kF32 : DType::kBf16,
          .fp8 = Fp8Of(config.precision())};
}

}  // namespace ingot
