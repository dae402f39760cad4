#include "core/base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/crc32c.h"
#include "core/base/status_macros.h"

namespace ingot {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;  // one write(2) a MiB keeps the call's cost invisible

absl::Status ErrnoStatus(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(path, ": ", what, " failed"));
}

absl::Status FromErrorCode(const std::error_code& error, absl::string_view what, const std::string& path) {
  if (!error) return absl::OkStatus();
  return absl::ErrnoToStatus(error.value(), absl::StrCat(path, ": ", what, " failed"));
}

std::string ParentOf(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

// A descriptor that closes itself; -1 is none.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

absl::StatusOr<uint64_t> SizeOfRegularFile(int fd, const std::string& path) {
  struct stat info;
  if (fstat(fd, &info) != 0) return ErrnoStatus("fstat", path);
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": expected a regular file; this is a directory or a device"));
  }
  return static_cast<uint64_t>(info.st_size);
}

absl::Status WriteAll(int fd, const char* bytes, size_t size, const std::string& path) {
  while (size > 0) {
    const ssize_t written = write(fd, bytes, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus("write", path);
    bytes += written;
    size -= static_cast<size_t>(written);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t max_bytes) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return ErrnoStatus("open for reading", path);
  INGOT_ASSIGN_OR_RETURN(const uint64_t size, SizeOfRegularFile(file.get(), path));
  if (size > max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": the file has ", size, " bytes; at most ", max_bytes, " are expected here"));
  }
  std::string contents(size, '\0');
  for (size_t done = 0; done < size;) {
    const ssize_t got = read(file.get(), contents.data() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus("read", path);
    if (got == 0) return absl::DataLossError(absl::StrCat(path, ": the file shrank while it was read"));
    done += static_cast<size_t>(got);
  }
  return contents;
}

absl::StatusOr<MappedFile> MappedFile::Open(const std::string& path) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return ErrnoStatus("open for reading", path);
  INGOT_ASSIGN_OR_RETURN(const uint64_t size, SizeOfRegularFile(file.get(), path));
  if (size == 0) return MappedFile(nullptr, 0);
  void* memory = mmap(nullptr, size, PROT_READ, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED) return ErrnoStatus("mmap", path);
  return MappedFile(memory, size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (memory_ != nullptr) munmap(memory_, size_);
}

struct FileWriter::State {
  State(int fd, std::string file_path) : file(fd), path(std::move(file_path)) { buffer.reserve(kBufferBytes); }
  absl::Status Flush() {
    INGOT_RETURN_IF_ERROR(WriteAll(file.get(), buffer.data(), buffer.size(), path));
    buffer.clear();
    return absl::OkStatus();
  }
  Descriptor file;
  std::string path;
  std::string buffer;
  uint64_t bytes = 0;
  uint32_t crc = 0;
};

FileWriter::FileWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
FileWriter::FileWriter(FileWriter&&) noexcept = default;
FileWriter& FileWriter::operator=(FileWriter&&) noexcept = default;
FileWriter::~FileWriter() = default;

absl::StatusOr<FileWriter> FileWriter::Create(const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus("open for writing", path);
  return FileWriter(std::make_unique<State>(fd, path));
}

absl::Status FileWriter::Append(const void* bytes, size_t size) {
  state_->crc = ExtendCrc32c(state_->crc, bytes, size);
  state_->bytes += size;
  if (state_->buffer.size() + size > kBufferBytes) INGOT_RETURN_IF_ERROR(state_->Flush());
  if (size > kBufferBytes) return WriteAll(state_->file.get(), static_cast<const char*>(bytes), size, state_->path);
  state_->buffer.append(static_cast<const char*>(bytes), size);
  return absl::OkStatus();
}

absl::Status FileWriter::OverwriteStart(absl::string_view bytes) {
  INGOT_RETURN_IF_ERROR(state_->Flush());
  if (lseek(state_->file.get(), 0, SEEK_SET) < 0) return ErrnoStatus("lseek", state_->path);
  INGOT_RETURN_IF_ERROR(WriteAll(state_->file.get(), bytes.data(), bytes.size(), state_->path));
  if (lseek(state_->file.get(), 0, SEEK_END) < 0) return ErrnoStatus("lseek", state_->path);
  return absl::OkStatus();
}

absl::Status FileWriter::Close() {
  INGOT_RETURN_IF_ERROR(state_->Flush());
  if (fsync(state_->file.get()) != 0) return ErrnoStatus("fsync", state_->path);
  if (close(state_->file.Release()) != 0) return ErrnoStatus("close", state_->path);
  return absl::OkStatus();
}

uint64_t FileWriter::bytes_written() const { return state_->bytes; }
uint32_t FileWriter::crc32c() const { return state_->crc; }

absl::Status WriteFileAtomically(const std::string& path, absl::string_view contents) {
  const std::string temporary = absl::StrCat(path, ".tmp-", getpid());
  const auto write = [&]() -> absl::Status {
    INGOT_ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Create(temporary));
    INGOT_RETURN_IF_ERROR(writer.Append(contents));
    return writer.Close();
  };
  absl::Status status = write();
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) status = ErrnoStatus("rename", path);
  if (!status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  return SyncDirectory(ParentOf(path));
}

absl::Status SyncDirectory(const std::string& path) {
  const Descriptor directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0) return ErrnoStatus("open directory", path);
  if (fsync(directory.get()) != 0) return ErrnoStatus("fsync", path);
  return absl::OkStatus();
}

absl::Status CreateDirectories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  return FromErrorCode(error, "creating the directory", path);
}

absl::Status RemoveRecursively(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  return FromErrorCode(error, "removing", path);
}

absl::Status RenameWithoutReplacing(const std::string& from, const std::string& to) {
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return absl::OkStatus();
  if (errno != EINVAL && errno != ENOSYS) return ErrnoStatus("rename", to);
  // The file system does not know the flag (NFS, some FUSE): check, then rename.
  if (access(to.c_str(), F_OK) == 0) return absl::AlreadyExistsError(absl::StrCat(to, ": exists already"));
  if (rename(from.c_str(), to.c_str()) != 0) return ErrnoStatus("rename", to);
  return absl::OkStatus();
}

bool FileExists(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error);
}

bool DirectoryExists(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error);
}

absl::StatusOr<uint64_t> FileSize(const std::string& path) {
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(path, error);
  INGOT_RETURN_IF_ERROR(FromErrorCode(error, "reading the size", path));
  return size;
}

absl::StatusOr<uint64_t> FreeBytes(const std::string& path) {
  struct statvfs info;
  if (statvfs(path.c_str(), &info) != 0) return ErrnoStatus("statvfs", path);
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

absl::StatusOr<std::vector<std::string>> ListDirectory(const std::string& path) {
  std::error_code error;
  std::vector<std::string> names;
  for (std::filesystem::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  INGOT_RETURN_IF_ERROR(FromErrorCode(error, "listing the directory", path));
  std::sort(names.begin(), names.end());
  return names;
}

std::string JoinPath(absl::string_view directory, absl::string_view name) {
  if (directory.empty()) return std::string(name);
  return absl::StrCat(directory, directory.back() == '/' ? "" : "/", name);
}

std::string BaseName(absl::string_view path) { return std::filesystem::path(std::string(path)).filename().string(); }

}  // namespace ingot
