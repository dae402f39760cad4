#include "data_pipeline/parquet/library.h"

#include <dlfcn.h>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"

namespace ingot {
namespace {

constexpr char kLibrary[] = "libingot_parquet.so";

struct Library {
  absl::Status status;
  OpenParquetFunction* open = nullptr;
};

absl::Status NotThere(const char* reason) {
  return absl::UnimplementedError(absl::StrCat(
      "reading .parquet needs ", kLibrary, " beside the program (", reason != nullptr ? reason : "no reason",
      "); get Apache's library with tools/install_dependencies.sh --parquet, then configure and build "
      "Ingot again, or turn the files into .jsonl"));
}

Library Load() {
  void* const handle = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return {NotThere(dlerror()), nullptr};
  auto* const open = reinterpret_cast<OpenParquetFunction*>(dlsym(handle, kOpenParquetSymbol));
  if (open == nullptr) return {NotThere(dlerror()), nullptr};
  return {absl::OkStatus(), open};
}

const Library& Loaded() {
  static const Library library = Load();  // stays open: its threads and statics have no defined end
  return library;
}

}  // namespace

absl::Status ParquetIsThere() { return Loaded().status; }

absl::StatusOr<std::unique_ptr<ParquetTable>> OpenParquet(const std::string& path,
                                                          const std::vector<std::string>& columns) {
  if (const absl::Status status = ParquetIsThere(); !status.ok()) {
    return absl::Status(status.code(), absl::StrCat(path, ": ", status.message()));
  }
  std::string error;
  std::unique_ptr<ParquetTable> table(Loaded().open(path, columns, error));
  if (table == nullptr) return absl::InvalidArgumentError(absl::StrCat(path, ": ", error));
  return table;
}

}  // namespace ingot
