#pragma once
// What this project needs of a Parquet file: the rows of one row group, of the columns that were asked for; and every
// string of a file. This is the door between the programs and libingot_parquet.so, which alone knows Apache's library
// and is opened when the first .parquet file is (library.h). Both sides are built together, from this header. No
// exception passes the door: what fails says why in `error`.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ingot {

// Integers of any width and floats of 32 and 64 bits are numbers; texts are strings, enums, JSON and bytes without a
// meaning (older writers' strings). Dates, times, decimals and 16-bit floats are none of them.
enum class ParquetType { kNumber, kBool, kString };

// A value; the field of its column's type holds, unless it is null.
struct ParquetCell {
  bool null = true;
  bool flag = false;
  double number = 0;
  std::string_view text = {};
};

// The rows of one row group. One thread.
class ParquetRows {
 public:
  virtual ~ParquetRows() = default;
  // The next row's cells, in the order of the columns that were asked for, valid until the next call. False at the end,
  // and with `error` filled where the file is damaged.
  virtual bool Next(std::vector<ParquetCell>& cells, std::string& error) = 0;
};

class ParquetTable {
 public:
  virtual ~ParquetTable() = default;
  virtual int row_groups() const = 0;
  virtual int64_t rows(int row_group) const = 0;
  // Of the columns that were asked for, by their place.
  virtual ParquetType type(size_t column) const = 0;
  // From any thread. Memory: a page of each column, compressed and not. Null with `error` filled.
  virtual std::unique_ptr<ParquetRows> OpenRowGroup(int row_group, std::string& error) const = 0;
  // Every string of the file, at any depth, column after column within a row group. False with `error` filled.
  virtual bool VisitStrings(const std::function<void(std::string_view)>& visit, std::string& error) const = 0;
};

// Opens `path`. A column is named by its path: names joined by "." lead into nested structs. A column that is missing,
// nested itself, in a list, encrypted or of a type without a ParquetType fails by name.
using OpenParquetFunction = ParquetTable*(const std::string& path, const std::vector<std::string>& columns,
                                          std::string& error);
// What libingot_parquet.so exports. The number changes with this header: a library that was left over is not used.
inline constexpr char kOpenParquetSymbol[] = "IngotOpenParquet1";

}  // namespace ingot
