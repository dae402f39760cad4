#pragma once
// Builder: documents to a dataset directory of token shards (docs/shard_format.md). Its bytes depend on the input, the
// tokenizer and the options, never on the number of threads.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "data_pipeline/dataset_manifest.h"
#include "data_pipeline/document_source.h"

namespace ingot {

// What the builder needs of a tokenizer.
struct TextEncoder {
  using Encode = std::function<void(absl::string_view text, std::vector<int32_t>& ids)>;  // appends to ids
  std::function<Encode()> make;                                                           // one for each thread
  int64_t vocabulary = 0;                                                                 // every id is below
  int32_t end_of_text = 0;                                                                // appended to each document
  bool may_cut_text = true;  // at SafeCut(), between threads, without changing ids
  std::string directory;     // its tokenizer.json and companions are copied into the dataset
};

// The tokenizer of DIRECTORY; an error if it has no <|endoftext|>.
absl::StatusOr<TextEncoder> LoadTextEncoder(const std::string& directory);

// Copies tokenizer.json of the directory FROM and its companions to TO/tokenizer and puts them into `manifest`.
absl::Status CopyTokenizer(const std::string& from, const std::string& to, DatasetManifest& manifest);

struct BuildProgress {
  bool second_pass = false;                        // the validation split is being cut from the tail
  uint64_t input_bytes = 0, input_bytes_read = 0;  // on disk
  int64_t documents = 0, tokens = 0, text_bytes = 0;
};

struct BuildOptions {
  std::vector<std::string> inputs;  // files and directories (documents.h)
  DocumentOptions documents = {};
  std::string output;  // must not exist
  // What is written: a dataset, or the token files of another trainer ("megatron", "llm.c", "nanogpt").
  std::string format = kDatasetFormat;
  // Share of the documents that validate, chosen by the hash of their text; 0 for none. If a split then has no document
  // or less than a quarter of its share of the text (a few documents only), the input is read a second time and the
  // last part of the text validates instead.
  double validation_fraction = 0.05;
  int64_t shard_tokens = int64_t{128} << 20;                // of one file, where the format has several
  size_t batch_bytes = size_t{1} << 20;                     // text handed to a thread at once
  int threads = 0;                                          // 0: one a processor
  std::function<void(const BuildProgress&)> progress = {};  // called often, from one thread
};

// Everything is written to a directory beside `output`, which is renamed when complete: a build that fails or is killed
// leaves nothing at `output`.
absl::StatusOr<DatasetManifest> BuildDataset(const BuildOptions& options, const TextEncoder& encoder);

// The same around other contents: `fill` writes files into `directory` and their counts into `manifest`.
using FillDataset = std::function<absl::Status(const std::string& directory, DatasetManifest& manifest)>;
absl::StatusOr<DatasetManifest> WriteDataset(const BuildOptions& options, const TextEncoder& encoder,
                                             const FillDataset& fill);

}  // namespace ingot
