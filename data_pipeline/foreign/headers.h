#pragma once
// Headers of other trainers' token files: pure functions of bytes. Internal to ForeignCorpus. `path` is for messages.
#include <optional>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "data_pipeline/foreign/corpus.h"

namespace ingot {

absl::StatusOr<std::optional<ForeignFormat>> FormatOfMagic(std::span<const std::byte> bytes, const std::string& path);

// Of a file that holds its tokens itself: every format but Megatron.
absl::StatusOr<ForeignInfo> ParseForeignHeader(std::span<const std::byte> bytes, ForeignFormat format,
                                               const std::string& path);
// Of a Megatron .idx; `tokens` stays 0, it is in the .bin.
absl::StatusOr<ForeignInfo> ParseMegatronIndex(std::span<const std::byte> bytes, const std::string& path);

// What writers need of the formats.
inline constexpr size_t kLlmHeaderBytes = 1024;  // llm.c and LLMQ
inline constexpr int32_t kLlmCMagicU16 = 20240520, kLlmCVersionU16 = 1;
inline constexpr int32_t kLlmCMagicU32 = 20240801, kLlmCVersionU32 = 7;
inline constexpr char kMegatronMagic[9] = {'M', 'M', 'I', 'D', 'I', 'D', 'X', 0, 0};
inline constexpr uint64_t kMegatronVersion = 1;
inline constexpr uint8_t kMegatronI32 = 4, kMegatronU16 = 8;

}  // namespace ingot
