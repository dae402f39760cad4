#include "data_pipeline/shard.h"

#include <algorithm>
#include <cstring>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/crc32c.h"
#include "core/base/status_macros.h"

namespace ingot {
namespace {

constexpr char kMagic[8] = {'I', 'N', 'G', 'O', 'T', 'S', 'H', 'D'};
constexpr char kEndMagic[4] = {'E', 'N', 'D', '.'};
constexpr uint32_t kVersion = 1;
constexpr int64_t kMostNarrowVocabulary = 65536;
constexpr int64_t kMostVocabulary = int64_t{1} << 31;  // ids are int32_t

// The bytes of the file, in this order, without gaps (checked below).
struct Header {
  char magic[8];
  uint32_t version;
  uint32_t token_bytes;
  uint64_t vocabulary;
  uint32_t end_of_text;
  uint32_t crc;  // of the bytes before
};
struct Trailer {
  uint64_t tokens;
  uint64_t documents;
  uint32_t tokens_crc;  // of the tokens and the zeros behind them
  uint32_t ends_crc;
  uint32_t crc;  // of the bytes before
  char magic[4];
};
static_assert(sizeof(Header) == kShardHeaderBytes && sizeof(Trailer) == kShardTrailerBytes);

absl::Status Bad(const std::string& path, absl::string_view found) {
  return absl::DataLossError(absl::StrCat(path, ": ", found, "; build the dataset again with 'ingot data build'"));
}

template <typename... Parts>
absl::Status Check(bool good, const std::string& path, const Parts&... parts) {
  return good ? absl::OkStatus() : Bad(path, absl::StrCat(parts...));
}

Header HeaderOf(const ShardInfo& info) {
  Header header = {.magic = {},
                   .version = kVersion,
                   .token_bytes = static_cast<uint32_t>(info.token_bytes),
                   .vocabulary = static_cast<uint64_t>(info.vocabulary),
                   .end_of_text = static_cast<uint32_t>(info.end_of_text),
                   .crc = 0};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.crc = Crc32c(&header, offsetof(Header, crc));
  return header;
}

Trailer TrailerOf(const ShardInfo& info) {
  Trailer trailer = {.tokens = static_cast<uint64_t>(info.tokens),
                     .documents = static_cast<uint64_t>(info.documents),
                     .tokens_crc = info.tokens_crc,
                     .ends_crc = info.ends_crc,
                     .crc = 0,
                     .magic = {}};
  trailer.crc = Crc32c(&trailer, offsetof(Trailer, crc));
  std::memcpy(trailer.magic, kEndMagic, sizeof kEndMagic);
  return trailer;
}

absl::Status CheckHeader(const Header& header, const std::string& path) {
  INGOT_RETURN_IF_ERROR(Check(std::memcmp(header.magic, kMagic, sizeof kMagic) == 0, path,
                              "not a token shard: it does not begin with INGOTSHD"));
  INGOT_RETURN_IF_ERROR(
      Check(header.crc == Crc32c(&header, offsetof(Header, crc)), path, "the header's checksum is wrong"));
  INGOT_RETURN_IF_ERROR(Check(header.version == kVersion, path, "format version ", header.version,
                              "; this program reads version ", kVersion));
  INGOT_RETURN_IF_ERROR(Check(header.vocabulary >= 1 && header.vocabulary <= kMostVocabulary, path, "a vocabulary of ",
                              header.vocabulary));
  INGOT_RETURN_IF_ERROR(Check(header.end_of_text < header.vocabulary, path, "end-of-text id ", header.end_of_text,
                              " outside the vocabulary of ", header.vocabulary));
  const uint32_t token_bytes = header.vocabulary <= kMostNarrowVocabulary ? 2 : 4;
  return Check(header.token_bytes == token_bytes, path, "ids of ", header.token_bytes, " bytes; expected ",
               token_bytes);
}

// `size` is at least that of an empty shard. The comparisons come before any product, so that none can wrap.
absl::Status CheckTrailer(const Trailer& trailer, uint64_t token_bytes, uint64_t size, const std::string& path) {
  INGOT_RETURN_IF_ERROR(Check(std::memcmp(trailer.magic, kEndMagic, sizeof kEndMagic) == 0, path,
                              "truncated: the trailer is missing at its end"));
  INGOT_RETURN_IF_ERROR(
      Check(trailer.crc == Crc32c(&trailer, offsetof(Trailer, crc)), path, "the trailer's checksum is wrong"));
  const uint64_t room = size - kShardHeaderBytes - kShardTrailerBytes;
  const bool possible = trailer.tokens <= room / token_bytes && trailer.documents <= room / sizeof(uint64_t);
  const uint64_t wanted =
      possible ? (trailer.tokens * token_bytes + 7) / 8 * 8 + trailer.documents * sizeof(uint64_t) : 0;
  return Check(possible && wanted == room, path, "the trailer says ", trailer.tokens, " tokens and ", trailer.documents,
               " documents; the file has ", size, " bytes: truncated or damaged");
}

}  // namespace

absl::StatusOr<ShardInfo> ParseShard(std::span<const std::byte> bytes, const std::string& path) {
  INGOT_RETURN_IF_ERROR(Check(bytes.size() >= kShardHeaderBytes + kShardTrailerBytes, path, "only ", bytes.size(),
                              " bytes: too short for a token shard"));
  Header header;
  Trailer trailer;
  std::memcpy(&header, bytes.data(), sizeof header);
  std::memcpy(&trailer, bytes.data() + bytes.size() - sizeof trailer, sizeof trailer);
  INGOT_RETURN_IF_ERROR(CheckHeader(header, path));
  INGOT_RETURN_IF_ERROR(CheckTrailer(trailer, header.token_bytes, bytes.size(), path));
  return ShardInfo{.token_bytes = header.token_bytes,
                   .vocabulary = static_cast<int64_t>(header.vocabulary),
                   .end_of_text = static_cast<int32_t>(header.end_of_text),
                   .tokens = static_cast<int64_t>(trailer.tokens),
                   .documents = static_cast<int64_t>(trailer.documents),
                   .tokens_crc = trailer.tokens_crc,
                   .ends_crc = trailer.ends_crc};
}

absl::StatusOr<ShardWriter> ShardWriter::Create(const std::string& path, int64_t vocabulary, int32_t end_of_text) {
  INGOT_CHECK(vocabulary >= 1 && vocabulary <= kMostVocabulary, "a vocabulary of %lld",
              static_cast<long long>(vocabulary));
  INGOT_CHECK(end_of_text >= 0 && end_of_text < vocabulary, "end of text is %d", end_of_text);
  INGOT_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(path));
  const ShardInfo info = {
      .token_bytes = vocabulary <= kMostNarrowVocabulary ? 2 : 4, .vocabulary = vocabulary, .end_of_text = end_of_text};
  ShardWriter writer(std::move(file), info);
  INGOT_RETURN_IF_ERROR(writer.WriteHeader());
  return writer;
}

