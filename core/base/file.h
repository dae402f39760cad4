#pragma once
// Files: bounded reading, mapping, and writing that survives a crash. Every error names the file and what to do.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ingot {

// The whole file. A file larger than `max_bytes` is refused before anything is read.
absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t max_bytes = uint64_t{1} << 30);

// A file mapped for reading. Moves, does not copy; unmapped when destroyed.
class MappedFile {
 public:
  static absl::StatusOr<MappedFile> Open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(memory_), size_}; }
  absl::string_view text() const { return {static_cast<const char*>(memory_), size_}; }

 private:
  MappedFile(void* memory, size_t size) : memory_(memory), size_(size) {}
  void* memory_ = nullptr;
  size_t size_ = 0;
};

// A new file written from front to back, with its CRC32C computed on the way. Nothing is safe on disk before Close()
// has returned OK (it flushes, fsyncs and closes). A writer destroyed without Close() leaves a partial file: write
// into a temporary directory that is renamed when whole, or use WriteFileAtomically.
class FileWriter {
 public:
  static absl::StatusOr<FileWriter> Create(const std::string& path);
  FileWriter(FileWriter&&) noexcept;
  FileWriter& operator=(FileWriter&&) noexcept;
  ~FileWriter();

  absl::Status Append(const void* bytes, size_t size);
  absl::Status Append(absl::string_view text) { return Append(text.data(), text.size()); }
  // Puts `bytes` in the place of the file's first ones, which have been appended before: a header whose counts come
  // last. crc32c() stays that of what was appended.
  absl::Status OverwriteStart(absl::string_view bytes);
  absl::Status Close();

  uint64_t bytes_written() const;
  uint32_t crc32c() const;

 private:
  struct State;
  explicit FileWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// `path` afterwards holds either what it held before or all of `contents`: temporary file, fsync, rename, fsync of the
// directory.
absl::Status WriteFileAtomically(const std::string& path, absl::string_view contents);

absl::Status SyncDirectory(const std::string& path);
absl::Status CreateDirectories(const std::string& path);
absl::Status RemoveRecursively(const std::string& path);
// rename(2) that fails if `to` exists.
absl::Status RenameWithoutReplacing(const std::string& from, const std::string& to);

bool FileExists(const std::string& path);
bool DirectoryExists(const std::string& path);
absl::StatusOr<uint64_t> FileSize(const std::string& path);
// Bytes that an unprivileged process may still write to the file system of `path`.
absl::StatusOr<uint64_t> FreeBytes(const std::string& path);
// Names (not paths) of a directory's entries, sorted by bytes.
absl::StatusOr<std::vector<std::string>> ListDirectory(const std::string& path);

// "a/b" from "a" and "b"; a trailing slash of `directory` is not doubled.
std::string JoinPath(absl::string_view directory, absl::string_view name);
// The last component: "c.txt" of "a/b/c.txt".
std::string BaseName(absl::string_view path);

}  // namespace ingot
