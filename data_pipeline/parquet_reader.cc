#include "data_pipeline/parquet_reader.h"

#include <simdjson.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/base/threads.h"
#include "data_pipeline/chunk_order.h"
#include "data_pipeline/curation/predicate.h"
#include "data_pipeline/parquet/library.h"

namespace ingot {
namespace {

constexpr size_t kChunkBytes = size_t{1} << 20;  // of text, and of places of its ends
constexpr int kMostThreads = 8;                  // feed more encoders than a machine has

// Rows in a row of one row group: the texts of those that stay, and how many do not.
struct Chunk {
  std::string text;
  std::vector<size_t> ends;
  int64_t rows = 0, left_out = 0, bad = 0;
  absl::Status status;  // why there is no row behind these
  bool full() const { return text.size() + ends.size() * sizeof(size_t) >= kChunkBytes; }
};

ColumnValue ValueOf(ParquetType type, const ParquetCell& cell) {
  if (type == ParquetType::kNumber) return cell.number;
  if (type == ParquetType::kBool) return cell.flag;
  return std::string(cell.text);
}

// Rows to chunks. The columns are those of the predicates and then the text. Used by many threads.
class RowFilter {
 public:
  RowFilter(std::unique_ptr<ParquetTable> table, std::string path, const DocumentOptions& options,
            std::vector<Predicate> where)
      : table_(std::move(table)), path_(std::move(path)), options_(options), where_(std::move(where)) {
    for (int g = 0; g < table_->row_groups(); ++g) {
      first_rows_.push_back(rows_);
      rows_ += table_->rows(g);
    }
  }

  absl::Status CheckTypes() const {
    for (size_t i = 0; i < where_.size(); ++i) {
      if (const auto holds = where_[i].Holds(ValueOf(table_->type(i), {})); !holds.ok()) {
        return absl::InvalidArgumentError(
            absl::StrCat(path_, ": the column of a predicate is of another type: ", holds.status().message()));
      }
    }
    if (table_->type(where_.size()) == ParquetType::kString) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": expected texts in the column \"", options_.text_field, "\"; found ",
                     table_->type(where_.size()) == ParquetType::kBool ? "true and false" : "numbers",
                     "; --field names another column"));
  }

  int row_groups() const { return table_->row_groups(); }
  int64_t rows() const { return rows_; }

  // Hands the rows of a row group to `put` in chunks, until it returns false.
  template <typename Put>
  void Read(int row_group, const Put& put) const {
    std::string error;
    const std::unique_ptr<ParquetRows> rows = table_->OpenRowGroup(row_group, error);
    std::vector<ParquetCell> cells;
    int64_t row = first_rows_[static_cast<size_t>(row_group)];
    Chunk chunk;
    while (rows != nullptr && rows->Next(cells, error)) {
      chunk.status = Add(cells, ++row, chunk);
      if (!chunk.status.ok()) break;
      if (chunk.full() && !put(std::exchange(chunk, {}))) return;
    }
    if (!error.empty()) {
      chunk.status = absl::DataLossError(absl::StrCat(path_, ": ", error, "; the file is damaged, fetch it again"));
    }
    put(std::move(chunk));
  }

 private:
  absl::Status Add(const std::vector<ParquetCell>& cells, int64_t row, Chunk& chunk) const {
    ++chunk.rows;
    for (size_t i = 0; i < where_.size(); ++i) {
      INGOT_ASSIGN_OR_RETURN(const bool holds, Holds(i, cells[i]));
      if (holds) continue;
      ++chunk.left_out;
      return absl::OkStatus();
    }
    const ParquetCell& text = cells.back();
    const bool bad = text.null || !simdjson::validate_utf8(text.text.data(), text.text.size());
    if (bad && !options_.skip_bad_lines) return Bad(row, text.null ? "null" : "bytes that are not UTF-8");
    chunk.bad += bad;
    if (bad) return absl::OkStatus();
    if (text.text.size() > options_.max_document_bytes) {
      return absl::InvalidArgumentError(absl::StrCat(path_, ": row ", row, ": a document of more than ",
                                                     options_.max_document_bytes, " bytes; split it"));
    }
    chunk.text.append(text.text);
    chunk.ends.push_back(chunk.text.size());
    return absl::OkStatus();
  }