absl::Status ShardWriter::WriteHeader() {
  const Header header = HeaderOf(info_);
  return file_.Append(&header, sizeof header);
}

absl::Status ShardWriter::Append(std::span<const int32_t> ids) {
  for (const int32_t id : ids) {
    INGOT_CHECK(id >= 0 && id < info_.vocabulary, "token id %d outside the vocabulary of %lld", id,
                static_cast<long long>(info_.vocabulary));
  }
  const void* bytes = ids.data();
  if (info_.token_bytes == 2) {
    narrow_.resize(ids.size());
    std::transform(ids.begin(), ids.end(), narrow_.begin(), [](int32_t id) { return static_cast<uint16_t>(id); });
    bytes = narrow_.data();
  }
  const size_t size = ids.size() * static_cast<size_t>(info_.token_bytes);
  info_.tokens += static_cast<int64_t>(ids.size());
  info_.tokens_crc = ExtendCrc32c(info_.tokens_crc, bytes, size);
  return file_.Append(bytes, size);
}

absl::Status ShardWriter::Close() {
  constexpr char kZeros[8] = {};
  const size_t padding = static_cast<size_t>(info_.ends_offset()) - file_.bytes_written();
  info_.tokens_crc = ExtendCrc32c(info_.tokens_crc, kZeros, padding);
  INGOT_RETURN_IF_ERROR(file_.Append(kZeros, padding));
  info_.documents = static_cast<int64_t>(ends_.size());
  info_.ends_crc = Crc32c(ends_.data(), ends_.size() * sizeof ends_[0]);
  INGOT_RETURN_IF_ERROR(file_.Append(ends_.data(), ends_.size() * sizeof ends_[0]));
  const Trailer trailer = TrailerOf(info_);
  INGOT_RETURN_IF_ERROR(file_.Append(&trailer, sizeof trailer));
  return file_.Close();
}

