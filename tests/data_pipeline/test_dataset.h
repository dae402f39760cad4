#pragma once
// Small datasets for tests, made with a tokenizer that needs no files: ids are bytes, 256 ends a document.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "data_pipeline/builder.h"
#include "data_pipeline/dataset_state.h"
#include "tests/data_pipeline/test_files.h"

namespace ingot {

inline constexpr int32_t kByteEndOfText = 256;

inline TextEncoder ByteEncoder(const TestDirectory& dir) {
  dir.Write("bytes/tokenizer.json", "{\"a\": \"tokenizer of bytes\"}\n");
  dir.Write("bytes/model.safetensors", "not to be copied");
  const auto make = []() -> TextEncoder::Encode {
    return [](absl::string_view text, std::vector<int32_t>& ids) {
      for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
    };
  };
  return {.make = make, .vocabulary = 320, .end_of_text = kByteEndOfText, .directory = dir / "bytes"};
}

// `count` different documents of 3 to 60 bytes.
inline std::vector<std::string> SomeDocuments(int count) {
  std::vector<std::string> documents;
  for (int i = 0; i < count; ++i) {
    std::string text = std::to_string(i * 7919 % 100003);
    while (text.size() < static_cast<size_t>(3 + i * 37 % 58)) text += static_cast<char>('a' + (i + text.size()) % 26);
    documents.push_back(text);
  }
  return documents;
}

inline std::string AsJsonl(const std::vector<std::string>& documents) {
  std::string lines;
  for (const std::string& document : documents) lines += "{\"text\": \"" + document + "\"}\n";
  return lines;
}

inline std::vector<int32_t> TokensOf(const Dataset& dataset, Split split) {
  std::vector<int32_t> ids(static_cast<size_t>(dataset.tokens(split)));
  dataset.state().stream(split).Copy(0, dataset.tokens(split), ids.data());
  return ids;
}

// The documents of a split as text, cut at 256.
inline std::vector<std::string> TextsOf(const Dataset& dataset, Split split) {
  std::vector<std::string> texts;
  std::string text;
  for (const int32_t id : TokensOf(dataset, split)) {
    if (id != kByteEndOfText) {
      text += static_cast<char>(id);
      continue;
    }
    texts.push_back(text);
    text.clear();
  }
  EXPECT_EQ(text, "");
  return texts;
}

inline Dataset MustBuild(const BuildOptions& options, const TextEncoder& encoder) {
  const auto manifest = BuildDataset(options, encoder);
  EXPECT_TRUE(manifest.ok()) << manifest.status();
  auto dataset = Dataset::Open(options.output);
  EXPECT_TRUE(dataset.ok()) << dataset.status();
  return *dataset;
}

}  // namespace ingot
