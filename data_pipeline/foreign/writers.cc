#include "data_pipeline/foreign/writers.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/crc32c.h"
#include "core/base/status_macros.h"
#include "data_pipeline/foreign/headers.h"

namespace ingot {
namespace {

constexpr int64_t kU16Ids = int64_t{1} << 16;
constexpr int64_t kMegatronU16Vocabulary = 65500;  // below it Megatron-LM's own tools choose uint16

const char* FilePrefix(Split split) { return split == Split::kTraining ? "train" : "val"; }

template <typename T>
void Put(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// A file of ids of 2 or 4 bytes, little-endian.
class IdFile {
 public:
  static absl::StatusOr<IdFile> Create(const std::string& path, bool wide) {
    INGOT_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(path));
    return IdFile(std::move(file), wide);
  }
  absl::Status Append(std::span<const int32_t> ids) {
    if (wide_) return file_.Append(ids.data(), ids.size_bytes());
    narrow_.assign(ids.begin(), ids.end());
    return file_.Append(narrow_.data(), narrow_.size() * sizeof(uint16_t));
  }
  FileWriter& file() { return file_; }

 private:
  IdFile(FileWriter file, bool wide) : file_(std::move(file)), wide_(wide) {}
  FileWriter file_;
  bool wide_;
  std::vector<uint16_t> narrow_;
};

FileEntry EntryOf(const std::string& name, const FileWriter& file) {
  return {.name = name, .bytes = static_cast<int64_t>(file.bytes_written()), .crc32c = file.crc32c()};
}

class NanoGptWriter : public TokenSink {
 public:
  explicit NanoGptWriter(const SinkOptions& options)
      : options_(options), name_(absl::StrCat(FilePrefix(options.split), ".bin")) {}

  absl::Status Append(std::span<const int32_t> ids) override {
    if (!file_) {
      INGOT_ASSIGN_OR_RETURN(file_, IdFile::Create(JoinPath(options_.directory, name_), false));
    }
    entry_.tokens += static_cast<int64_t>(ids.size());
    return file_->Append(ids);
  }
  absl::Status EndDocument() override {
    ++entry_.documents;
    return Append({&options_.end_of_text, 1});
  }
  absl::Status Finish() override {
    if (!file_) return absl::OkStatus();
    INGOT_RETURN_IF_ERROR(file_->file().Close());
    entry_.shards.push_back(
        {.file = EntryOf(name_, file_->file()), .tokens = entry_.tokens, .documents = entry_.documents});
    return absl::OkStatus();
  }

 private:
  SinkOptions options_;
  std::string name_;
  std::optional<IdFile> file_;
};

class LlmCWriter : public TokenSink {
 public:
  explicit LlmCWriter(const SinkOptions& options) : options_(options), wide_(options.vocabulary > kU16Ids) {}

  absl::Status Append(std::span<const int32_t> ids) override {
    if (!open_) INGOT_RETURN_IF_ERROR(BeginDocument());
    return Write(ids);
  }
  absl::Status EndDocument() override {
    if (!open_) INGOT_RETURN_IF_ERROR(BeginDocument());
    open_ = false;
    ++entry_.documents;
    ++entry_.shards.back().documents;
    return absl::OkStatus();
  }
  absl::Status Finish() override { return file_ ? CloseFile() : absl::OkStatus(); }

 private:
  absl::Status BeginDocument() {
    open_ = true;
    return Write({&options_.end_of_text, 1});
  }
  absl::Status Write(std::span<const int32_t> ids) {
    while (!ids.empty()) {
      if (file_ && entry_.shards.back().tokens == options_.shard_tokens) INGOT_RETURN_IF_ERROR(CloseFile());
      if (!file_) INGOT_RETURN_IF_ERROR(OpenFile());
      const auto room = static_cast<size_t>(options_.shard_tokens - entry_.shards.back().tokens);
      const size_t count = std::min(room, ids.size());
      INGOT_RETURN_IF_ERROR(file_->Append(ids.first(count)));
      entry_.shards.back().tokens += static_cast<int64_t>(count);
      entry_.tokens += static_cast<int64_t>(count);
      ids = ids.subspan(count);
    }
    return absl::OkStatus();
  }
  std::string Header() const {
    std::string header;
    Put(header, wide_ ? kLlmCMagicU32 : kLlmCMagicU16);
    Put(header, wide_ ? kLlmCVersionU32 : kLlmCVersionU16);
    Put(header, static_cast<int32_t>(entry_.shards.back().tokens));
    header.resize(kLlmHeaderBytes);
    return header;
  }
  absl::Status OpenFile() {
    const std::string name = absl::StrFormat("%s_%06d.bin", FilePrefix(options_.split), entry_.shards.size());
    entry_.shards.push_back({.file = {.name = name}});
    INGOT_ASSIGN_OR_RETURN(file_, IdFile::Create(JoinPath(options_.directory, name), wide_));
    return file_->file().Append(Header());  // its count comes when the file is closed
  }
  absl::Status CloseFile() {
    FileEntry& entry = entry_.shards.back().file;
    INGOT_RETURN_IF_ERROR(file_->file().OverwriteStart(Header()));
    INGOT_RETURN_IF_ERROR(file_->file().Close());
    entry.bytes = static_cast<int64_t>(file_->file().bytes_written());
    file_.reset();
    INGOT_ASSIGN_OR_RETURN(const MappedFile written, MappedFile::Open(JoinPath(options_.directory, entry.name)));
    entry.crc32c = Crc32c(written.bytes().data(), written.bytes().size());
    return absl::OkStatus();
  }

