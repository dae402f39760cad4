#include "data_pipeline/best_fit.h"

#include <algorithm>
#include <bit>
#include <list>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace ingot {
namespace {

// Part of a document: tokens [first, first + length) of the stream.
struct Part {
  int64_t first = 0, length = 0;
  bool ends_document = false;
};

// The rows of one window: row r holds parts [row_begin[r], row_begin[r + 1]).
struct PackedWindow {
  int64_t index = -1;
  std::vector<Part> parts;
  std::vector<size_t> row_begin;
};

// Rows by the room they have left, 0 … T; the next larger room that occurs is found over a bitmap.
class RowsByRoom {
 public:
  RowsByRoom(size_t T, size_t rows) : last_(T + 1, kNone), next_(rows, kNone), occurs_(T / 64 + 1) {}

  void Put(size_t row, size_t room) {
    next_[row] = last_[room];
    last_[room] = row;
    occurs_[room / 64] |= uint64_t{1} << (room % 64);
  }
  // Takes out a row with the least room >= `length`, the last one put of those; false if there is none.
  bool Take(size_t length, size_t& row, size_t& room) {
    size_t word = length / 64;
    uint64_t bits = occurs_[word] & (~uint64_t{0} << (length % 64));
    while (bits == 0) {
      if (++word == occurs_.size()) return false;
      bits = occurs_[word];
    }
    room = word * 64 + static_cast<size_t>(std::countr_zero(bits));
    row = last_[room];
    last_[room] = next_[row];
    if (last_[room] == kNone) occurs_[word] &= ~(uint64_t{1} << (room % 64));
    return true;
  }

 private:
  static constexpr size_t kNone = SIZE_MAX;
  std::vector<size_t> last_, next_;  // stacks of rows, linked
  std::vector<uint64_t> occurs_;
};

// The documents' parts in [first, first + tokens), none longer than T.
absl::StatusOr<std::vector<Part>> PartsOf(const TokenStream& stream, int64_t first, int64_t tokens, int64_t T) {
  std::vector<Part> parts;
  const int64_t last = first + tokens;
  int64_t begin = first;
  const auto add = [&](int64_t end, bool ends_document) {
    for (; begin + T < end; begin += T) parts.push_back({begin, T, false});
    parts.push_back({begin, end - begin, ends_document});
    begin = end;
  };
  for (TokenStream::Ends ends(stream, first); !ends.done() && ends.value() <= last; ends.Next()) {
    if (ends.value() <= begin) {
      return absl::DataLossError(
          absl::StrCat("the document that begins at token ", begin, " ends at token ", ends.value()));
    }
    add(ends.value(), true);
  }
  if (begin < last) add(last, false);
  return parts;
}

// Parts given a row each; those that fit nowhere are cut over the gaps.
class Packing {
 public:
  Packing(size_t T, size_t rows) : by_room_(T, rows), of_row_(rows), room_(rows, T) {
    for (size_t row = rows; row > 0; --row) by_room_.Put(row - 1, T);
  }

  void Place(std::vector<Part>& parts) {
    std::stable_sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.length > b.length; });
    std::vector<Part> left;
    for (const Part& part : parts) {
      size_t row = 0, room = 0;
      if (!by_room_.Take(static_cast<size_t>(part.length), row, room)) {
        left.push_back(part);
        continue;
      }
      Add(row, part);
      by_room_.Put(row, room_[row]);
    }
    FillGaps(left);
  }

  PackedWindow Finish() const {
    PackedWindow window;
    for (const std::vector<Part>& row : of_row_) {
      window.row_begin.push_back(window.parts.size());
      window.parts.insert(window.parts.end(), row.begin(), row.end());
    }
    window.row_begin.push_back(window.parts.size());
    return window;
  }

 private:
  void Add(size_t row, const Part& part) {
    of_row_[row].push_back(part);
    room_[row] -= static_cast<size_t>(part.length);
  }
  void FillGaps(const std::vector<Part>& left) {
    size_t row = 0;
    for (Part part : left) {
      while (part.length > 0) {
        while (room_[row] == 0) ++row;
        const int64_t taken = std::min(part.length, static_cast<int64_t>(room_[row]));
        Add(row, {part.first, taken, part.ends_document && taken == part.length});
        part.first += taken;
        part.length -= taken;
      }
    }
  }

  RowsByRoom by_room_;
  std::vector<std::vector<Part>> of_row_;
  std::vector<size_t> room_;
};

