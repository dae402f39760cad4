#include "data_pipeline/foreign/headers.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace ingot {
namespace {

constexpr char kFairseqMagic[6] = {'T', 'N', 'T', 'I', 'D', 'X'};
constexpr char kLlmqMagic[8] = {'B', 'I', 'N', '.', 'T', 'O', 'K', '\n'};
constexpr int32_t kLlmCEvaluation = 20240522;
constexpr int32_t kGpt2Separator = 50256;     // <|endoftext|>
constexpr int32_t kLlama3Separator = 128000;  // <|begin_of_text|>
constexpr int64_t kIdsOfInt32 = int64_t{1} << 31;

absl::Status Bad(const std::string& path, absl::string_view found) {
  return absl::DataLossError(absl::StrCat(path, ": ", found));
}

template <typename T>
T Load(std::span<const std::byte> bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

bool BeginsWith(std::span<const std::byte> bytes, std::span<const char> magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

absl::Status CheckSize(uint64_t expected, uint64_t size, int64_t tokens, const std::string& path) {
  if (expected == size) return absl::OkStatus();
  return Bad(path, absl::StrCat("the header says ", tokens, " tokens, so ", expected, " bytes; the file has ", size,
                                ": truncated or damaged"));
}

absl::StatusOr<ForeignInfo> ParseLlmC(std::span<const std::byte> bytes, const std::string& path) {
  if (bytes.size() < kLlmHeaderBytes) return Bad(path, absl::StrCat("only ", bytes.size(), " bytes: no llm.c header"));
  const auto magic = Load<int32_t>(bytes, 0), version = Load<int32_t>(bytes, 4), count = Load<int32_t>(bytes, 8);
  const bool wide = magic == kLlmCMagicU32;
  if (!wide && magic != kLlmCMagicU16) {
    return Bad(path, absl::StrCat("begins with ", magic, "; llm.c's token files with ", kLlmCMagicU16, " (16 bits) or ",
                                  kLlmCMagicU32, " (32 bits)"));
  }
  if (const int32_t known = wide ? kLlmCVersionU32 : kLlmCVersionU16; version != known) {
    return Bad(path, absl::StrCat("llm.c version ", version, "; expected ", known));
  }
  if (count < 0) return Bad(path, absl::StrCat("the header says ", count, " tokens"));
  ForeignInfo info = {.format = ForeignFormat::kLlmC,
                      .token = wide ? ForeignToken::kU32 : ForeignToken::kU16,
                      .tokens = count,
                      .tokens_offset = kLlmHeaderBytes,
                      .vocabulary = wide ? kIdsOfInt32 : 1 << 16,
                      .separator = wide ? kLlama3Separator : kGpt2Separator,
                      .separator_before = true};
  const auto expected = kLlmHeaderBytes + static_cast<uint64_t>(info.tokens * info.token_bytes());
  INGOT_RETURN_IF_ERROR(CheckSize(expected, bytes.size(), count, path));
  return info;
}

absl::StatusOr<ForeignInfo> ParseLlmq(std::span<const std::byte> bytes, const std::string& path) {
  if (bytes.size() < kLlmHeaderBytes || !BeginsWith(bytes, kLlmqMagic)) {
    return Bad(path, "not an LLMQ file: it does not begin with BIN.TOK and a header of 1024 bytes");
  }
  const auto version = Load<int32_t>(bytes, 8), width = Load<int32_t>(bytes, 12), count = Load<int32_t>(bytes, 16);
  if (version != 1 && version != 2) return Bad(path, absl::StrCat("LLMQ version ", version, "; expected 1 or 2"));
  if (width != 4) return Bad(path, absl::StrCat("LLMQ ids of ", width, " bytes; expected 4"));
  if (count < 0) return Bad(path, absl::StrCat("the header says ", count, " tokens"));
  ForeignInfo info = {.format = ForeignFormat::kLlmq,
                      .token = ForeignToken::kI32,
                      .tokens = count,
                      .tokens_offset = kLlmHeaderBytes,
                      .vocabulary = kIdsOfInt32};
  if (version == 2) {  // version 1 has neither field
    info.vocabulary = Load<int32_t>(bytes, 20);
    if (info.vocabulary < 1) return Bad(path, absl::StrCat("an LLMQ vocabulary of ", info.vocabulary));
    const auto masks = Load<int32_t>(bytes, 24);
    if (masks != 0 && masks != 1) return Bad(path, absl::StrCat("LLMQ has-masks ", masks, "; expected 0 or 1"));
    info.has_masks = masks == 1;
  }
  const auto n = static_cast<uint64_t>(count);
  INGOT_RETURN_IF_ERROR(
      CheckSize(kLlmHeaderBytes + 4 * n + (info.has_masks ? (n + 7) / 8 : 0), bytes.size(), count, path));
  return info;
}

absl::StatusOr<ForeignInfo> ParseNanoGpt(std::span<const std::byte> bytes, const std::string& path) {
  if (bytes.size() % 2 != 0) {
    return Bad(path,
               absl::StrCat(bytes.size(), " bytes are no whole number of 16-bit ids: truncated, or not nanoGPT's"));
  }
  return ForeignInfo{
      .format = ForeignFormat::kNanoGpt, .tokens = static_cast<int64_t>(bytes.size() / 2), .separator = kGpt2Separator};
}

const char* MegatronType(uint8_t code) {
  constexpr const char* kNames[] = {"uint8", "int8", "int16", "int32", "int64", "float64", "float32", "uint16"};
  return code >= 1 && code <= std::size(kNames) ? kNames[code - 1] : "unknown";
}

}  // namespace

const char* Name(ForeignFormat format) {
  constexpr const char* kNames[] = {"megatron", "llm.c", "nanogpt", "llmq", "mds"};
  return kNames[static_cast<size_t>(format)];
}

const char* Name(ForeignToken token) {
  constexpr const char* kNames[] = {"uint16", "int32", "uint32"};
  return kNames[static_cast<size_t>(token)];
}

absl::StatusOr<ForeignFormat> ParseForeignFormat(absl::string_view name) {
  for (const ForeignFormat format : {ForeignFormat::kMegatron, ForeignFormat::kLlmC, ForeignFormat::kNanoGpt,
                                     ForeignFormat::kLlmq, ForeignFormat::kMds}) {
    if (name == Name(format)) return format;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("format '", name, "': expected megatron, llm.c, nanogpt, llmq or mds"));
}

absl::StatusOr<std::optional<ForeignFormat>> FormatOfMagic(std::span<const std::byte> bytes, const std::string& path) {
  if (BeginsWith(bytes, kMegatronMagic)) return ForeignFormat::kMegatron;
  if (BeginsWith(bytes, kLlmqMagic)) return ForeignFormat::kLlmq;
  if (BeginsWith(bytes, kFairseqMagic)) {
    return absl::UnimplementedError(absl::StrCat(
        path, ": a fairseq index (TNTIDX); tokenize the text again with Megatron's tools or build from it"));
  }
  if (bytes.size() < 4) return std::nullopt;
  const auto magic = Load<int32_t>(bytes, 0);
  if (magic == kLlmCEvaluation) {
    return absl::UnimplementedError(absl::StrCat(path, ": an evaluation file of llm.c, not a corpus of tokens"));
  }
  if (magic == kLlmCMagicU16 || magic == kLlmCMagicU32) return ForeignFormat::kLlmC;
  return std::nullopt;
}

absl::StatusOr<ForeignInfo> ParseForeignHeader(std::span<const std::byte> bytes, ForeignFormat format,
                                               const std::string& path) {
  if (format == ForeignFormat::kLlmC) return ParseLlmC(bytes, path);
  if (format == ForeignFormat::kLlmq) return ParseLlmq(bytes, path);
  return ParseNanoGpt(bytes, path);
}

absl::StatusOr<ForeignInfo> ParseMegatronIndex(std::span<const std::byte> bytes, const std::string& path) {
  constexpr size_t kHeader = 34;
  INGOT_RETURN_IF_ERROR(FormatOfMagic(bytes, path).status());
  if (bytes.size() < kHeader || !BeginsWith(bytes, kMegatronMagic)) {
    return Bad(path, "not a Megatron index: it does not begin with MMIDIDX and a header of 34 bytes");
  }
  const auto version = Load<uint64_t>(bytes, 9);
  const auto type = Load<uint8_t>(bytes, 17);
  const auto sequences = Load<uint64_t>(bytes, 18), entries = Load<uint64_t>(bytes, 26);
  if (version != kMegatronVersion) return Bad(path, absl::StrCat("Megatron version ", version, "; expected 1"));
  if (type != kMegatronU16 && type != kMegatronI32) {
    return Bad(path,
               absl::StrCat("ids of type ", MegatronType(type), " (", type, "); expected uint16 (8) or int32 (4)"));
  }
  // Compared before they are multiplied, so that nothing wraps. Multimodal indexes have a byte more a sequence.
  const uint64_t room = bytes.size() - kHeader;
  const bool possible = sequences <= room / 12 && entries >= 1 && entries <= room / 8;
  const uint64_t wanted = possible ? 12 * sequences + 8 * entries : 0;
  if (!possible || (room != wanted && room != wanted + sequences)) {
    return Bad(path, absl::StrCat("the header says ", sequences, " sequences and ", entries,
                                  " document entries; the file has ", bytes.size(), " bytes: truncated or damaged"));
  }
  const bool wide = type == kMegatronI32;
  return ForeignInfo{.format = ForeignFormat::kMegatron,
                     .token = wide ? ForeignToken::kI32 : ForeignToken::kU16,
                     .vocabulary = wide ? kIdsOfInt32 : 1 << 16,
                     .sequences = static_cast<int64_t>(sequences),
                     .documents = static_cast<int64_t>(entries) - 1};
}

}  // namespace ingot
