#pragma once
// Parquet files by Apache's library, which is not part of the programs: libingot_parquet.so is built where the library is
// (tools/install_dependencies.sh --parquet) and opened at the first .parquet file. It lies beside the program or in lib/
// there; LD_LIBRARY_PATH names other folders.
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "data_pipeline/parquet/table.h"

namespace ingot {

// Why Parquet files cannot be read here and what to do about it, or OK.
absl::Status ParquetIsThere();

// Every error names the file.
absl::StatusOr<std::unique_ptr<ParquetTable>> OpenParquet(const std::string& path,
                                                          const std::vector<std::string>& columns);

}  // namespace ingot