absl::Status WriteSparseShard(const std::string& path, int64_t vocabulary, int32_t end_of_text, int64_t tokens,
                              std::span<const uint64_t> ends) {
  const ShardInfo info = {.token_bytes = vocabulary <= kMostNarrowVocabulary ? 2 : 4,
                          .vocabulary = vocabulary,
                          .end_of_text = end_of_text,
                          .tokens = tokens,
                          .documents = static_cast<int64_t>(ends.size()),
                          .ends_crc = Crc32c(ends.data(), ends.size_bytes())};
  const Header header = HeaderOf(info);
  const Trailer trailer = TrailerOf(info);
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&header), sizeof header);
  file.seekp(info.ends_offset());
  file.write(reinterpret_cast<const char*>(ends.data()), static_cast<std::streamsize>(ends.size_bytes()));
  file.write(reinterpret_cast<const char*>(&trailer), sizeof trailer);
  file.close();
  if (file) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(path, ": a sparse file of ", info.ends_offset(),
                                             " bytes could not be written; the file system may not take holes"));
}

absl::StatusOr<Shard> Shard::Open(const std::string& path) {
  INGOT_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  INGOT_ASSIGN_OR_RETURN(const ShardInfo info, ParseShard(file.bytes(), path));
  return Shard(std::move(file), info, path);
}

void Shard::Copy(int64_t first, int64_t count, int32_t* ids) const {
  INGOT_CHECK(first >= 0 && count >= 0 && count <= info_.tokens - first, "tokens %lld + %lld of %lld",
              static_cast<long long>(first), static_cast<long long>(count), static_cast<long long>(info_.tokens));
  const std::byte* tokens = bytes().data() + kShardHeaderBytes + first * info_.token_bytes;
  if (info_.token_bytes == 4) {
    std::memcpy(ids, tokens, static_cast<size_t>(count) * 4);
  } else {
    const auto* narrow = reinterpret_cast<const uint16_t*>(tokens);
    std::copy(narrow, narrow + count, ids);
  }
}

std::span<const uint64_t> Shard::ends() const {
  const std::byte* first = bytes().data() + info_.ends_offset();
  return {reinterpret_cast<const uint64_t*>(first), static_cast<size_t>(info_.documents)};
}

absl::Status Shard::VerifyChecksums() const {
  const std::byte* tokens = bytes().data() + kShardHeaderBytes;
  const auto size = static_cast<size_t>(info_.ends_offset() - kShardHeaderBytes);
  INGOT_RETURN_IF_ERROR(Check(Crc32c(tokens, size) == info_.tokens_crc, path_, "the checksum of the tokens is wrong"));
  return Check(Crc32c(ends().data(), ends().size_bytes()) == info_.ends_crc, path_,
               "the checksum of the document ends is wrong");
}

absl::Status Shard::VerifyIds() const {
  constexpr int64_t kChunk = 1 << 14;  // stays in the first-level cache
  std::vector<int32_t> ids(kChunk);
  int64_t ends_seen = 0;
  for (int64_t first = 0; first < info_.tokens; first += kChunk) {
    const int64_t count = std::min(kChunk, info_.tokens - first);
    Copy(first, count, ids.data());
    for (int64_t i = 0; i < count; ++i) {
      const int32_t id = ids[static_cast<size_t>(i)];
      INGOT_RETURN_IF_ERROR(Check(id >= 0 && id < info_.vocabulary, path_, "token ", first + i, " is ", id,
                                  ", outside the vocabulary of ", info_.vocabulary));
      ends_seen += id == info_.end_of_text;
    }
  }
  return Check(ends_seen == info_.documents, path_, "the end-of-text token occurs ", ends_seen, " times for ",
               info_.documents, " documents");
}

absl::Status Shard::VerifyEnds() const {
  uint64_t before = 0;
  for (const uint64_t end : ends()) {
    INGOT_RETURN_IF_ERROR(Check(end > before && end <= static_cast<uint64_t>(info_.tokens), path_,
                                "a document ends at token ", end, " after ", before, ", of ", info_.tokens));
    int32_t last = 0;
    Copy(static_cast<int64_t>(end) - 1, 1, &last);
    INGOT_RETURN_IF_ERROR(Check(last == info_.end_of_text, path_, "the document that ends at token ", end,
                                " ends with id ", last, ", not with end-of-text ", info_.end_of_text));
    before = end;
  }
  return absl::OkStatus();
}

absl::Status Shard::Verify() const {
  INGOT_RETURN_IF_ERROR(VerifyChecksums());
  INGOT_RETURN_IF_ERROR(VerifyIds());
  return VerifyEnds();
}

}  // namespace ingot
