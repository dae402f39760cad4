#pragma once
// The safetensors format (docs/checkpoint_format.md): a u64 length, a JSON header that names dtype, shape and place of
// every tensor, and the data up to the end of the file. Nothing in it is executed.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/bf16.h"
#include "core/base/dtype.h"
#include "core/base/file.h"

namespace ingot {

// What a manifest keeps of a file.
struct FileRecord {
  uint64_t bytes = 0;
  uint32_t crc32c = 0;
};

// Float32 values in memory that become one tensor of a file, or bf16 values that are written as they are.
struct TensorSource {
  std::string name;
  std::vector<int64_t> shape;  // in memory; rank 1 or 2
  bool transposed = false;     // (O, I) in memory is written as (I, O)
  DType dtype = DType::kF32;   // in the file: f32, bf16 or f16
  const float* values = nullptr;
  const Bf16* narrow = nullptr;  // in place of values; dtype is bf16, not transposed
};

// Writes `tensors`, byte for byte as the reference writer does, whatever their order here. A value that is not finite,
// or is not any more in the file's dtype, is an error that names the tensor: what cannot be trained on is not kept.
// Values are converted a few rows at a time. On an error the file is left unfinished: write into a directory that is
// renamed when whole.
absl::StatusOr<FileRecord> WriteSafetensors(const std::string& path, std::vector<TensorSource> tensors,
                                            const std::map<std::string, std::string>& metadata);

// A tensor of a file; its bytes are [begin, end) of the data part.
struct TensorEntry {
  std::string dtype;  // as spelled: "F32", "BF16", …
  std::vector<int64_t> shape;
  uint64_t begin = 0;
  uint64_t end = 0;
};

struct SafetensorsHeader {
  std::map<std::string, TensorEntry> tensors;
  std::map<std::string, std::string> metadata;
  uint64_t data_start = 0;  // from the start of the file
};

// Parses the header of `file`, the bytes of a whole file; `what` names it in errors. Any bytes may be given. Accepted
// are exactly files whose tensors cover the data part without hole or overlap and have as many bytes as their shapes
// say.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view file, absl::string_view what);

// Tensors of one file or of several shards, mapped. Immutable: share it between threads.
class SafetensorsReader {
 public:
  static absl::StatusOr<SafetensorsReader> Open(const std::string& path);
  // Several files, none of whose tensors may have the same name.
  static absl::StatusOr<SafetensorsReader> OpenAll(const std::vector<std::string>& paths);
  // DIRECTORY/model.safetensors, or else the shards that DIRECTORY/model.safetensors.index.json names.
  static absl::StatusOr<SafetensorsReader> OpenModel(const std::string& directory);

  const std::map<std::string, std::pair<size_t, TensorEntry>>& tensors() const { return tensors_; }
  bool Has(const std::string& name) const { return tensors_.count(name) > 0; }

  // Converts the tensor `name` to float32. `shape` is the one in memory, `transposed` as in TensorSource. Errors: no
  // such tensor, another shape, a dtype other than F32, BF16, F16, values that are not finite.
  absl::Status Read(const std::string& name, const std::vector<int64_t>& shape, bool transposed, float* values) const;
  // The same for elements [begin, end) of the tensor as it lies in memory; the others are not looked at.
  absl::Status ReadRange(const std::string& name, const std::vector<int64_t>& shape, bool transposed, int64_t begin,
                         int64_t end, float* values) const;

 private:
  struct File {
    std::string path;
    MappedFile mapping;
    uint64_t data_start = 0;
  };
  absl::Status Add(const std::string& path);
  absl::Status AddShards(const std::string& directory, const std::string& index_path);

  std::vector<File> files_;
  std::map<std::string, std::pair<size_t, TensorEntry>> tensors_;  // name → place in files_, entry
};

}  // namespace ingot
