#pragma once
// RowPlan: global sequence index to the row of a source. Internal to the loader.
#include <memory>
#include <optional>
#include <vector>

#include "data_pipeline/epoch_order.h"
#include "data_pipeline/loader.h"
#include "data_pipeline/sequences.h"

namespace ingot {

class RowPlan {
 public:
  // The datasets must outlive the plan.
  static absl::StatusOr<RowPlan> Create(const std::vector<Dataset>& sources, const LoaderPlan& plan);

  struct Row {
    const Sequences* sequences;
    size_t source;
    int64_t row, epoch;
  };
  // Thread-safe.
  Row At(int64_t sequence) const;
  int64_t rows() const { return first_rows_.back(); }
  std::vector<Loader::Share> Shares(int64_t sequences) const;

 private:
  RowPlan() = default;
  absl::Status AddSource(const Dataset& dataset, const LoaderPlan& plan, uint64_t seed, bool needed);
  Row RowOf(size_t source, int64_t item) const;

  struct Source {
    std::unique_ptr<Sequences> sequences;
    std::unique_ptr<EpochOrder> order;
  };
  std::vector<Source> sources_;
  std::vector<int64_t> first_rows_ = {0};  // of each source in an epoch of all, and the total
  std::optional<Mixture> mixture_;         // several sources, shuffled
  std::unique_ptr<EpochOrder> spread_;     // several sources, not shuffled: their rows in one fixed order
};

}  // namespace ingot
