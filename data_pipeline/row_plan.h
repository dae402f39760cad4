#pragma once
// RowPlan: global sequence index to the row of a source. Internal to the loader.
#include <memory>
#include <optional>
#include <vector>

#include "data_pipeline/epoch_order.h"
#include "data_pipeline/loader.h"
#include "data_pipeline/sequences.h"
#include "data_pipeline/streaming/growing_stream.h"

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
  // Thread-safe, but for raw documents, where Await() must have returned OK for this sequence or a later one.
  Row At(int64_t sequence) const;
  int64_t rows() const { return first_rows_.back(); }  // without those of raw documents

  // Raw documents: waits until At(sequence) is known. One thread at a time. Errors: GrowingStream::Require(), and too
  // little text.
  absl::Status Await(int64_t sequence) const;
  bool grows() const { return grows_; }
  // Await() ends, now and later, until `on` is false. Thread-safe.
  void Interrupt(bool on) const;
  // Tokens of raw documents that were found so far. Thread-safe.
  int64_t grown() const;
  std::vector<Loader::Share> Shares(int64_t sequences) const;

 private:
  RowPlan() = default;
  // The item of a source that a shuffled sequence is.
  Mixture::Place PlaceOf(int64_t sequence) const;
  absl::Status AddSource(const Dataset& dataset, const LoaderPlan& plan, uint64_t seed, bool needed);
  Row RowOf(size_t source, int64_t item) const;

  struct Source {
    std::unique_ptr<Sequences> sequences;
    std::unique_ptr<EpochOrder> order;
    int64_t block = 0;                       // rows inside which the order is drawn; 0: all
    std::shared_ptr<GrowingStream> growing;  // of raw documents
    std::string directory;
  };
  std::vector<Source> sources_;
  std::vector<int64_t> first_rows_ = {0};  // of each source in an epoch of all, and the total
  std::optional<Mixture> mixture_;         // several sources, shuffled
  bool grows_ = false;
  int64_t T_ = 0;
  std::unique_ptr<EpochOrder> spread_;  // several sources, not shuffled: their rows in one fixed order
};

}  // namespace ingot
