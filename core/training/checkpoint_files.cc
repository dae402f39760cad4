#include "core/training/checkpoint_files.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
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
constexpr char kWeightsFile[] = "model.safetensors";
constexpr char kWeightsIndex[] = "model.safetensors.index.json";
constexpr std::chrono::milliseconds kLongestPause(250);
constexpr std::chrono::seconds kVisible(60);  // the longest that NFS keeps an old answer by default

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

// All kinds of the file's parameters, element by element as in memory.
absl::StatusOr<FileRecord> WriteOptimizer(const CheckpointContents& contents, const CheckpointFile& file,
                                          const std::string& path) {
  std::vector<std::pair<const char*, const FlatParts*>> kinds = {{kFirstMoment, &contents.optimizer.m},
                                                                 {kSecondMoment, &contents.optimizer.v}};
  if (contents.format().has_masters()) kinds.push_back({kMaster, &contents.parameters});
  std::vector<TensorSource> tensors;
  for (const auto& [kind, flat] : kinds) {
    for (size_t i = file.first; i < file.last; ++i) {
      const ParameterSpec& spec = contents.table->specs[i];
      TensorSource source = {.name = kind + spec.name, .shape = spec.shape, .dtype = flat->dtype()};
      const void* values = flat->At({spec.offset, spec.offset + Count(spec)});
      if (flat->dtype() == DType::kBf16) {
        source.narrow = static_cast<const Bf16*>(values);
      } else {
        source.values = static_cast<const float*>(values);
      }
      tensors.push_back(std::move(source));
    }
  }
  return WriteSafetensors(path, std::move(tensors), {{"format", "pt"}});
}

absl::Status WriteIndex(const std::string& directory, const CheckpointContents& contents,
                        const std::vector<CheckpointFile>& files) {
  std::map<std::string, std::string> places;
  int64_t bytes = 0;
  for (const CheckpointFile& file : files) {
    if (file.optimizer) continue;
    bytes += file.bytes;
    for (size_t i = file.first; i < file.last; ++i) places[contents.table->specs[i].name] = file.name;
  }
  return WriteHfIndex(directory, places, bytes);
}

// What is no tensor; it goes to `records`.
absl::Status WriteSmallFiles(const std::string& directory, const CheckpointContents& contents, FileRecords& records) {
  const std::vector<CheckpointFile> files = CutCheckpoint(*contents.table, contents.format());
  INGOT_ASSIGN_OR_RETURN(const SpecialIds ids, WriteTokenizer(contents, directory));
  INGOT_RETURN_IF_ERROR(WriteFileAtomically(JoinPath(directory, "README.md"), ModelCard(contents)));
  INGOT_RETURN_IF_ERROR(WriteHfConfig(directory, contents.dims, contents.weights_dtype, ids));
  if (files.front().name != kWeightsFile) INGOT_RETURN_IF_ERROR(WriteIndex(directory, contents, files));
  INGOT_RETURN_IF_ERROR(WriteFileAtomically(JoinPath(directory, kStateFile), StateText(contents.state)));
  std::set<std::string> others = {kStateDirectory};  // files of tensors, perhaps being written by other ranks
  for (const CheckpointFile& file : files) others.insert(file.name);
  INGOT_ASSIGN_OR_RETURN(std::vector<std::string> names, ListDirectory(directory));
  names.push_back(kStateFile);
  for (const std::string& name : names) {
    if (others.count(name) > 0) continue;
    INGOT_ASSIGN_OR_RETURN(records[name], RecordOf(JoinPath(directory, name)));
  }
  return absl::OkStatus();
}

std::vector<std::string> OptimizerFiles(const std::string& directory, const Manifest& manifest) {
  std::vector<std::string> paths;
  for (const auto& file : manifest.files) {
    if (IsOptimizerFile(file.first)) paths.push_back(JoinPath(directory, file.first));
  }
  return paths;
}

// The same without a manifest: a model that was passed on may have lost it.
std::vector<std::string> OptimizerFiles(const std::string& directory) {
  std::vector<std::string> paths;
  const auto names = ListDirectory(JoinPath(directory, kStateDirectory));
  for (const std::string& name : names.value_or(std::vector<std::string>())) {
    const std::string path = JoinPath(kStateDirectory, name);
    if (IsOptimizerFile(path)) paths.push_back(JoinPath(directory, path));
  }
  return paths;
}

absl::Status ReadFlat(const SafetensorsReader& reader, const char* kind, const ParameterTable& table,
                      const FlatPart& part) {
  return ReadFlatPart(
      reader, table, [kind](const std::string& name) { return kind + name; }, /*stored=*/false, part);
}

