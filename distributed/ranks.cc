#include "distributed/ranks.h"

#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "distributed/nccl_communicator.h"
#include "kernels/cuda/runtime.h"

namespace ingot {
namespace {

// A message may wait for another rank that saves or validates. Ranks that die or stand still are named by the control
// plane long before.
constexpr std::chrono::minutes kLongestWait{60};
// For rank 0's server to pass the verdict on before its process goes.
constexpr std::chrono::milliseconds kLastWords{200};
// For a verdict that is on its way when this rank ends by itself.
constexpr std::chrono::milliseconds kVerdictWait{500};

}  // namespace

// Whoever takes it first, the thread that trains or the one that hears verdicts, ends the process and says why.
struct Ranks::Leaving {
  enum Who { kNobody, kTraining, kHearing };
  // Whether `who` is to do it.
  bool Take(Who who) {
    Who expected = kNobody;
    return taken.compare_exchange_strong(expected, who) || expected == who;
  }
  std::atomic<Who> taken{kNobody};
};

Ranks::~Ranks() = default;

std::shared_ptr<Ranks> Ranks::Alone() {
  std::shared_ptr<Ranks> ranks(new Ranks(Launch()));
  absl::StatusOr<std::unique_ptr<ControlPlane>> control = ControlPlane::Join({});
  INGOT_CHECK(control.ok(), "one process needs nobody");
  ranks->control_ = *std::move(control);
  ranks->communicator_ = SingleCommunicator();
  return ranks;
}

absl::StatusOr<std::shared_ptr<Ranks>> Ranks::Join(const RanksOptions& options) {
  INGOT_ASSIGN_OR_RETURN(const Launch launch, DetectLaunch(options.environment, options.launch));
  std::shared_ptr<Ranks> ranks(new Ranks(launch));
  ranks->leaving_ = std::make_shared<Leaving>();
  const auto on_verdict = [leaving = ranks->leaving_, leave = options.leave,
                           first = launch.rank == 0](const Verdict& verdict) {
    if (!leave || !leaving->Take(Leaving::kHearing)) return;
    if (first) std::this_thread::sleep_for(kLastWords);
    leave(verdict);
  };
  INGOT_ASSIGN_OR_RETURN(ranks->control_, ControlPlane::Join({.launch = launch,
                                                              .environment = options.environment,
                                                              .run_directory = options.run_directory,
                                                              .interface = options.interface,
                                                              .insecure_network = options.insecure_network,
                                                              .deadlines = options.deadlines,
                                                              .on_verdict = on_verdict}));
  if (launch.size == 1) ranks->communicator_ = SingleCommunicator();
  return ranks;
}

absl::Status Ranks::Connect(Device device) {
  if (size() == 1) return absl::OkStatus();
  data_plane_ = "Gloo";
  const bool gpus = device == Device::kCuda && !cuda::IsEmulated();
  const absl::StatusOr<std::string> nccl = gpus ? NcclName() : absl::CancelledError();
  if (nccl.ok()) data_plane_ = *nccl;
  // A path may be another on each machine, a version not.
  const std::string version = data_plane_.substr(0, data_plane_.find(','));
  INGOT_RETURN_IF_ERROR(control_->Compare({{"data plane", version}}));
  if (nccl.ok()) {
    INGOT_ASSIGN_OR_RETURN(communicator_, NcclCommunicator(*control_, kLongestWait));
    return absl::OkStatus();
  }
  if (gpus) absl::StrAppend(&data_plane_, ", not NCCL: ", nccl.status().message());
  INGOT_ASSIGN_OR_RETURN(communicator_, GlooCommunicator(*control_, kLongestWait));
  return absl::OkStatus();
}

void Ranks::Report(int64_t step, Phase phase) {
  control_->Report({.step = static_cast<uint64_t>(step),
                    .phase = phase,
                    .collectives = communicator_ == nullptr ? 0 : communicator_->exchanges()});
}

absl::Status Ranks::Fail(const absl::Status& why) {
  if (size() == 1 || why.ok()) return why;
  std::optional<Verdict> verdict = control_->WaitForVerdict(std::chrono::milliseconds(0));
  if (!verdict.has_value()) {
    control_->Fail(static_cast<ExitCode>(ExitCodeOf(why)), std::string(why.message()));
    verdict = control_->WaitForVerdict(kVerdictWait);
  }
  // The other thread has begun to end the process, and says the same.
  if (!leaving_->Take(Leaving::kTraining)) std::this_thread::sleep_for(std::chrono::hours(1));
  return verdict.has_value() ? StatusOf(*verdict) : why;
}

}  // namespace ingot
