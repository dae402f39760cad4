#pragma once
// Best-fit packing (after Ding et al. 2024, "Fewer Truncations Improve Language Modeling"): whole documents are placed
// into rows of T tokens where they fit best, so that few are cut.
//   The stream is taken in windows of R T tokens (R rows, kPackedTokens or all there are). In a window, documents longer
//   than T are cut into parts of T and a rest; parts go, the longest first, into the fullest row that has room. The
//   window has exactly as many tokens as its rows have places, so what fits nowhere fills the gaps, cut at their ends:
//   no padding, no table of counts, and the rows of window w are a pure function of the stream. The last tokens of the
//   stream, fewer than T, are left out.
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "data_pipeline/sequences.h"

namespace ingot {

inline constexpr int64_t kPackedTokens = int64_t{1} << 24;  // of a window, to a multiple of T

// Rows of a full window.
inline int64_t PackedRows(int64_t T) { return T >= kPackedTokens ? 1 : kPackedTokens / T; }

// Packed rows of `stream`, which must outlive them. The windows last used, at most `kept`, stay packed in memory: about
// 20 bytes a document.
std::unique_ptr<Sequences> MakePackedRows(const TokenStream& stream, int64_t T, int64_t kept);

// How often documents are cut, by packing and by plain windows of T.
struct PackingReport {
  int64_t documents = 0;
  int64_t longer_than_row = 0;   // cut by any packing
  int64_t cut_by_best_fit = 0;   // those included
  int64_t cut_by_windows = 0;    // those included
  int64_t rows = 0, tokens = 0;  // of best-fit rows; no place is empty
};

// Packs the whole stream once.
absl::StatusOr<PackingReport> ReportPacking(const TokenStream& stream, int64_t T);

}  // namespace ingot
