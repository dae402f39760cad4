#include "data_pipeline/sample_corpus.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "data_pipeline/sample_stories.h"

namespace ingot {

absl::StatusOr<SampleCorpus> WriteSampleCorpus(const std::string& path, int64_t bytes, uint64_t seed) {
  const bool jsonl = absl::EndsWith(path, ".jsonl");
  if (!jsonl && !absl::EndsWith(path, ".txt")) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": expected a name that ends in .jsonl or .txt"));
  }
  if (bytes < 1) return absl::InvalidArgumentError(absl::StrCat("a corpus of ", bytes, " bytes: expected at least 1"));
  const StoryGrammar grammar(kSampleStories);
  const std::string temporary = absl::StrCat(path, ".tmp-", getpid());
  INGOT_ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Create(temporary));
  absl::Cleanup remove = [&] { unlink(temporary.c_str()); };
  SampleCorpus corpus;
  double bits = 0;
  while (corpus.text_bytes < bytes) {
    const StoryGrammar::Story story = grammar.Sample(seed, static_cast<uint64_t>(corpus.stories));
    const std::string text = jsonl ? absl::StrCat("{\"text\": ", nlohmann::json(story.text).dump(), "}\n")
                                   : absl::StrCat(corpus.stories > 0 ? "\n" : "", story.text, "\n");
    INGOT_RETURN_IF_ERROR(writer.Append(text));
    ++corpus.stories;
    corpus.text_bytes += static_cast<int64_t>(story.text.size());
    bits += story.bits;
  }
  INGOT_RETURN_IF_ERROR(writer.Close());
  if (std::rename(temporary.c_str(), path.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat(path, ": rename failed"));
  }
  std::move(remove).Cancel();
  corpus.entropy = grammar.Entropy();
  corpus.sampled_bits_per_byte = bits / static_cast<double>(corpus.text_bytes);
  return corpus;
}

}  // namespace ingot
