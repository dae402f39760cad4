#include "core/training/checkpoint_files.h"

#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/training/hf_config.h"
#include "core/training/hf_model.h"
#include "core/training/state_file.h"
#include "tokenizer/hf_files.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/tokenizer.h"

namespace ingot {
namespace {

constexpr char kStateDirectory[] = "training_state";
constexpr char kStateFile[] = "training_state/state.json";
constexpr char kOptimizerFile[] = "training_state/optimizer-00000-of-00001.safetensors";
constexpr char kWeightsFile[] = "model.safetensors";

// What of a parameter the optimizer's file holds, as the first part of the tensor's name.
constexpr char kFirstMoment[] = "m.";
constexpr char kSecondMoment[] = "v.";
constexpr char kMaster[] = "master.";

// The model card that tools and people look for.
std::string ModelCard(const CheckpointContents& contents) {
  return absl::StrCat(
      "---\nlibrary_name: transformers\npipeline_tag: text-generation\n---\n\n# Base model, step ", contents.state.step,
      "\n\nPre-trained from scratch by Ingot: ", HfClass(contents.dims), ", ", contents.table->parameters,
      " parameters, ", contents.state.tokens, " tokens seen, context of ", contents.dims.T,
      " tokens.\n\n```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
      "model = AutoModelForCausalLM.from_pretrained(\".\")\ntokenizer = AutoTokenizer.from_pretrained(\".\")\n```\n\n"
      "It continues text; it was not tuned to follow instructions. `training_state/` lets the run go on and may be "
      "left out when the model is passed on.\n");
}

// Writes the tokenizer's files; the ids that config.json names.
absl::StatusOr<SpecialIds> WriteTokenizer(const CheckpointContents& contents, const std::string& directory) {
  if (contents.tokenizer_directory.empty()) return SpecialIds{.end_of_text = -1, .pad = -1};
  INGOT_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::Load(contents.tokenizer_directory));
  INGOT_RETURN_IF_ERROR(WriteTokenizerFiles(tokenizer.model(), contents.dims.T, directory));
  return SpecialIds{.end_of_text = tokenizer.end_of_text(), .pad = tokenizer.SpecialToken(kPad)};
}

// Moments, and the fp32 weights where model.safetensors does not hold them. Element by element as in memory.
absl::StatusOr<FileRecord> WriteOptimizer(const CheckpointContents& contents, const std::string& path) {
  std::vector<std::pair<const char*, Tensor>> kinds = {{kFirstMoment, contents.optimizer.m},
                                                       {kSecondMoment, contents.optimizer.v}};
  if (contents.weights_dtype != DType::kF32) kinds.push_back({kMaster, contents.parameters});
  std::vector<TensorSource> tensors;
  for (const auto& [kind, flat] : kinds) {
    INGOT_CHECK(Count(flat) == contents.table->flat_size, "%s has another size than the table", kind);
    for (const ParameterSpec& spec : contents.table->specs) {
      TensorSource source = {.name = kind + spec.name, .shape = spec.shape, .dtype = flat.dtype};
      if (flat.dtype == DType::kBf16) {
        source.narrow = flat.data<Bf16>() + spec.offset;
      } else {
        source.values = flat.data<float>() + spec.offset;
      }
      tensors.push_back(std::move(source));
    }
  }
  return WriteSafetensors(path, std::move(tensors), {{"format", "pt"}});
}

absl::Status ReadFlat(const SafetensorsReader& reader, const char* kind, const ParameterTable& table, Tensor flat) {
  INGOT_CHECK(Count(flat) == table.flat_size, "%s has another size than the table", kind);
  for (const ParameterSpec& spec : table.specs) {
    if (flat.dtype == DType::kF32) {
      INGOT_RETURN_IF_ERROR(reader.Read(kind + spec.name, spec.shape, false, flat.data<float>() + spec.offset));
      continue;
    }
    std::vector<float> wide(Count(spec));
    INGOT_RETURN_IF_ERROR(reader.Read(kind + spec.name, spec.shape, false, wide.data()));
    Bf16* const to = flat.data<Bf16>() + spec.offset;
    for (size_t n = 0; n < wide.size(); ++n) to[n] = ToBf16(wide[n]);  // exact: they are stored as bf16
  }
  return absl::OkStatus();
}

// Whether the moments are stored as the optimizer has them.
absl::Status CheckMoments(const SafetensorsReader& reader, const ParameterTable& table, DType dtype,
                          const std::string& path) {
  const auto found =
      table.specs.empty() ? reader.tensors().end() : reader.tensors().find(kFirstMoment + table.specs[0].name);
  if (found == reader.tensors().end()) return absl::OkStatus();  // the reader names it
  const char* const expected = dtype == DType::kBf16 ? "BF16" : "F32";
  const std::string& stored = found->second.second.dtype;
  if (stored == expected) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      path, ": expected moments in ", expected, " by optimizer.moments_dtype, found ", stored, "; set it to ",
      stored == "BF16" ? "bf16" : "fp32", ", as this run was begun, or begin another with --output"));
}

}  // namespace

