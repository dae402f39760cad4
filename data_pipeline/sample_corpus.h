#pragma once
// The sample corpus: stories of a language of our own (sample_stories.cc) whose exact entropy is known, so that a
// training run can be held against the true floor of its loss.
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "data_pipeline/story_grammar.h"

namespace ingot {

struct SampleCorpus {
  int64_t stories = 0;
  int64_t text_bytes = 0;  // of the stories, without separators
  // Of the language. The floor of what training reports as bits per byte: total nats over all targets, end of text
  // included, / ln 2 / bytes of text, where end of text counts 0 bytes. So the floor is H(story with its end) over the
  // expected bytes of a story: entropy.bits_per_byte().
  StoryEntropy entropy;
  // -log2 of the probability of just these stories, over their bytes: scatters around the floor.
  double sampled_bits_per_byte = 0;
};

// Writes whole stories until their text has `bytes` bytes or more; a file ending in .jsonl gets a story a line, one
// ending in .txt stories separated by one blank line. Equal (bytes, seed) give equal files. An old file is replaced
// when the new one is complete.
absl::StatusOr<SampleCorpus> WriteSampleCorpus(const std::string& path, int64_t bytes, uint64_t seed);

}  // namespace ingot
