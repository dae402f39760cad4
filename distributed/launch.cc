#include "distributed/launch.h"

#include <unistd.h>

#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status_macros.h"
#include "distributed/exit_codes.h"

namespace ingot {
namespace {

// Steps that are none: an interactive shell, a batch script, an external one (slurm.h).
constexpr int64_t kFirstSpecialStep = 4294967290;
constexpr int64_t kMaxNumber = int64_t{1} << 40;

absl::Status Refused(const std::string& why) {
  return WithExitCode(absl::InvalidArgumentError(absl::StrCat("launch refused: ", why)), ExitCode::kUsage);
}

// Rank and size by one launcher's variables; absent when none of its variables is set.
struct Found {
  int64_t rank = 0, size = 1, local_rank = -1, local_size = -1;
};

class Detector {
 public:
  Detector(const Environment& environment, const LaunchOptions& options)
      : environment_(environment), options_(options) {}

  absl::StatusOr<Launch> Detect();

 private:
  bool Has(const char* name) const { return environment_.count(name) > 0; }
  std::string Text(const char* name) const { return Has(name) ? environment_.at(name) : std::string(); }

  absl::StatusOr<int64_t> Number(const char* name, int64_t low, int64_t high) const;
  // Refuses what is missing of `names`.
  absl::Status Complete(const char* launcher, const std::vector<const char*>& names) const;
  absl::StatusOr<Found> RankOfSize(const char* rank, const char* size, const char* local_rank,
                                   const char* local_size) const;

  absl::StatusOr<std::optional<Found>> Explicit() const;
  absl::StatusOr<std::optional<Found>> Torchrun() const;
  absl::StatusOr<std::optional<Found>> OpenMpi() const;
  absl::StatusOr<std::optional<Found>> Pmi(const std::optional<Found>& slurm) const;
  absl::StatusOr<std::optional<Found>> SlurmStep() const;

  bool InStep() const;
  bool PmiIsSlurms() const;
  absl::Status CheckTorchrun(const Found& torchrun, const std::optional<Found>& other, const char* name) const;
  absl::Status CheckLoneWorldSize(Launch& launch) const;
  absl::Status CheckJobWithoutStep(Launch& launch) const;
  void Take(const Found& found, LaunchSource source, Launch& launch) const;
  absl::Status Address(Launch& launch) const;
  std::string RunId(LaunchSource source) const;

