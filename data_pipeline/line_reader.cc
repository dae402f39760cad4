#include "data_pipeline/line_reader.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace ingot {

constexpr size_t kFirstBufferBytes = size_t{1} << 20;

LineReader::LineReader(std::unique_ptr<CompressedFile> file, std::string path, uint64_t max_line_bytes)
    : file_(std::move(file)),
      path_(std::move(path)),
      max_line_bytes_(max_line_bytes),
      buffer_(kFirstBufferBytes + kPadding) {}

absl::Status LineReader::ReadMore() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    scanned_ -= begin_;
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ > max_line_bytes_) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ":", line_number_ + 1, ": the line has more than ", max_line_bytes_, " bytes"));
  }
  if (end_ + kPadding == buffer_.size()) buffer_.resize(2 * end_ + kPadding);
  INGOT_ASSIGN_OR_RETURN(const size_t got, file_->Read(buffer_.data() + end_, buffer_.size() - kPadding - end_));
  end_ += got;
  at_end_ = got == 0;
  return absl::OkStatus();
}

absl::StatusOr<bool> LineReader::Next(absl::string_view& line) {
  for (;;) {
    const char* start = buffer_.data() + begin_;
    const void* found = std::memchr(buffer_.data() + scanned_, '\n', end_ - scanned_);
    if (found == nullptr && !at_end_) {
      scanned_ = end_;
      INGOT_RETURN_IF_ERROR(ReadMore());
      continue;
    }
    if (found == nullptr && begin_ == end_) return false;
    const char* stop = found != nullptr ? static_cast<const char*>(found) : buffer_.data() + end_;
    line = absl::string_view(start, static_cast<size_t>(stop - start));
    begin_ += line.size() + (found != nullptr ? 1 : 0);
    scanned_ = begin_;
    ++line_number_;
    return true;
  }
}

}  // namespace ingot
