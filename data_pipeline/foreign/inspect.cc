#include "data_pipeline/foreign/inspect.h"

#include <algorithm>

#include "core/base/status_macros.h"

namespace ingot {

absl::StatusOr<ForeignReport> InspectForeign(const ForeignCorpus& corpus, int samples, int64_t sample_tokens) {
  ForeignReport report;
  SplitReport& contents = report.contents;
  contents.tokens = corpus.info().tokens;
  contents.shards = 1;
  int64_t length = 0;
  DocumentCutter cutter({corpus.info().separator}, [&](const ForeignPiece& piece) {
    if (corpus.info().format == ForeignFormat::kMds) contents.tokens += static_cast<int64_t>(piece.ids.size());
    report.largest_id = std::max<int64_t>(report.largest_id, *std::max_element(piece.ids.begin(), piece.ids.end()));
    if (piece.begins && static_cast<int>(contents.samples.size()) < samples) {
      const auto shown = piece.ids.first(std::min(piece.ids.size(), static_cast<size_t>(sample_tokens)));
      contents.samples.emplace_back(shown.begin(), shown.end());
    }
    length = (piece.begins ? 0 : length) + static_cast<int64_t>(piece.ids.size());
    if (!piece.ends) return absl::OkStatus();
    contents.lengths.Add(length);
    ++contents.documents;
    return absl::OkStatus();
  });
  INGOT_RETURN_IF_ERROR(corpus.CutInto(cutter, corpus.info().vocabulary));
  INGOT_RETURN_IF_ERROR(cutter.End());
  return report;
}

}  // namespace ingot
