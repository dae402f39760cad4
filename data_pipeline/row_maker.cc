#include "data_pipeline/row_maker.h"

#include <algorithm>
#include <numeric>

#include "core/base/status_macros.h"

namespace ingot {
namespace {

void FillDocument(int64_t begin, int64_t end, int32_t* document_start, int32_t* positions) {
  std::fill(document_start + begin, document_start + end, static_cast<int32_t>(begin));
  std::iota(positions + begin, positions + end, 0);
}

}  // namespace

void RowMaker::Prepare(TokenBatch& batch) const {
  const int64_t B = plan_.B, T = plan_.T;
  batch.target_count = 0;
  if (batch.B != B || batch.T != T || batch.scratch.plain != plain_) {
    for (auto* values : {&batch.tokens, &batch.targets, &batch.document_start, &batch.positions}) {
      values->resize(static_cast<size_t>(B * T));
    }
    if (plan_.fim.rate > 0) batch.scratch.tokens.resize(static_cast<size_t>(T));
    batch.B = B;
    batch.T = T;
    batch.scratch.plain = false;
  }
  if (plan_.mask_documents || batch.scratch.plain) return;
  // Without masks these are the same for every batch.
  for (int64_t b = 0; b < B; ++b) {
    FillDocument(0, T, batch.document_start.data() + b * T, batch.positions.data() + b * T);
  }
  batch.scratch.plain = plain_;
}

// Targets and masks from the segments of sequence b.
void RowMaker::Finish(const std::vector<Segment>& segments, int64_t b, TokenBatch& batch) const {
  const int64_t T = plan_.T;
  const int32_t* tokens = batch.tokens.data() + b * T;
  int32_t* targets = batch.targets.data() + b * T;
  std::copy(tokens + 1, tokens + T, targets);
  batch.target_count += T;
  for (const Segment& segment : segments) {
    int32_t& last = targets[segment.end - 1];
    if (!segment.ends_document || segment.end == T) last = segment.next;
    if (segment.ends_document && plan_.mask_documents) last = -1;
    batch.target_count -= last < 0 ? 1 : 0;
    if (!plan_.mask_documents) continue;
    FillDocument(segment.begin, segment.end, batch.document_start.data() + b * T, batch.positions.data() + b * T);
  }
}

absl::Status RowMaker::Make(const RowPlan::Row& row, int64_t b, TokenBatch& batch) const {
  const auto T = static_cast<size_t>(plan_.T);
  const std::span tokens(batch.tokens.data() + static_cast<size_t>(b) * T, T);
  if (plain_ && plan_.packing == Packing::kConcatenate) {
    int32_t* targets = batch.targets.data() + b * plan_.T;
    INGOT_RETURN_IF_ERROR(row.sequences->Read(row.row, tokens.data(), nullptr, targets + T - 1));
    std::copy(tokens.begin() + 1, tokens.end(), targets);
    batch.target_count += plan_.T;
    return absl::OkStatus();
  }
  TokenBatch::Scratch& scratch = batch.scratch;
  if (plan_.fim.rate == 0) {
    INGOT_RETURN_IF_ERROR(row.sequences->Read(row.row, tokens.data(), &scratch.segments, nullptr));
    Finish(scratch.segments, b, batch);
    return absl::OkStatus();
  }
  INGOT_RETURN_IF_ERROR(row.sequences->Read(row.row, scratch.tokens.data(), &scratch.segments, nullptr));
  const uint64_t seed = CombineHash(plan_.seed, row.source);
  FillInTheMiddle(plan_.fim, seed, row.epoch, scratch.tokens, scratch.segments, tokens, scratch.made);
  Finish(scratch.made, b, batch);
  return absl::OkStatus();
}

}  // namespace ingot
