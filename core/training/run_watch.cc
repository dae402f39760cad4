#include "core/training/run_watch.h"

#include <unistd.h>

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "distributed/exit_codes.h"

namespace ingot {
namespace {

[[noreturn]] void Leave(const RunWatch::Options& options, FlightRecord* record, const std::string& problem) {
  if (record != nullptr) record->Add({.op = FlightOp::kDeadline, .state = FlightState::kFailed});
  const std::string text = absl::StrCat(problem, "; `ingot doctor ", options.run_directory,
                                        "` reads what all ranks did last. The same command goes on from the newest "
                                        "checkpoint (training.deadline_scale allows more time)");
  std::fprintf(stderr, "ingot: error: %s\n", text.c_str());
  if (options.tell) options.tell(problem);
  FlightRecord::EndCurrent(static_cast<int>(ExitCode::kPeer), problem);
  _exit(static_cast<int>(ExitCode::kPeer));
}

}  // namespace

RunWatch::RunWatch(const Options& options, std::string& note) {
  absl::StatusOr<std::unique_ptr<FlightRecord>> record =
      FlightRecord::Create(options.run_directory, options.rank, options.ranks);
  if (record.ok()) {
    record_ = *std::move(record);
  } else {
    note = absl::StrCat("note: no flight record: ", absl::string_view(record.status().message()));
  }
  if (options.deadline_scale == 0) return;
  watchdog_ = std::make_unique<Watchdog>(
      options.deadline_scale,
      [options, kept = record_.get()](const std::string& problem) { Leave(options, kept, problem); });
}

void RunWatch::Begin(uint64_t attempt) {
  if (record_ != nullptr) record_->SetAttempt(attempt);
}

void RunWatch::Exchange(uint64_t sequence, uint64_t bytes, FlightState state) {
  if (record_ == nullptr) return;
  record_->Add({.step = step_,
                .phase = phase_,
                .op = FlightOp::kExchange,
                .state = state,
                .bytes = bytes,
                .sequence = sequence});
}

void RunWatch::Enter(int64_t step, Phase phase) {
  step_ = static_cast<uint32_t>(step);
  phase_ = phase;
  if (record_ != nullptr) record_->Add({.step = static_cast<uint32_t>(step), .phase = phase});
  if (watchdog_ != nullptr) watchdog_->Enter(static_cast<uint64_t>(step), phase);
}

void RunWatch::End(int exit_code, const std::string& note) {
  watchdog_ = nullptr;
  if (record_ == nullptr) return;
  record_->Add({.step = step_, .phase = Phase::kEnd, .op = FlightOp::kStop, .state = FlightState::kDone});
  record_->End(exit_code, note);
}

}  // namespace ingot
