// ingot eval: loss, perplexity and bits per byte of a checkpoint on a dataset or a text; multiple-choice tasks.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/model/model.h"
#include "core/training/evaluate.h"
#include "core/training/hf_model.h"
#include "core/training/tasks.h"
#include "data_pipeline/dataset.h"
#include "data_pipeline/dataset_state.h"
#include "data_pipeline/documents.h"
#include "kernels/cpu/blas.h"
#include "tools/ingot/command.h"
#include "tools/ingot/device.h"

namespace ingot {
namespace {

struct EvalFlags {
  std::string checkpoint, data, task;
  std::string split = "validation";
  std::string field = "text";
  int64_t sequence_length = 0;
  int64_t batch = 8;
  std::string device, precision;
  bool json = false;
};

struct Opened {
  std::unique_ptr<Model> model;
  Tokenizer tokenizer;
};

absl::StatusOr<Opened> Open(const EvalFlags& flags) {
  std::string problem;
  if (!BlasIsRight(&problem)) return absl::FailedPreconditionError(problem);
  INGOT_ASSIGN_OR_RETURN(const ModelDims dims, ReadHfConfig(flags.checkpoint));
  INGOT_ASSIGN_OR_RETURN(Tokenizer tokenizer, Tokenizer::Load(flags.checkpoint));
  if (tokenizer.size() > dims.V) {
    return absl::InvalidArgumentError(
        absl::StrCat(flags.checkpoint, ": the tokenizer has ", tokenizer.size(), " ids, the model only ", dims.V));
  }
  const int64_t T = flags.sequence_length != 0 ? flags.sequence_length : dims.T;
  if (T < 1 || T > dims.T) {
    return absl::InvalidArgumentError(
        absl::StrCat("--sequence-length: expected 1 to the model's context of ", dims.T, ", found ", T));
  }
  const Device device = DeviceOf(flags.device);
  const RunShape shape = {.B = flags.batch, .T = T, .device = device, .dtype = PrecisionOf(flags.precision, device)};
  INGOT_ASSIGN_OR_RETURN(std::unique_ptr<Model> model, Model::Create(dims, shape));
  INGOT_ASSIGN_OR_RETURN(const HostCopy parameters, HostCopy::Create(model->backend(), model->parameters()));
  INGOT_RETURN_IF_ERROR(ReadHfWeights(flags.checkpoint, model->table(), parameters.tensor()));
  INGOT_RETURN_IF_ERROR(parameters.Upload());
  model->RefreshWorkingParameters();
  return Opened{std::move(model), std::move(tokenizer)};
}

absl::StatusOr<TokenSource> SourceOfDataset(const EvalFlags& flags, const Model& model) {
  INGOT_ASSIGN_OR_RETURN(const Dataset dataset, Dataset::Open(flags.data));
  const Split split = flags.split == "training" ? Split::kTraining : Split::kValidation;
  if (dataset.vocabulary() > model.dims().V) {
    return absl::InvalidArgumentError(absl::StrCat(flags.data, ": made with a vocabulary of ", dataset.vocabulary(),
                                                   ", but the model has ", model.dims().V));
  }
  return TokenSource{.tokens = dataset.tokens(split),
                     .copy = [dataset, split](int64_t first, int64_t count, int32_t* ids) {
                       dataset.state().stream(split).Copy(first, count, ids);
                     }};
}

// Documents as `ingot data build` would take them, each followed by <|endoftext|>.
absl::StatusOr<TokenSource> SourceOfText(const EvalFlags& flags, const Tokenizer& tokenizer) {
  DocumentOptions options;
  options.text_field = flags.field;
  INGOT_ASSIGN_OR_RETURN(const std::unique_ptr<DocumentReader> reader, DocumentReader::Open({flags.data}, options));
  const auto ids = std::make_shared<std::vector<int32_t>>();
  Encoder encoder(tokenizer);
  for (std::string text;;) {
    INGOT_ASSIGN_OR_RETURN(const bool more, reader->Next(text));
    if (!more) break;
    encoder.Encode(text, *ids);
    if (tokenizer.end_of_text() >= 0) ids->push_back(tokenizer.end_of_text());
  }
  return TokenSource{
      .tokens = static_cast<int64_t>(ids->size()),
      .copy = [ids](int64_t first, int64_t count, int32_t* to) { std::copy_n(ids->begin() + first, count, to); }};
}

absl::StatusOr<nlohmann::ordered_json> Measure(const EvalFlags& flags, const Opened& opened) {
  TokenSource stream;
  if (DirectoryExists(flags.data)) {
    INGOT_ASSIGN_OR_RETURN(stream, SourceOfDataset(flags, *opened.model));
  } else {
    INGOT_ASSIGN_OR_RETURN(stream, SourceOfText(flags, opened.tokenizer));
  }
  if (stream.tokens < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat(flags.data, ": expected at least 2 tokens to predict from, found ", stream.tokens));
  }
  const RunShape& shape = opened.model->shape();
  INGOT_ASSIGN_OR_RETURN(const EvalTotals totals,
                         Evaluate(*opened.model, WindowsOf(stream, shape.B, shape.T), opened.tokenizer));
  return nlohmann::ordered_json{{"loss", totals.loss()},
                                {"perplexity", totals.perplexity()},
                                {"bits_per_byte", totals.bits_per_byte()},
                                {"tokens", totals.targets},
                                {"bytes", totals.bytes},
                                {"sequence_length", shape.T}};
}

absl::StatusOr<nlohmann::ordered_json> RunTaskFile(const EvalFlags& flags, const Opened& opened) {
  INGOT_ASSIGN_OR_RETURN(const std::vector<ChoiceQuestion> questions, ReadTask(flags.task));
  INGOT_ASSIGN_OR_RETURN(const TaskResult result, RunTask(*opened.model, opened.tokenizer, questions));
  return nlohmann::ordered_json{
      {"questions", result.questions}, {"acc", result.acc()}, {"acc_norm", result.acc_norm()}};
}

absl::Status Eval(const EvalFlags& flags) {
  if (flags.data.empty() && flags.task.empty()) {
    return absl::InvalidArgumentError("expected --data PATH, --task FILE or both, found neither");
  }
  INGOT_ASSIGN_OR_RETURN(const Opened opened, Open(flags));
  nlohmann::ordered_json figures = nlohmann::ordered_json::object();
  if (!flags.data.empty()) {
    INGOT_ASSIGN_OR_RETURN(const nlohmann::ordered_json measured, Measure(flags, opened));
    figures.update(measured);
  }
  if (!flags.task.empty()) {
    INGOT_ASSIGN_OR_RETURN(const nlohmann::ordered_json scored, RunTaskFile(flags, opened));
    figures.update(scored);
  }
  if (flags.json) {
    std::printf("%s\n", figures.dump(2).c_str());
    return absl::OkStatus();
  }
  for (const auto& [name, value] : figures.items()) std::printf("%-16s %s\n", name.c_str(), value.dump().c_str());
  return absl::OkStatus();
}

}  // namespace

