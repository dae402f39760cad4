// ingot train: pre-trains a model; started again on the same RUN_DIR it goes on from the newest valid checkpoint.
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "core/base/status_macros.h"
#include "core/training/config.h"
#include "core/training/stop.h"
#include "core/training/trainer.h"
#include "tools/ingot/command.h"
#include "tools/ingot/device.h"

namespace ingot {
namespace {

struct TrainFlags {
  std::string config, output;
  std::vector<std::string> settings;
  std::string device;
};

// `unfinished`: a signal ended the run before its last step.
absl::Status Train(const TrainFlags& flags, bool& unfinished) {
  const Device device = DeviceOf(flags.device);
  INGOT_ASSIGN_OR_RETURN(const RunConfig config, LoadConfig(flags.config, flags.settings, /*needs_data=*/true, device));
  INGOT_ASSIGN_OR_RETURN(const std::unique_ptr<Trainer> trainer, Trainer::Create(config, flags.output, device));
  INGOT_RETURN_IF_ERROR(trainer->Run());
  unfinished = trainer->state().step < config.training().steps();
  return absl::OkStatus();
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
  command->footer(
      "Exit codes: 0 finished; 1 error; 2 wrong usage; 75 saved on SIGTERM or SIGUSR1 after the step under way, 130 on "
      "SIGINT, to go on by the same command; 79 stopped before a loss spike or numbers that are not finite.");
  command->callback([flags] {
    bool unfinished = false;
    RunCommand([&] { return Train(*flags, unfinished); });
    if (unfinished) std::exit(ExitCodeOfStop(StopSignal()));
  });
}

}  // namespace ingot
