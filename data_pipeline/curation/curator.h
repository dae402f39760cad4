#pragma once
// Curator: which documents of a stream stay, and how much of each. Decisions depend on the documents before in the
// stream, so one thread calls it, in order: the first of equal documents stays.
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "data_pipeline/curation/decontaminator.h"
#include "data_pipeline/curation/options.h"
#include "data_pipeline/curation/seen_texts.h"

namespace ingot {

class Curator {
 public:
  // Reads the evaluation files. `counts` outlives the curator.
  static absl::StatusOr<std::unique_ptr<Curator>> Create(const CurationOptions& options, CurationCounts& counts);

  // Whether the document stays. With deduplication of parts, those seen before are removed from `text`.
  absl::StatusOr<bool> Keep(std::string& text);

 private:
  Curator(const CurationOptions& options, CurationCounts& counts)
      : options_(options), counts_(counts), seen_(options.deduplicate_memory) {}
  bool HasLength(absl::string_view text);
  absl::StatusOr<bool> IsNew(absl::string_view text);
  absl::Status RemoveSeenParts(std::string& text);
  bool IsClean(absl::string_view text);

  const CurationOptions options_;
  CurationCounts& counts_;
  SeenTexts seen_;
  std::optional<Decontaminator> decontaminator_;
  std::string kept_;  // scratch
};

}  // namespace ingot