absl::StatusOr<PackedWindow> Pack(const TokenStream& stream, int64_t T, int64_t index) {
  const int64_t size = PackedRows(T) * T, first = index * size;
  const int64_t rows = std::min(size, stream.tokens() - first) / T;
  INGOT_ASSIGN_OR_RETURN(std::vector<Part> parts, PartsOf(stream, first, rows * T, T));
  Packing packing(static_cast<size_t>(T), static_cast<size_t>(rows));
  packing.Place(parts);
  PackedWindow window = packing.Finish();
  window.index = index;
  return window;
}

class PackedRowsOf : public Sequences {
 public:
  PackedRowsOf(const TokenStream& stream, int64_t T, int64_t kept)
      : stream_(stream), T_(T), rows_(PackedRows(T)), kept_(static_cast<size_t>(std::max<int64_t>(kept, 1))) {}

  int64_t count() const override { return stream_.tokens() / T_; }

  absl::Status Read(int64_t row, int32_t* tokens, std::vector<Segment>* segments, int32_t* next) const override {
    INGOT_ASSIGN_OR_RETURN(const std::shared_ptr<const PackedWindow> window, WindowOf(row / rows_));
    const auto r = static_cast<size_t>(row % rows_);
    if (segments != nullptr) segments->clear();
    int64_t at = 0;
    for (size_t p = window->row_begin[r]; p < window->row_begin[r + 1]; ++p) {
      const Part& part = window->parts[p];
      const int64_t after = part.first + part.length;
      stream_.Copy(part.first, part.length, tokens + at);
      int32_t following = -1;
      if (after < stream_.tokens()) stream_.Copy(after, 1, &following);
      if (segments != nullptr) segments->push_back({at, at + part.length, part.first, following, part.ends_document});
      if (next != nullptr) *next = following;
      at += part.length;
    }
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<std::shared_ptr<const PackedWindow>> WindowOf(int64_t index) const {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(packed_.begin(), packed_.end(), [&](const auto& w) { return w->index == index; });
    if (found != packed_.end()) {
      packed_.splice(packed_.begin(), packed_, found);
      return packed_.front();
    }
    INGOT_ASSIGN_OR_RETURN(PackedWindow window, Pack(stream_, T_, index));
    if (packed_.size() == kept_) packed_.pop_back();
    packed_.push_front(std::make_shared<const PackedWindow>(std::move(window)));
    return packed_.front();
  }

  const TokenStream& stream_;
  const int64_t T_, rows_;
  const size_t kept_;
  mutable std::mutex mutex_;
  mutable std::list<std::shared_ptr<const PackedWindow>> packed_;  // the one last used first
};

}  // namespace

std::unique_ptr<Sequences> MakePackedRows(const TokenStream& stream, int64_t T, int64_t kept) {
  return std::make_unique<PackedRowsOf>(stream, T, kept);
}

absl::StatusOr<PackingReport> ReportPacking(const TokenStream& stream, int64_t T) {
  PackingReport report = {.rows = stream.tokens() / T, .tokens = stream.tokens() / T * T};
  int64_t begin = 0;
  for (TokenStream::Ends ends(stream, 0); !ends.done(); ends.Next(), ++report.documents) {
    report.longer_than_row += ends.value() - begin > T ? 1 : 0;
    report.cut_by_windows += begin / T != (ends.value() - 1) / T ? 1 : 0;
    begin = ends.value();
  }
  const int32_t end_of_text = stream.shards().empty() ? -1 : stream.shards().front().info().end_of_text;
  const int64_t rows = PackedRows(T), windows = (report.rows + rows - 1) / rows;
  for (int64_t w = 0; w < windows; ++w) {
    INGOT_ASSIGN_OR_RETURN(const PackedWindow window, Pack(stream, T, w));
    int64_t whole = 0;  // parts that are a document from its first token to its last
    for (const Part& part : window.parts) {
      if (!part.ends_document) continue;
      int32_t before = 0;
      if (part.first > 0) stream.Copy(part.first - 1, 1, &before);
      whole += part.first == 0 || before == end_of_text ? 1 : 0;
    }
    report.cut_by_best_fit -= whole;
  }
  report.cut_by_best_fit += report.documents;
  return report;
}

}  // namespace ingot
