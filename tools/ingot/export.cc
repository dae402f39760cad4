// ingot export: a checkpoint as a directory for other programs.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "core/base/arena.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/training/checkpoint.h"
#include "core/training/hf_model.h"
#include "tools/ingot/command.h"

namespace ingot {
namespace {

struct ExportOptions {
  std::string checkpoint;
  std::string format = "hf";
  std::string dtype = "f32";
  std::string output;
};

// Beside the weights, what makes the directory complete; taken over byte for byte where present.
constexpr const char* kCopied[] = {"tokenizer.json",      "tokenizer_config.json",  "special_tokens_map.json",
                                   "chat_template.jinja", "generation_config.json", "README.md"};
constexpr uint64_t kMaxCopiedBytes = uint64_t{1} << 30;

DType DTypeNamed(const std::string& name) {
  if (name == "bf16") return DType::kBf16;
  return name == "f16" ? DType::kF16 : DType::kF32;
}

absl::Status WriteFiles(const ExportOptions& options, const std::string& directory) {
  INGOT_ASSIGN_OR_RETURN(const ModelDims dims, ReadHfConfig(options.checkpoint));
  INGOT_ASSIGN_OR_RETURN(const SpecialIds ids, ReadHfSpecialIds(options.checkpoint));
  const ParameterTable table = MakeParameterTable(dims);
  INGOT_ASSIGN_OR_RETURN(Arena arena, Arena::Create("weights", table.flat_size * SizeOf(DType::kF32)));
  const Tensor parameters = arena.Take("parameters", DType::kF32, {table.flat_size});
  INGOT_RETURN_IF_ERROR(LoadWeights(options.checkpoint, table, parameters));
  INGOT_RETURN_IF_ERROR(WriteHfModel(directory, dims, table, parameters, DTypeNamed(options.dtype), ids));
  for (const char* name : kCopied) {
    const std::string source = JoinPath(options.checkpoint, name);
    if (!FileExists(source)) continue;
    INGOT_ASSIGN_OR_RETURN(const std::string text, ReadFile(source, kMaxCopiedBytes));
    INGOT_RETURN_IF_ERROR(WriteFileAtomically(JoinPath(directory, name), text));
  }
  return SyncDirectory(directory);
}

// Nothing that is there may be lost: an empty directory is taken, anything else refused.
absl::Status TakeOutputName(const std::string& output) {
  std::error_code error;
  if (DirectoryExists(output)) std::filesystem::remove(output, error);  // fails unless it is empty
  if (!std::filesystem::exists(std::filesystem::symlink_status(output))) return absl::OkStatus();
  return absl::AlreadyExistsError(
      absl::StrCat(output, ": expected a new or empty directory for --output; something is there already"));
}

absl::Status Export(const ExportOptions& options) {
  if (options.format != "hf") {
    return absl::UnimplementedError(absl::StrCat("--format ", options.format, ": this build exports hf only"));
  }
  std::string output = options.output;
  while (output.size() > 1 && output.back() == '/') output.pop_back();
  INGOT_RETURN_IF_ERROR(TakeOutputName(output));
  const std::string temporary = absl::StrCat(output, ".tmp-", getpid());
  INGOT_RETURN_IF_ERROR(CreateDirectories(temporary));
  absl::Status status = WriteFiles(options, temporary);
  if (status.ok()) status = RenameWithoutReplacing(temporary, output);
  if (!status.ok()) {
    RemoveRecursively(temporary).IgnoreError();
    return status;
  }
  std::printf("%s: weights as %s, ready for transformers\n", output.c_str(), options.dtype.c_str());
  const std::string parent = std::filesystem::path(output).parent_path().string();
  return SyncDirectory(parent.empty() ? "." : parent);
}

}  // namespace

void AddExportCommand(CLI::App& app) {
  CLI::App* command = app.add_subcommand("export", "Writes a checkpoint for other programs");
  auto options = std::make_shared<ExportOptions>();
  command->add_option("--checkpoint", options->checkpoint, "Checkpoint, or a Hugging Face model directory")->required();
  command->add_option("--format", options->format, "hf: a directory that transformers opens")
      ->check(CLI::IsMember({"hf", "gguf", "sentence-transformers"}))
      ->capture_default_str();
  command->add_option("--dtype", options->dtype, "Number format of the weights")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}))
      ->capture_default_str();
  command->add_option("--output", options->output, "Directory to make; must not exist or be empty")->required();
  command->callback([options] { RunCommand([&] { return Export(*options); }); });
}

}  // namespace ingot
