// libingot_parquet.so: ParquetTable by Apache's library. Its exceptions end here.
#include <arrow/io/file.h>
#include <parquet/api/reader.h>
#include <parquet/exception.h>

#include <algorithm>
#include <array>
#include <optional>
#include <stdexcept>

#include "data_pipeline/parquet/table.h"

namespace ingot {
namespace {

constexpr int64_t kBatch = 256;                        // values decoded at once
constexpr int64_t kStreamBuffer = int64_t{256} << 10;  // of a column chunk's bytes; else all of them are held

// What `body` returns; where it throws, `failed`, with the reason in `error`.
template <typename Result, typename Body>
Result Guarded(Result failed, std::string& error, const Body& body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    error = "out of memory; the file asks for more than there is, or is damaged";
  } catch (const std::exception& thrown) {
    error = thrown.what();
  } catch (...) {
    error = "the Parquet library failed without a reason";
  }
  return failed;
}

std::string Quoted(const std::string& name) { return "\"" + name + "\""; }

std::optional<ParquetType> TypeOf(const parquet::ColumnDescriptor& column) {
  const auto& logical = column.logical_type();
  const bool plain = logical == nullptr || logical->is_none() || logical->is_invalid();
  switch (column.physical_type()) {
    case parquet::Type::BOOLEAN:
      return ParquetType::kBool;
    case parquet::Type::INT32:
    case parquet::Type::INT64:
      if (plain || logical->is_int()) return ParquetType::kNumber;
      return std::nullopt;
    case parquet::Type::FLOAT:
    case parquet::Type::DOUBLE:
      return ParquetType::kNumber;
    case parquet::Type::BYTE_ARRAY:
      if (plain || logical->is_string() || logical->is_enum() || logical->is_JSON()) return ParquetType::kString;
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

bool IsUnsigned(const parquet::ColumnDescriptor& column) {
  const auto& logical = column.logical_type();
  return logical != nullptr && logical->is_int() && !static_cast<const parquet::IntLogicalType&>(*logical).is_signed();
}

// `"id", "meta.score"`: what the file has instead of the column that was wanted.
std::string ColumnNames(const parquet::SchemaDescriptor& schema) {
  constexpr int kMostNames = 8;
  std::string names;
  for (int i = 0; i < std::min(schema.num_columns(), kMostNames); ++i) {
    names += (i > 0 ? ", " : "") + Quoted(schema.Column(i)->path()->ToDotString());
  }
  if (schema.num_columns() > kMostNames) names += ", …";
  return names.empty() ? "no column" : names;
}

// The place of a column among the leaves of the schema.
int FindColumn(const parquet::SchemaDescriptor& schema, const std::string& name) {
  const int found = schema.ColumnIndex(name);
  for (int i = 0; found < 0 && i < schema.num_columns(); ++i) {
    const std::string path = schema.Column(i)->path()->ToDotString();
    if (path.compare(0, name.size() + 1, name + ".") != 0) continue;
    throw std::runtime_error("the column " + Quoted(name) + " is nested: it holds " + Quoted(path) +
                             "; expected a column of texts, numbers or true and false");
  }
  if (found < 0) {
    throw std::runtime_error("expected a column " + Quoted(name) + "; found " + ColumnNames(schema));
  }
  const parquet::ColumnDescriptor& column = *schema.Column(found);
  if (column.max_repetition_level() > 0) {
    throw std::runtime_error("the column " + Quoted(name) +
                             " is in a list; expected one text, number or true or false a row");
  }
  if (!TypeOf(column)) {
    const bool plain = column.logical_type() == nullptr || column.logical_type()->is_none();
    throw std::runtime_error(
        "the column " + Quoted(name) + " is of type " +
        (plain ? parquet::TypeToString(column.physical_type()) : column.logical_type()->ToString()) +
        "; expected texts, integers, floats of 32 or 64 bits, or true and false");
  }
  return found;
}

// The values of one column of one row group.
class Column {
 public:
  virtual ~Column() = default;
  // False at the end. Throws where the file is damaged.
  virtual bool Next(ParquetCell& cell) = 0;
};

template <typename Type>
class TypedColumn : public Column {
 public:
  explicit TypedColumn(std::shared_ptr<parquet::ColumnReader> reader)
      : reader_(std::static_pointer_cast<parquet::TypedColumnReader<Type>>(std::move(reader))),
        present_(reader_->descr()->max_definition_level()),
        is_unsigned_(IsUnsigned(*reader_->descr())) {}

  bool Next(ParquetCell& cell) override {
    if (level_ == levels_ && !Refill()) return false;
    cell.null = present_ > 0 && definitions_[static_cast<size_t>(level_)] != present_;
    ++level_;
    if (!cell.null) Set(values_[static_cast<size_t>(value_++)], cell);
    return true;
  }

 private:
  using Value = typename Type::c_type;

  // One page at most: a string's bytes lie in the page, and hold until the next call.
  bool Refill() {
    level_ = value_ = levels_ = 0;
    if (!reader_->HasNext()) return false;
    int64_t values = 0;
    levels_ = reader_->ReadBatch(kBatch, definitions_.data(), nullptr, values_.data(), &values);
    const auto end = definitions_.begin() + levels_;
    const int64_t wanted = present_ > 0 ? std::count(definitions_.begin(), end, present_) : levels_;
    if (levels_ <= 0 || values != wanted) throw std::runtime_error("a page has fewer values than it says");
    return true;
  }

  void Set(const Value& value, ParquetCell& cell) const {
    if constexpr (std::is_same_v<Value, parquet::ByteArray>) {
      cell.text = {reinterpret_cast<const char*>(value.ptr), value.len};
    } else if constexpr (std::is_same_v<Value, bool>) {
      cell.flag = value;
    } else if constexpr (std::is_integral_v<Value>) {
      cell.number = is_unsigned_ ? static_cast<double>(static_cast<std::make_unsigned_t<Value>>(value))
                                 : static_cast<double>(value);
    } else {
      cell.number = static_cast<double>(value);
    }
  }

  std::shared_ptr<parquet::TypedColumnReader<Type>> reader_;
  int16_t present_;  // the definition level of a value that is not null
  bool is_unsigned_;
  std::array<int16_t, kBatch> definitions_ = {};
  std::array<Value, kBatch> values_ = {};
  int64_t level_ = 0, value_ = 0, levels_ = 0;
};

std::unique_ptr<Column> MakeColumn(std::shared_ptr<parquet::ColumnReader> reader) {
  switch (reader->type()) {
    case parquet::Type::BOOLEAN:
      return std::make_unique<TypedColumn<parquet::BooleanType>>(std::move(reader));
    case parquet::Type::INT32:
      return std::make_unique<TypedColumn<parquet::Int32Type>>(std::move(reader));
    case parquet::Type::INT64:
      return std::make_unique<TypedColumn<parquet::Int64Type>>(std::move(reader));
    case parquet::Type::FLOAT:
      return std::make_unique<TypedColumn<parquet::FloatType>>(std::move(reader));
    case parquet::Type::DOUBLE:
      return std::make_unique<TypedColumn<parquet::DoubleType>>(std::move(reader));
    case parquet::Type::BYTE_ARRAY:
      return std::make_unique<TypedColumn<parquet::ByteArrayType>>(std::move(reader));
    default:
      throw std::runtime_error("a column is of another type than the schema says");
  }
}

std::string Where(int row_group, const std::string& column) {
  return "row group " + std::to_string(row_group) + ", column " + Quoted(column) + ": ";
}

class Rows : public ParquetRows {
 public:
  Rows(std::unique_ptr<parquet::ParquetFileReader> file, int row_group, const std::vector<int>& columns)
      : file_(std::move(file)), group_(file_->RowGroup(row_group)), row_group_(row_group) {
    rows_ = group_->metadata()->num_rows();
    for (const int column : columns) {
      names_.push_back(file_->metadata()->schema()->Column(column)->path()->ToDotString());
      columns_.push_back(MakeColumn(group_->Column(column)));
    }
  }

  bool Next(std::vector<ParquetCell>& cells, std::string& error) override {
    if (row_ == rows_) return false;
    cells.resize(columns_.size());
    for (size_t i = 0; i < columns_.size(); ++i) {
      const bool found = Guarded(false, error, [&] { return columns_[i]->Next(cells[i]); });
      if (found) continue;
      if (error.empty()) error = "ends after " + std::to_string(row_) + " of " + std::to_string(rows_) + " rows";
      error = Where(row_group_, names_[i]) + error;
      return false;
    }
    ++row_;
    return true;
  }

 private:
  std::unique_ptr<parquet::ParquetFileReader> file_;
  std::shared_ptr<parquet::RowGroupReader> group_;
  const int row_group_;
  std::vector<std::string> names_;
  std::vector<std::unique_ptr<Column>> columns_;
  int64_t rows_ = 0, row_ = 0;
};

class Table : public ParquetTable {
 public:
  // Throws.
  Table(const std::string& path, const std::vector<std::string>& columns) {
    const auto opened = arrow::io::ReadableFile::Open(path);
    if (!opened.ok()) throw std::runtime_error(opened.status().message());
    source_ = *opened;
    RefuseEncryptedFooter();
    properties_.enable_buffered_stream();
    properties_.set_buffer_size(kStreamBuffer);
    properties_.set_page_checksum_verification(true);
    metadata_ = parquet::ParquetFileReader::Open(source_, properties_)->metadata();
    for (const std::string& name : columns) {
      columns_.push_back(FindColumn(*metadata_->schema(), name));
      types_.push_back(*TypeOf(*metadata_->schema()->Column(columns_.back())));
    }
    for (int g = 0; g < row_groups(); ++g) CheckRowGroup(g);
  }

  int row_groups() const override { return metadata_->num_row_groups(); }
  int64_t rows(int row_group) const override { return rows_[static_cast<size_t>(row_group)]; }
  ParquetType type(size_t column) const override { return types_[column]; }

  std::unique_ptr<ParquetRows> OpenRowGroup(int row_group, std::string& error) const override {
    std::unique_ptr<ParquetRows> rows = Guarded(std::unique_ptr<ParquetRows>(), error, [&] {
      return std::unique_ptr<ParquetRows>(std::make_unique<Rows>(OpenReader(), row_group, columns_));
    });
    if (rows == nullptr) error = "row group " + std::to_string(row_group) + ": " + error;
    return rows;
  }

  bool VisitStrings(const std::function<void(std::string_view)>& visit, std::string& error) const override {
    return Guarded(false, error, [&] {
      const auto file = OpenReader();
      for (int g = 0; g < row_groups(); ++g) VisitStringsOf(*file->RowGroup(g), visit);
      return true;
    });
  }

 private:
  std::unique_ptr<parquet::ParquetFileReader> OpenReader() const {
    return parquet::ParquetFileReader::Open(source_, properties_, metadata_);
  }

  // The library says of these that their keys are missing; a user has to know what that means.
  void RefuseEncryptedFooter() const {
    constexpr int64_t kMagicBytes = 4;
    const auto size = source_->GetSize();
    if (!size.ok() || *size < kMagicBytes) return;
    const auto magic = source_->ReadAt(*size - kMagicBytes, kMagicBytes);
    if (!magic.ok() || (*magic)->ToString() != "PARE") return;
    throw std::runtime_error("the file is encrypted; expected one that is not");
  }

  void CheckRowGroup(int row_group) {
    const auto group = metadata_->RowGroup(row_group);
    if (group->num_rows() < 0) throw std::runtime_error("a row group says that it has less than no rows");
    rows_.push_back(group->num_rows());
    for (const int column : columns_) {
      if (!IsEncrypted(*group, column)) continue;
      throw std::runtime_error("the column " + Quoted(metadata_->schema()->Column(column)->path()->ToDotString()) +
                               " is encrypted; expected one that is not");
    }
  }

  // With a key of its own, not even what stands about the column in the footer can be read.
  bool IsEncrypted(const parquet::RowGroupMetaData& group, int column) const {
    if (!metadata_->is_encryption_algorithm_set()) return false;
    try {
      return group.ColumnChunk(column)->crypto_metadata() != nullptr;
    } catch (const parquet::ParquetException&) {
      return true;
    }
  }

  void VisitStringsOf(parquet::RowGroupReader& group, const std::function<void(std::string_view)>& visit) const {
    for (int i = 0; i < metadata_->num_columns(); ++i) {
      if (TypeOf(*metadata_->schema()->Column(i)) != ParquetType::kString) continue;
      TypedColumn<parquet::ByteArrayType> column(group.Column(i));
      for (ParquetCell cell; column.Next(cell);) {
        if (!cell.null) visit(cell.text);
      }
    }
  }

  std::shared_ptr<arrow::io::ReadableFile> source_;
  parquet::ReaderProperties properties_;
  std::shared_ptr<parquet::FileMetaData> metadata_;
  std::vector<int> columns_;
  std::vector<ParquetType> types_;
  std::vector<int64_t> rows_;
};

}  // namespace
}  // namespace ingot

extern "C" __attribute__((visibility("default"))) ingot::ParquetTable* IngotOpenParquet1(
    const std::string& path, const std::vector<std::string>& columns, std::string& error) {
  return ingot::Guarded(static_cast<ingot::ParquetTable*>(nullptr), error,
                        [&]() -> ingot::ParquetTable* { return new ingot::Table(path, columns); });
}
