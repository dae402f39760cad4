#pragma once
// RowMaker: rows of sources into batches: targets, document masks, positions, fill-in-the-middle. Internal to the
// loader.
#include "data_pipeline/loader.h"
#include "data_pipeline/row_plan.h"

namespace ingot {

class RowMaker {
 public:
  explicit RowMaker(const LoaderPlan& plan) : plan_(plan), plain_(!plan.mask_documents && plan.fim.rate == 0) {}

  // Gives `batch` its shape.
  void Prepare(TokenBatch& batch) const;
  // Writes sequence b and counts its targets. Errors as Sequences::Read().
  absl::Status Make(const RowPlan::Row& row, int64_t b, TokenBatch& batch) const;

 private:
  void Finish(const std::vector<Segment>& segments, int64_t b, TokenBatch& batch) const;

  const LoaderPlan plan_;
  const bool plain_;
};

}  // namespace ingot
