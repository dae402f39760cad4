// ingot train: pre-trains a model; started again on the same RUN_DIR it goes on from the newest valid checkpoint. Started
// by a launcher, it is one rank of a run (docs/distributed.md).
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "core/base/status_macros.h"
#include "core/training/config.h"
#include "core/training/stop.h"
#include "core/training/trainer.h"
#include "distributed/flight_record.h"
#include "distributed/ranks.h"
#include "kernels/cuda/runtime.h"
#include "tools/ingot/command.h"
#include "tools/ingot/device.h"

namespace ingot {
namespace {

struct TrainFlags {
  std::string config, output;
  std::vector<std::string> settings;
  std::string device;
  LaunchOptions launch;
  std::string interface;
  bool insecure_network = false;
  int64_t wait_for_ranks = 600, silence = 20;  // seconds
};

ControlDeadlines DeadlinesOf(const TrainFlags& flags) {
  ControlDeadlines deadlines;
  deadlines.present = std::chrono::seconds(flags.wait_for_ranks);
  deadlines.connect = std::min(deadlines.connect, deadlines.present);
  deadlines.silence = std::chrono::seconds(flags.silence);
  return deadlines;
}

// The run is over because of another rank, whatever this one is doing.
void LeaveAtOnce(const Verdict& verdict) {
  std::fflush(stdout);
  std::fprintf(stderr, "ingot: error: %s\n", verdict.text.c_str());
  FlightRecord::EndCurrent(static_cast<int>(verdict.code), verdict.text);
  _exit(static_cast<int>(verdict.code));
}

void SayLaunch(const Ranks& ranks) {
  if (!ranks.first()) return;
  if (ranks.launch().source != LaunchSource::kPlain) std::printf("%s\n", ranks.launch().ToString().c_str());
  for (const std::string& note : ranks.launch().notes) std::fprintf(stderr, "note: %s\n", note.c_str());
}

// The code to leave with: 0, or that of the signal that ended the run early.
absl::StatusOr<int> TrainAs(const std::shared_ptr<Ranks>& ranks, const TrainFlags& flags) {
  const Device device = DeviceOf(flags.device);
  INGOT_ASSIGN_OR_RETURN(const RunConfig config, LoadConfig(flags.config, flags.settings, /*needs_data=*/true, device));
  INGOT_ASSIGN_OR_RETURN(const std::unique_ptr<Trainer> trainer, Trainer::Create(config, flags.output, device, ranks));
  // Here, before the trainer's memory is given back: the others wait.
  INGOT_RETURN_IF_ERROR(ranks->Fail(trainer->Run()));
  return trainer->exit_code();
}

absl::Status Train(const TrainFlags& flags, int& code) {
  INGOT_ASSIGN_OR_RETURN(const std::shared_ptr<Ranks> ranks, Ranks::Join({.environment = ProcessEnvironment(),
                                                                          .launch = flags.launch,
                                                                          .run_directory = flags.output,
                                                                          .interface = flags.interface,
                                                                          .insecure_network = flags.insecure_network,
                                                                          .deadlines = DeadlinesOf(flags),
                                                                          .leave = LeaveAtOnce}));
  SayLaunch(*ranks);
  cuda::SetLocalRank(static_cast<int>(ranks->launch().local_rank));
  const absl::StatusOr<int> ended = TrainAs(ranks, flags);
  if (!ended.ok()) return ranks->Fail(ended.status());
  code = *ended;
  return absl::OkStatus();
}

void AddLaunchOptions(CLI::App& command, TrainFlags& flags) {
  command.add_option("--world-size", flags.launch.world_size, "Refuse to start unless there are so many ranks")
      ->check(CLI::Range(int64_t{1}, Launch::kMaxRanks));
  command.add_flag("--single", flags.launch.single, "One process, although the Slurm job has room for more");
  command.add_option("--interface", flags.interface,
                     "Network interface between machines; default: the first that is up");
  command.add_option("--wait-for-ranks", flags.wait_for_ranks, "Seconds from the first rank's start to the last one's")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  command.add_option("--silence", flags.silence, "Seconds after which a rank that is not heard of counts as gone")
      ->check(CLI::Range(2, 86400))
      ->capture_default_str();
  command.add_flag("--insecure-network", flags.insecure_network,
                   "Let the ranks meet on a network without a secret (INGOT_SECRET_FILE)");
}

}  // namespace

void AddTrainCommand(CLI::App& app) {
  CLI::App* command = app.add_subcommand("train", "Pre-trains a model; on the same --output again it resumes");
  auto flags = std::make_shared<TrainFlags>();
  command->add_option("--config", flags->config, "RunConfig in text format (docs/config.md)")->required();
  command->add_option("--set", flags->settings, "path.to.field=value; may be repeated, in the order given")
      ->take_all()
      ->allow_extra_args(false);
  command->add_option("--output", flags->output, "RUN_DIR: checkpoints/, metrics.jsonl, TensorBoard events")
      ->required();
  AddDeviceOption(*command, flags->device);
  AddLaunchOptions(*command, *flags);
  command->footer(
      "Exit codes: 0 finished; 1 error; 2 wrong usage; 74 another rank died, or this one hung; 75 saved on SIGTERM or "
      "SIGUSR1 after the step under way, 130 on SIGINT, to go on by the same command; 76 the ranks disagree; 77 "
      "secret; "
      "78 the ranks were not started alike; 79 stopped before a loss spike or numbers that are not finite "
      "(docs/failures.md).");
  command->callback([flags] {
    GiveStopSignalsAThread();
    int code = 0;
    RunCommand([&] { return Train(*flags, code); });
    if (code != 0) std::exit(code);
  });
}

}  // namespace ingot