  const Environment& environment_;
  const LaunchOptions& options_;
};

absl::StatusOr<int64_t> Detector::Number(const char* name, int64_t low, int64_t high) const {
  const std::string text = Text(name);
  int64_t value = 0;
  const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  if (digits && absl::SimpleAtoi(text, &value) && value >= low && value <= high) return value;
  return Refused(absl::StrCat(name, ": expected a whole number from ", low, " to ", high, ", found \"", text, "\""));
}

absl::Status Detector::Complete(const char* launcher, const std::vector<const char*>& names) const {
  for (const char* name : names) {
    if (!Has(name)) {
      return Refused(
          absl::StrCat(name, " is not set, while other variables of ", launcher, " are: set all of them or none"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Found> Detector::RankOfSize(const char* rank, const char* size, const char* local_rank,
                                           const char* local_size) const {
  Found found;
  INGOT_ASSIGN_OR_RETURN(found.size, Number(size, 1, Launch::kMaxRanks));
  INGOT_ASSIGN_OR_RETURN(found.rank, Number(rank, 0, found.size - 1));
  if (Has(local_rank)) {
    INGOT_ASSIGN_OR_RETURN(found.local_rank, Number(local_rank, 0, found.size - 1));
  }
  if (Has(local_size)) {
    INGOT_ASSIGN_OR_RETURN(found.local_size, Number(local_size, 1, found.size));
  }
  return found;
}

absl::StatusOr<std::optional<Found>> Detector::Explicit() const {
  if (!Has("INGOT_RANK") && !Has("INGOT_WORLD_SIZE")) return std::nullopt;
  INGOT_RETURN_IF_ERROR(Complete("INGOT_*", {"INGOT_RANK", "INGOT_WORLD_SIZE"}));
  return RankOfSize("INGOT_RANK", "INGOT_WORLD_SIZE", "INGOT_LOCAL_RANK", "INGOT_LOCAL_SIZE");
}

// WORLD_SIZE alone beside another launcher is only compared with it, see CheckLoneWorldSize().
absl::StatusOr<std::optional<Found>> Detector::Torchrun() const {
  if (!Has("RANK") && !Has("LOCAL_RANK")) return std::nullopt;
  INGOT_RETURN_IF_ERROR(Complete("torchrun", {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"}));
  INGOT_RETURN_IF_ERROR(Number("MASTER_PORT", 1, 65535).status());
  return RankOfSize("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE");
}

absl::StatusOr<std::optional<Found>> Detector::OpenMpi() const {
  if (!Has("OMPI_COMM_WORLD_RANK") && !Has("OMPI_COMM_WORLD_SIZE")) return std::nullopt;
  INGOT_RETURN_IF_ERROR(Complete("Open MPI", {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"}));
  INGOT_ASSIGN_OR_RETURN(const Found found, RankOfSize("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                                                       "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"));
  if (Has("PMIX_RANK")) {
    INGOT_ASSIGN_OR_RETURN(const int64_t pmix, Number("PMIX_RANK", 0, kMaxNumber));
    if (pmix != found.rank) {
      return Refused(absl::StrCat("OMPI_COMM_WORLD_RANK is ", found.rank, " but PMIX_RANK is ", pmix,
                                  ": the environment was changed on the way"));
    }
  }
  return found;
}

bool Detector::InStep() const {
  int64_t step = 0;
  return Has("SLURM_STEP_ID") && absl::SimpleAtoi(Text("SLURM_STEP_ID"), &step) && step < kFirstSpecialStep &&
         Has("SLURM_PROCID");
}

bool Detector::PmiIsSlurms() const {
  return InStep() && Text("PMI_JOBID") == absl::StrCat(Text("SLURM_JOB_ID"), ".", Text("SLURM_STEP_ID"));
}

absl::StatusOr<std::optional<Found>> Detector::Pmi(const std::optional<Found>& slurm) const {
  if (!Has("PMI_RANK") && !Has("PMI_SIZE")) return std::nullopt;
  INGOT_RETURN_IF_ERROR(Complete("PMI", {"PMI_RANK", "PMI_SIZE"}));
  INGOT_ASSIGN_OR_RETURN(const Found found, RankOfSize("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"));
  if (!PmiIsSlurms()) return found;
  if (slurm.has_value() && (slurm->rank != found.rank || slurm->size != found.size)) {
    return Refused(absl::StrCat("SLURM_PROCID says rank ", slurm->rank, " of ", slurm->size, " but PMI_RANK of the ",
                                "same step says ", found.rank, " of ", found.size));
  }
  return std::nullopt;  // srun --mpi=pmi2: the step itself
}

absl::StatusOr<std::optional<Found>> Detector::SlurmStep() const {
  if (!InStep()) return std::nullopt;
  if (!Has("SLURM_STEP_NUM_TASKS")) {
    return Refused(
        "SLURM_STEP_NUM_TASKS is not set in a Slurm step (an old srun?): give INGOT_RANK=$SLURM_PROCID and "
        "INGOT_WORLD_SIZE in the step's environment");
  }
  INGOT_ASSIGN_OR_RETURN(Found found,
                         RankOfSize("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_no_such_variable"));
  if (Has("SLURM_STEP_TASKS_PER_NODE") && Has("SLURM_NODEID")) {
    INGOT_ASSIGN_OR_RETURN(const int64_t node, Number("SLURM_NODEID", 0, Launch::kMaxRanks));
    found.local_size = SlurmTasksOfNode(Text("SLURM_STEP_TASKS_PER_NODE"), node);
  }
  return found;
}

// Without TORCHELASTIC_RUN_ID the variables may come from a job script that exports them, the same to all tasks.
absl::Status Detector::CheckTorchrun(const Found& torchrun, const std::optional<Found>& other, const char* name) const {
  if (Has("TORCHELASTIC_RUN_ID") || !other.has_value()) return absl::OkStatus();
  if (other->rank == torchrun.rank && other->size == torchrun.size) return absl::OkStatus();
  return Refused(absl::StrCat("RANK and WORLD_SIZE say rank ", torchrun.rank, " of ", torchrun.size, " but ", name,
                              " says ", other->rank, " of ", other->size,
                              ": unset RANK, WORLD_SIZE and LOCAL_RANK in the job script, or start with torchrun"));
}

absl::Status Detector::CheckLoneWorldSize(Launch& launch) const {
  if (!Has("WORLD_SIZE") || launch.source == LaunchSource::kTorchrun || launch.source == LaunchSource::kExplicit) {
    return absl::OkStatus();
  }
  if (launch.source == LaunchSource::kPlain) return Complete("torchrun", {"RANK", "LOCAL_RANK"});
  INGOT_ASSIGN_OR_RETURN(const int64_t size, Number("WORLD_SIZE", 1, Launch::kMaxRanks));
  if (size != launch.size) {
    return Refused(absl::StrCat("WORLD_SIZE is ", size, " but ", Name(launch.source), " says ", launch.size, " ranks"));
  }
  launch.notes.push_back("WORLD_SIZE agrees and is not needed");
  return absl::OkStatus();
}

absl::Status Detector::CheckJobWithoutStep(Launch& launch) const {
  if (Has("PMIX_RANK")) {
    return Refused(
        "PMIX_RANK is set but no size is (OMPI_COMM_WORLD_SIZE, PMI_SIZE, SLURM_STEP_NUM_TASKS): start with "
        "mpirun or srun, or give INGOT_RANK and INGOT_WORLD_SIZE");
  }
  if (!Has("SLURM_JOB_ID")) return absl::OkStatus();
  int64_t most = 1;
  for (const char* name : {"SLURM_NTASKS", "SLURM_NNODES", "SLURM_JOB_NUM_NODES"}) {
    if (!Has(name)) continue;
    INGOT_ASSIGN_OR_RETURN(const int64_t count, Number(name, 1, kMaxNumber));
    most = std::max(most, count);
  }
  if (most == 1) return absl::OkStatus();
  if (options_.single) {
    launch.notes.push_back(absl::StrCat("--single: one process, although the Slurm job has room for ", most));
    return absl::OkStatus();
  }
  return Refused(absl::StrCat("this Slurm job has ", most, " tasks or nodes, but this process is in no step of it: ",
                              "start with srun, or give --single to train in one process"));
}

void Detector::Take(const Found& found, LaunchSource source, Launch& launch) const {
  launch.source = source;
  launch.rank = found.rank;
  launch.size = found.size;
  launch.local_rank = found.local_rank;
  launch.local_size = found.local_size;
}

absl::Status Detector::Address(Launch& launch) const {
  if (Has("INGOT_COORDINATOR")) {
    launch.coordinator = Text("INGOT_COORDINATOR");
    return absl::OkStatus();
  }
  if (!Has("MASTER_ADDR") || !Has("MASTER_PORT")) return absl::OkStatus();
  if (launch.source == LaunchSource::kPlain) {
    launch.notes.push_back("MASTER_ADDR and MASTER_PORT are set, but neither RANK nor WORLD_SIZE: one process");
    return absl::OkStatus();
  }
  if (launch.source == LaunchSource::kExplicit) return absl::OkStatus();
  INGOT_RETURN_IF_ERROR(Number("MASTER_PORT", 1, 65535).status());
  if (Text("TORCHELASTIC_USE_AGENT_STORE") == "True") return absl::OkStatus();  // torchrun serves that port itself
  launch.coordinator = absl::StrCat(Text("MASTER_ADDR"), ":", Text("MASTER_PORT"));
  return absl::OkStatus();
}

std::string Detector::RunId(LaunchSource source) const {
  switch (source) {
    case LaunchSource::kExplicit:
      return Text("INGOT_RUN_ID");
    case LaunchSource::kTorchrun:
      return absl::StrCat(Text("TORCHELASTIC_RUN_ID"), "/", Text("TORCHELASTIC_RESTART_COUNT"));
    case LaunchSource::kOpenMpi:
      return Text("PMIX_NAMESPACE");
    case LaunchSource::kPmi:
      return Text("PMI_JOBID");
    case LaunchSource::kSlurm:
      return absl::StrCat(Text("SLURM_JOB_ID"), ".", Text("SLURM_STEP_ID"), "/", Text("SLURM_RESTART_COUNT"));
    case LaunchSource::kPlain:
      break;
  }
  return "";
}

absl::StatusOr<Launch> Detector::Detect() {
  INGOT_ASSIGN_OR_RETURN(const std::optional<Found> set, Explicit());
  Launch launch;
  if (set.has_value()) {
    Take(*set, LaunchSource::kExplicit, launch);
    if (InStep()) launch.notes.push_back("the Slurm step is ignored: INGOT_RANK and INGOT_WORLD_SIZE are set");
  } else {
    int64_t heterogeneous = 0;
    if (absl::SimpleAtoi(Text("SLURM_HET_SIZE"), &heterogeneous) && heterogeneous > 1) {
      return Refused("SLURM_HET_SIZE: heterogeneous Slurm jobs are not supported; ask for nodes of one kind");
    }
    INGOT_ASSIGN_OR_RETURN(const std::optional<Found> mpi, OpenMpi());
    std::optional<Found> slurm;
    if (!mpi.has_value()) {
      INGOT_ASSIGN_OR_RETURN(slurm, SlurmStep());
    }
    INGOT_ASSIGN_OR_RETURN(const std::optional<Found> pmi, Pmi(slurm));
    INGOT_ASSIGN_OR_RETURN(const std::optional<Found> torchrun, Torchrun());
    if (torchrun.has_value()) {
      const std::optional<Found>& other = mpi.has_value() ? mpi : pmi.has_value() ? pmi : slurm;
      INGOT_RETURN_IF_ERROR(CheckTorchrun(*torchrun, other, mpi ? "Open MPI" : pmi ? "PMI" : "the Slurm step"));
      Take(*torchrun, LaunchSource::kTorchrun, launch);
    } else if (mpi.has_value()) {
      Take(*mpi, LaunchSource::kOpenMpi, launch);
    } else if (pmi.has_value()) {
      Take(*pmi, LaunchSource::kPmi, launch);
    } else if (slurm.has_value()) {
      Take(*slurm, LaunchSource::kSlurm, launch);
    } else {
      INGOT_RETURN_IF_ERROR(CheckJobWithoutStep(launch));
    }
  }
  INGOT_RETURN_IF_ERROR(CheckLoneWorldSize(launch));
  INGOT_RETURN_IF_ERROR(Address(launch));
  launch.run_id = RunId(launch.source);
  if (options_.world_size > 0 && options_.world_size != launch.size) {
    return Refused(absl::StrCat("--world-size is ", options_.world_size, " but ", launch.ToString(), " was found"));
  }
  return launch;
}

}  // namespace

const char* Name(LaunchSource source) {
  static constexpr const char* kNames[] = {"plain", "INGOT_*", "torchrun", "Open MPI", "PMI", "Slurm step"};
  return kNames[static_cast<int>(source)];
}

std::string Launch::ToString() const { return absl::StrCat("rank ", rank, " of ", size, " (", Name(source), ")"); }

absl::StatusOr<Launch> DetectLaunch(const Environment& environment, const LaunchOptions& options) {
  return Detector(environment, options).Detect();
}

Environment ProcessEnvironment() {
  Environment environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string::npos) environment[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return environment;
}

int64_t SlurmTasksOfNode(const std::string& text, int64_t node) {
  int64_t first = 0;
  for (const absl::string_view group : absl::StrSplit(text, ',')) {
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(group, absl::MaxSplits("(x", 1));
    int64_t tasks = 0, nodes = 1;
    if (!absl::SimpleAtoi(parts.first, &tasks)) return -1;
    if (parts.first.size() != group.size()) {
      const absl::string_view count = parts.second;
      if (count.empty() || count.back() != ')' || !absl::SimpleAtoi(count.substr(0, count.size() - 1), &nodes))
        return -1;
    }
    if (tasks < 1 || nodes < 1 || nodes > Launch::kMaxRanks) return -1;
    if (node < first + nodes) return tasks;
    first += nodes;
  }
  return -1;
}

}  // namespace ingot