bool HasMasters(const SafetensorsReader& reader, const ParameterTable& table) {
  return !table.specs.empty() && reader.Has(kMaster + table.specs.front().name);
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

absl::Status MakeCheckpointDirectory(const std::string& directory) {
  return CreateDirectories(JoinPath(directory, kStateDirectory));
}

absl::Status AwaitCheckpointDirectory(const std::string& directory) {
  const std::string inner = JoinPath(directory, kStateDirectory);
  const auto until = std::chrono::steady_clock::now() + kVisible;
  for (std::chrono::milliseconds pause(1); !DirectoryExists(inner); pause = std::min(2 * pause, kLongestPause)) {
    if (std::chrono::steady_clock::now() > until) {
      return absl::NotFoundError(absl::StrCat(inner, ": rank 0 has made it, and it is not seen here after ",
                                              kVisible.count(), " s; RUN_DIR must be one directory for all ranks"));
    }
    std::this_thread::sleep_for(pause);
  }
  return absl::OkStatus();
}

std::vector<CheckpointFile> FilesOf(const CheckpointContents& contents, int64_t rank, int64_t ranks) {
  const std::vector<CheckpointFile> all = CutCheckpoint(*contents.table, contents.format());
  const std::vector<int64_t> writers = DealFiles(all, ranks);
  std::vector<CheckpointFile> files;
  for (size_t i = 0; i < all.size(); ++i) {
    if (writers[i] == rank) files.push_back(all[i]);
  }
  return files;
}

absl::StatusOr<FileRecords> WriteCheckpointFiles(const std::string& directory, const CheckpointContents& contents,
                                                 int64_t rank, int64_t ranks) {
  FileRecords records;
  if (rank == 0) INGOT_RETURN_IF_ERROR(WriteSmallFiles(directory, contents, records));
  for (const CheckpointFile& file : FilesOf(contents, rank, ranks)) {
    const std::string path = JoinPath(directory, file.name);
    INGOT_ASSIGN_OR_RETURN(records[file.name], file.optimizer
                                                   ? WriteOptimizer(contents, file, path)
                                                   : WriteHfWeights(path, *contents.table, file.first, file.last,
                                                                    contents.parameters, contents.weights_dtype));
  }
  return records;
}

absl::Status WriteCheckpointManifest(const std::string& directory, const Manifest& manifest) {
  INGOT_RETURN_IF_ERROR(SyncDirectory(JoinPath(directory, kStateDirectory)));
  INGOT_RETURN_IF_ERROR(WriteFileAtomically(JoinPath(directory, kManifestName), ManifestText(manifest)));
  return SyncDirectory(directory);
}

absl::StatusOr<Manifest> ReadCheckpointListing(const std::string& directory) {
  INGOT_ASSIGN_OR_RETURN(Manifest manifest, ReadCheckpointManifest(directory));
  const auto missing = [&directory](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat(JoinPath(directory, kManifestName), ": ", what, " is not listed"));
  };
  if (manifest.files.count(kStateFile) == 0) return missing(kStateFile);
  if (OptimizerFiles(directory, manifest).empty()) return missing("training_state/optimizer-….safetensors");
  if (manifest.files.count(kWeightsFile) + manifest.files.count(kWeightsIndex) == 0) return missing(kWeightsFile);
  INGOT_RETURN_IF_ERROR(CheckSizes(manifest, directory));
  return manifest;
}

absl::Status VerifyCheckpoint(const std::string& directory) {
  INGOT_ASSIGN_OR_RETURN(const Manifest manifest, ReadCheckpointListing(directory));
  return CheckContents(manifest, directory);
}

absl::StatusOr<TrainingState> LoadCheckpoint(const std::string& directory, const ParameterTable& table,
                                             const StateParts& into) {
  INGOT_ASSIGN_OR_RETURN(const Manifest manifest, ReadCheckpointListing(directory));
  INGOT_ASSIGN_OR_RETURN(TrainingState state, ReadStateFile(JoinPath(directory, kStateFile)));
  const std::vector<std::string> paths = OptimizerFiles(directory, manifest);
  INGOT_ASSIGN_OR_RETURN(const SafetensorsReader reader, SafetensorsReader::OpenAll(paths));
  INGOT_RETURN_IF_ERROR(CheckMoments(reader, table, into.m.values.dtype, paths.front()));
  INGOT_RETURN_IF_ERROR(ReadFlat(reader, kFirstMoment, table, into.m));
  INGOT_RETURN_IF_ERROR(ReadFlat(reader, kSecondMoment, table, into.v));
  const size_t expected = table.specs.size() * (HasMasters(reader, table) ? 3 : 2);
  if (reader.tensors().size() != expected) {
    return absl::InvalidArgumentError(absl::StrCat(paths.front(), paths.size() > 1 ? " and its like" : "",
                                                   ": expected ", expected, " tensors for this model, found ",
                                                   reader.tensors().size()));
  }
  INGOT_RETURN_IF_ERROR(HasMasters(reader, table) ? ReadFlat(reader, kMaster, table, into.parameters)
                                                  : ReadHfWeights(directory, table, into.parameters));
  return state;
}

absl::Status LoadWeights(const std::string& directory, const ParameterTable& table, const FlatPart& parameters) {
  INGOT_ASSIGN_OR_RETURN(const SafetensorsReader reader, SafetensorsReader::OpenAll(OptimizerFiles(directory)));
  return HasMasters(reader, table) ? ReadFlat(reader, kMaster, table, parameters)
                                   : ReadHfWeights(directory, table, parameters);
}

}  // namespace ingot