void AddEvalCommand(CLI::App& app) {
  CLI::App* command = app.add_subcommand("eval", "Measures a checkpoint: loss, perplexity, bits per byte, tasks");
  auto flags = std::make_shared<EvalFlags>();
  command->add_option("--checkpoint", flags->checkpoint, "Checkpoint or Hugging Face model directory")->required();
  command->add_option("--data", flags->data,
                      "Directory of `ingot data build`, or a .txt, .jsonl (.gz, .zst) or .parquet file");
  command->add_option("--split", flags->split, "Split of a dataset directory")
      ->check(CLI::IsMember({"training", "validation"}))
      ->capture_default_str();
  command->add_option("--field", flags->field, "Field of a JSON line, or column, that holds the text")
      ->capture_default_str();
  command->add_option("--task", flags->task, R"(Multiple choice: lines {"query", "choices": [...], "gold": index})");
  command->add_option("--sequence-length", flags->sequence_length, "Tokens of a window; 0: the model's context")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--batch", flags->batch, "Windows computed at once; memory grows with it")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  AddDeviceOption(*command, flags->device);
  AddPrecisionOption(*command, flags->precision);
  command->add_flag("--json", flags->json, "Print one JSON object");
  command->footer(
      "Window i of a stream of tokens holds tokens [i*T, i*T + T) and predicts tokens [i*T + 1, i*T + T], each from "
      "those before it in its window; the last window may be shorter. Every token but the stream's first is predicted "
      "once. Documents follow one another, each ended by <|endoftext|>, which counts as a target without bytes. "
      "Loss is in nats a target; bits per byte = all nats / ln 2 / bytes of text of the targets.");
  command->callback([flags] { RunCommand([&] { return Eval(*flags); }); });
}

}  // namespace ingot
