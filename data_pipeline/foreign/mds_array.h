#pragma once
// Cells of MDS columns that hold numbers, as ids. Internal to MdsDirectory.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ingot {

// How a column's cells hold their numbers.
struct MdsEncoding {
  std::optional<int> type = {};  // an integer type of the format (mds_array.cc); none: the cell's first byte says
  bool has_shape = true;         // the cell says its dimensions; else they are fixed, or there are none ("bytes")
};

// "ndarray", "ndarray:TYPE", "ndarray:TYPE:SHAPE", or "bytes" with `bytes_type`. Others hold no ids: an error.
absl::StatusOr<MdsEncoding> ParseMdsEncoding(const std::string& encoding, const std::string& bytes_type);

// The numbers of a cell, of any bytes. Errors: damaged, or a number outside [0, vocabulary).
absl::Status ReadMdsCell(std::span<const std::byte> cell, const MdsEncoding& encoding, int64_t vocabulary,
                         std::vector<int32_t>& ids);

}  // namespace ingot