  SinkOptions options_;
  bool wide_;
  bool open_ = false;  // a document is
  std::optional<IdFile> file_;
};

class MegatronWriter : public TokenSink {
 public:
  explicit MegatronWriter(const SinkOptions& options)
      : options_(options), wide_(options.vocabulary >= kMegatronU16Vocabulary) {}

  absl::Status Append(std::span<const int32_t> ids) override {
    if (!file_) {
      INGOT_ASSIGN_OR_RETURN(file_, IdFile::Create(PathOf(".bin"), wide_));
    }
    INGOT_RETURN_IF_ERROR(file_->Append(ids));
    entry_.tokens += static_cast<int64_t>(ids.size());
    for (auto rest = static_cast<int64_t>(ids.size()); rest > 0;) {
      if (!inside_sequence_ || lengths_.back() == options_.shard_tokens) lengths_.push_back(0);
      inside_sequence_ = true;
      const int64_t part = std::min(rest, options_.shard_tokens - lengths_.back());
      lengths_.back() += static_cast<int32_t>(part);
      rest -= part;
    }
    return absl::OkStatus();
  }
  absl::Status EndDocument() override {
    INGOT_RETURN_IF_ERROR(Append({&options_.end_of_text, 1}));
    inside_sequence_ = false;
    document_ends_.push_back(static_cast<int64_t>(lengths_.size()));
    ++entry_.documents;
    return absl::OkStatus();
  }
  absl::Status Finish() override {
    if (!file_) return absl::OkStatus();
    INGOT_RETURN_IF_ERROR(file_->file().Close());
    entry_.shards.push_back(
        {.file = EntryOf(NameOf(".bin"), file_->file()), .tokens = entry_.tokens, .documents = entry_.documents});
    INGOT_ASSIGN_OR_RETURN(FileWriter index, FileWriter::Create(PathOf(".idx")));
    INGOT_RETURN_IF_ERROR(WriteIndex(index));
    INGOT_RETURN_IF_ERROR(index.Close());
    entry_.shards.push_back({.file = EntryOf(NameOf(".idx"), index)});
    return absl::OkStatus();
  }

 private:
  std::string NameOf(const char* ending) const { return absl::StrCat(FilePrefix(options_.split), ending); }
  std::string PathOf(const char* ending) const { return JoinPath(options_.directory, NameOf(ending)); }

  absl::Status WriteIndex(FileWriter& index) const {
    std::string header(kMegatronMagic, sizeof kMegatronMagic);
    Put(header, kMegatronVersion);
    Put(header, wide_ ? kMegatronI32 : kMegatronU16);
    Put(header, static_cast<uint64_t>(lengths_.size()));
    Put(header, static_cast<uint64_t>(document_ends_.size() + 1));
    INGOT_RETURN_IF_ERROR(index.Append(header));
    INGOT_RETURN_IF_ERROR(index.Append(lengths_.data(), lengths_.size() * sizeof lengths_[0]));
    int64_t offset = 0;
    for (const int32_t length : lengths_) {
      INGOT_RETURN_IF_ERROR(index.Append(&offset, sizeof offset));
      offset += int64_t{length} * (wide_ ? 4 : 2);
    }
    constexpr int64_t kFirst = 0;
    INGOT_RETURN_IF_ERROR(index.Append(&kFirst, sizeof kFirst));
    return index.Append(document_ends_.data(), document_ends_.size() * sizeof document_ends_[0]);
  }

  SinkOptions options_;
  bool wide_;
  bool inside_sequence_ = false;
  std::vector<int32_t> lengths_;        // of sequences, in ids
  std::vector<int64_t> document_ends_;  // number of sequences after each document
  std::optional<IdFile> file_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<TokenSink>> OpenForeignWriter(ForeignFormat format, const SinkOptions& options) {
  if (format == ForeignFormat::kMegatron) return std::make_unique<MegatronWriter>(options);
  if (format == ForeignFormat::kLlmC) return std::make_unique<LlmCWriter>(options);
  if (format != ForeignFormat::kNanoGpt) {
    return absl::UnimplementedError(
        absl::StrCat(Name(format), " files are read, not written; expected megatron, llm.c or nanogpt"));
  }
  if (options.vocabulary <= kU16Ids) return std::make_unique<NanoGptWriter>(options);
  return absl::InvalidArgumentError(absl::StrCat("nanoGPT's ids have 16 bits; the tokenizer's vocabulary of ",
                                                 options.vocabulary, " needs more: use --to megatron or --to llm.c"));
}

}  // namespace ingot
