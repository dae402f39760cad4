#pragma once
// The full check behind `ingot data verify`.
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "data_pipeline/foreign/corpus.h"

namespace ingot {

struct VerifyReport {
  int64_t files = 0;
  int64_t bytes = 0;
  int64_t tokens = 0;
  int64_t documents = 0;
};

// PATH is a dataset directory or one shard. Of a directory every byte of every file is compared with a checksum, of a
// shard every byte with the checksums inside it; then every id and every document end is checked. The first fault is
// an error that names the file. `threads` 0: one a processor. PATH may also be a token file of another trainer, of
// `format` if one is given: those hold no checksums, so counts, bounds and ids are checked.
absl::StatusOr<VerifyReport> VerifyData(const std::string& path, int threads = 0,
                                        std::optional<ForeignFormat> format = std::nullopt, const MdsOptions& mds = {});

}  // namespace ingot
