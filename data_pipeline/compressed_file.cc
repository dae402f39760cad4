#include "data_pipeline/compressed_file.h"

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <cerrno>
#include <cstdio>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status_macros.h"

namespace ingot {
namespace {

constexpr size_t kInputBytes = size_t{1} << 18;  // larger reads do not speed up either decoder

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

// A file read without buffering of its own.
class RawFile {
 public:
  RawFile(std::FILE* file, std::string path) : file_(file), path_(std::move(path)) {
    std::setvbuf(file, nullptr, _IONBF, 0);
  }
  absl::StatusOr<size_t> Read(char* out, size_t size) {
    const size_t got = std::fread(out, 1, size, file_.get());
    if (got == 0 && std::ferror(file_.get())) {
      return absl::ErrnoToStatus(errno, absl::StrCat(path_, ": reading failed"));
    }
    consumed_ += got;
    return got;
  }
  uint64_t consumed() const { return consumed_; }
  const std::string& path() const { return path_; }

 private:
  std::unique_ptr<std::FILE, CloseFile> file_;
  std::string path_;
  uint64_t consumed_ = 0;
};

class PlainFile : public CompressedFile {
 public:
  explicit PlainFile(RawFile file) : file_(std::move(file)) {}
  absl::StatusOr<size_t> Read(char* out, size_t size) override { return file_.Read(out, size); }
  uint64_t bytes_consumed() const override { return file_.consumed(); }

 private:
  RawFile file_;
};

absl::Status Truncated(const RawFile& file, absl::string_view kind) {
  return absl::DataLossError(absl::StrCat(file.path(), ": the ", kind, " data ends too early, after ", file.consumed(),
                                          " bytes; the file is truncated, fetch or compress it again"));
}

absl::Status Corrupt(const RawFile& file, absl::string_view kind, absl::string_view reason) {
  return absl::DataLossError(absl::StrCat(file.path(), ": not valid ", kind, " data before byte ", file.consumed(),
                                          " (", reason, "); fetch or compress it again"));
}

class GzipFile : public CompressedFile {
 public:
  explicit GzipFile(RawFile file) : file_(std::move(file)), input_(kInputBytes) {}
  GzipFile(const GzipFile&) = delete;
  GzipFile& operator=(const GzipFile&) = delete;
  ~GzipFile() override { inflateEnd(&stream_); }

  absl::Status Init() {
    constexpr int kGzipWrapper = 16;  // added to the window bits: expect a gzip header, check its CRC
    if (inflateInit2(&stream_, MAX_WBITS + kGzipWrapper) == Z_OK) return absl::OkStatus();
    return absl::ResourceExhaustedError(absl::StrCat(file_.path(), ": no memory for the gzip decoder"));
  }

  absl::StatusOr<size_t> Read(char* out, size_t size) override {
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = static_cast<uInt>(std::min(size, kInputBytes * 4));
    const size_t room = stream_.avail_out;
    while (stream_.avail_out == room) {
      if (stream_.avail_in == 0) {
        INGOT_ASSIGN_OR_RETURN(const bool more, Refill());
        if (!more && inside_member_) return Truncated(file_, "gzip");
        if (!more) return size_t{0};
      }
      INGOT_RETURN_IF_ERROR(Inflate());
    }
    return room - stream_.avail_out;
  }
  uint64_t bytes_consumed() const override { return file_.consumed(); }

 private:
  absl::StatusOr<bool> Refill() {
    INGOT_ASSIGN_OR_RETURN(const size_t got, file_.Read(input_.data(), input_.size()));
    stream_.next_in = reinterpret_cast<Bytef*>(input_.data());
    stream_.avail_in = static_cast<uInt>(got);
    return got > 0;
  }
  absl::Status Inflate() {
    inside_member_ = true;
    const int code = inflate(&stream_, Z_NO_FLUSH);
    if (code == Z_STREAM_END) {
      inside_member_ = false;
      inflateReset(&stream_);  // another member may follow
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
      return Corrupt(file_, "gzip", stream_.msg != nullptr ? stream_.msg : "unknown reason");
    }
    return absl::OkStatus();
  }

  RawFile file_;
  std::vector<char> input_;
  z_stream stream_ = {};
  // An empty file is a truncated one: a gzip file has at least one member.
  bool inside_member_ = true;
};

struct FreeDecoder {
  void operator()(ZSTD_DStream* decoder) const { ZSTD_freeDStream(decoder); }
};

class ZstdFile : public CompressedFile {
 public:
  explicit ZstdFile(RawFile file) : file_(std::move(file)), buffer_(kInputBytes), decoder_(ZSTD_createDStream()) {}

  absl::StatusOr<size_t> Read(char* out, size_t size) override {
    ZSTD_outBuffer output = {out, size, 0};
    while (output.pos == 0) {
      if (input_.pos == input_.size && !output_full_) {
        INGOT_ASSIGN_OR_RETURN(const size_t got, file_.Read(buffer_.data(), buffer_.size()));
        input_ = {buffer_.data(), got, 0};
        if (got == 0 && inside_frame_) return Truncated(file_, "zstd");
        if (got == 0) return size_t{0};
      }
      const size_t left = ZSTD_decompressStream(decoder_.get(), &output, &input_);
      if (ZSTD_isError(left)) return Failure(left);
      inside_frame_ = left != 0;
      output_full_ = output.pos == output.size && inside_frame_;
    }
    return output.pos;
  }
  uint64_t bytes_consumed() const override { return file_.consumed(); }

 private:
  absl::Status Failure(size_t code) const {
    if (ZSTD_getErrorCode(code) == ZSTD_error_frameParameter_windowTooLarge) {
      return absl::InvalidArgumentError(
          absl::StrCat(file_.path(),
                       ": compressed with a window over 128 MiB; compress it again without --long=28 "
                       "or more"));
    }
    return Corrupt(file_, "zstd", ZSTD_getErrorName(code));
  }

  RawFile file_;
  std::vector<char> buffer_;
  std::unique_ptr<ZSTD_DStream, FreeDecoder> decoder_;
  ZSTD_inBuffer input_ = {nullptr, 0, 0};
  bool inside_frame_ = true;  // an empty file is a truncated one
  bool output_full_ = false;  // the decoder may hold bytes that did not fit into the last output
};

}  // namespace

absl::StatusOr<std::unique_ptr<CompressedFile>> CompressedFile::Open(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rbe");
  if (file == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat(path, ": opening failed"));
  RawFile raw(file, path);
  if (absl::EndsWith(path, ".gz")) {
    auto gzip = std::make_unique<GzipFile>(std::move(raw));
    INGOT_RETURN_IF_ERROR(gzip->Init());
    return gzip;
  }
  if (absl::EndsWith(path, ".zst") || absl::EndsWith(path, ".zstd")) {
    return std::make_unique<ZstdFile>(std::move(raw));
  }
  return std::make_unique<PlainFile>(std::move(raw));
}

std::string NameWithoutCompression(const std::string& path) {
  absl::string_view name = path;
  for (const char* ending : {".gz", ".zst", ".zstd"}) {
    if (absl::ConsumeSuffix(&name, ending)) break;
  }
  return std::string(name);
}

}  // namespace ingot