absl::StatusOr<Manifest> WriteCheckpointFiles(const std::string& directory, const CheckpointContents& contents,
                                              bool marked) {
  INGOT_RETURN_IF_ERROR(CreateDirectories(JoinPath(directory, kStateDirectory)));
  Manifest manifest{.step = contents.state.step, .marked = marked, .files = {}};
  INGOT_ASSIGN_OR_RETURN(const SpecialIds ids, WriteTokenizer(contents, directory));
  INGOT_RETURN_IF_ERROR(WriteFileAtomically(JoinPath(directory, "README.md"), ModelCard(contents)));
  INGOT_RETURN_IF_ERROR(WriteHfModel(directory, contents.dims, *contents.table, contents.parameters,
                                     contents.weights_dtype, ids, &manifest.files[kWeightsFile]));
  INGOT_ASSIGN_OR_RETURN(manifest.files[kOptimizerFile], WriteOptimizer(contents, JoinPath(directory, kOptimizerFile)));
  INGOT_RETURN_IF_ERROR(WriteFileAtomically(JoinPath(directory, kStateFile), StateText(contents.state)));
  INGOT_ASSIGN_OR_RETURN(std::vector<std::string> names, ListDirectory(directory));
  names.push_back(kStateFile);
  for (const std::string& name : names) {
    if (name == kStateDirectory || manifest.files.count(name) > 0) continue;
    INGOT_ASSIGN_OR_RETURN(manifest.files[name], RecordOf(JoinPath(directory, name)));
  }
  INGOT_RETURN_IF_ERROR(SyncDirectory(JoinPath(directory, kStateDirectory)));
  INGOT_RETURN_IF_ERROR(WriteFileAtomically(JoinPath(directory, kManifestName), ManifestText(manifest)));
  INGOT_RETURN_IF_ERROR(SyncDirectory(directory));
  return manifest;
}

absl::Status VerifyCheckpoint(const std::string& directory) {
  INGOT_ASSIGN_OR_RETURN(const Manifest manifest, ReadCheckpointManifest(directory));
  for (const char* needed : {kStateFile, kOptimizerFile, kWeightsFile}) {
    if (manifest.files.count(needed) == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(JoinPath(directory, kManifestName), ": ", needed, " is not listed"));
    }
  }
  return CheckContents(manifest, directory);
}

absl::StatusOr<TrainingState> LoadCheckpoint(const std::string& directory, const ParameterTable& table,
                                             Tensor parameters, OptimizerTensors optimizer) {
  INGOT_RETURN_IF_ERROR(VerifyCheckpoint(directory));
  INGOT_ASSIGN_OR_RETURN(TrainingState state, ReadStateFile(JoinPath(directory, kStateFile)));
  INGOT_ASSIGN_OR_RETURN(const SafetensorsReader reader, SafetensorsReader::Open(JoinPath(directory, kOptimizerFile)));
  const bool has_masters = !table.specs.empty() && reader.Has(kMaster + table.specs.front().name);
  const size_t expected = table.specs.size() * (has_masters ? 3 : 2);
  INGOT_RETURN_IF_ERROR(CheckMoments(reader, table, optimizer.m.dtype, JoinPath(directory, kOptimizerFile)));
  INGOT_RETURN_IF_ERROR(ReadFlat(reader, kFirstMoment, table, optimizer.m));
  INGOT_RETURN_IF_ERROR(ReadFlat(reader, kSecondMoment, table, optimizer.v));
  if (reader.tensors().size() != expected) {
    return absl::InvalidArgumentError(absl::StrCat(JoinPath(directory, kOptimizerFile), ": expected ", expected,
                                                   " tensors for this model, found ", reader.tensors().size()));
  }
  INGOT_RETURN_IF_ERROR(LoadWeights(directory, table, parameters));
  return state;
}

absl::Status LoadWeights(const std::string& directory, const ParameterTable& table, Tensor parameters) {
  const std::string path = JoinPath(directory, kOptimizerFile);
  if (!FileExists(path) || table.specs.empty()) return ReadHfWeights(directory, table, parameters);
  INGOT_ASSIGN_OR_RETURN(const SafetensorsReader reader, SafetensorsReader::Open(path));
  if (!reader.Has(kMaster + table.specs.front().name)) return ReadHfWeights(directory, table, parameters);
  return ReadFlat(reader, kMaster, table, parameters);
}

}  // namespace ingot