  absl::StatusOr<bool> Holds(size_t column, const ParquetCell& cell) const {
    if (cell.null) return false;
    return where_[column].Holds(ValueOf(table_->type(column), cell));
  }

  absl::Status Bad(int64_t row, absl::string_view found) const {
    return absl::InvalidArgumentError(absl::StrCat(path_, ": row ", row, ": expected text in the column \"",
                                                   options_.text_field, "\"; found ", found,
                                                   "; --field names another column, --skip-bad-lines passes over"));
  }

  std::unique_ptr<ParquetTable> table_;
  std::string path_;
  DocumentOptions options_;
  std::vector<Predicate> where_;
  std::vector<int64_t> first_rows_;  // of each row group
  int64_t rows_ = 0;
};

class ParquetDocuments : public DocumentSource {
 public:
  ParquetDocuments(std::unique_ptr<RowFilter> filter, uint64_t file_bytes, int threads, DocumentCounts& counts)
      : filter_(std::move(filter)),
        file_bytes_(file_bytes),
        counts_(counts),
        order_(filter_->row_groups(), 2 * threads) {
    for (int i = 0; i < std::min(threads, filter_->row_groups()); ++i) threads_.emplace_back([this] { Decode(); });
  }
  ParquetDocuments(const ParquetDocuments&) = delete;
  ParquetDocuments& operator=(const ParquetDocuments&) = delete;
  ~ParquetDocuments() override {
    order_.Stop();
    for (std::thread& thread : threads_) thread.join();
  }

  absl::StatusOr<bool> Next(std::string& text) override {
    while (at_ == chunk_.ends.size()) {
      if (!chunk_.status.ok()) return chunk_.status;
      at_ = 0;
      if (!order_.Take(chunk_)) {
        chunk_ = {};
        return false;
      }
      rows_ += chunk_.rows;
      counts_.curation.column_documents += chunk_.left_out;
      counts_.bad_lines += chunk_.bad;
    }
    const size_t begin = at_ == 0 ? 0 : chunk_.ends[at_ - 1];
    text.assign(chunk_.text, begin, chunk_.ends[at_++] - begin);
    return true;
  }

  // The share of the rows that has been read.
  uint64_t bytes_consumed() const override {
    if (rows_ == filter_->rows()) return file_bytes_;
    return static_cast<uint64_t>(static_cast<double>(file_bytes_) * static_cast<double>(rows_) /
                                 static_cast<double>(filter_->rows()));
  }

 private:
  void Decode() {
    while (const std::optional<int> group = order_.Begin()) {
      filter_->Read(*group, [&](Chunk chunk) { return order_.Put(*group, std::move(chunk)); });
      order_.End(*group);
    }
  }

  std::unique_ptr<RowFilter> filter_;
  uint64_t file_bytes_;
  DocumentCounts& counts_;
  ChunkOrder<Chunk> order_;
  Chunk chunk_;
  size_t at_ = 0;  // in chunk_.ends
  int64_t rows_ = 0;
  std::vector<std::thread> threads_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<DocumentSource>> OpenParquetFile(const std::string& path, const DocumentOptions& options,
                                                                DocumentCounts& counts) {
  INGOT_ASSIGN_OR_RETURN(std::vector<Predicate> where, ParsePredicates(options.curation.where));
  std::vector<std::string> columns;
  for (const Predicate& predicate : where) columns.push_back(absl::StrJoin(predicate.path(), "."));
  columns.push_back(options.text_field);
  INGOT_ASSIGN_OR_RETURN(std::unique_ptr<ParquetTable> table, OpenParquet(path, columns));
  INGOT_ASSIGN_OR_RETURN(const uint64_t bytes, FileSize(path));
  auto filter = std::make_unique<RowFilter>(std::move(table), path, options, std::move(where));
  INGOT_RETURN_IF_ERROR(filter->CheckTypes());
  const int threads = options.decode_threads > 0 ? options.decode_threads : AvailableProcessors();
  return std::make_unique<ParquetDocuments>(std::move(filter), bytes, std::min(threads, kMostThreads), counts);
}

}  // namespace ingot
