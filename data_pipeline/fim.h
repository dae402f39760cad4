#pragma once
// Fill-in-the-middle (Bavarian et al. 2022, "Efficient Training of Language Models to Fill in the Middle"), applied to
// the documents of a row: the part of a document in the row is cut at two uniform token borders into prefix, middle and
// suffix and becomes
//   PSM:  <|fim_prefix|> prefix <|fim_suffix|> suffix <|fim_middle|> middle
//   SPM:  <|fim_prefix|> <|fim_suffix|> suffix <|fim_middle|> prefix middle
// with the document's end of text, if it is in the row, behind the middle. A row keeps its T tokens: what no longer fits
// is left out at its end, before the cuts are drawn. All drawn by (seed, epoch, place of the part in the stream).
#include <cstdint>
#include <span>
#include <vector>

#include "data_pipeline/sequences.h"

namespace ingot {

struct FimPlan {
  double rate = 0;                                // share of documents; 0: off
  double spm_rate = 0.5;                          // of them, the share in SPM order
  int32_t prefix = -1, middle = -1, suffix = -1;  // ids of the three special tokens
};

// `in` and `out` have T tokens, covered by `segments` and `out_segments`.
void FillInTheMiddle(const FimPlan& plan, uint64_t seed, int64_t epoch, std::span<const int32_t> in,
                     const std::vector<Segment>& segments, std::span<int32_t> out, std::vector<Segment>& out_segments);

}  // namespace ingot
