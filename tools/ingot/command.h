#pragma once
// What the subcommands share. Each subcommand is one file that adds itself to the CLI11 app.
#include <functional>

#include "absl/status/status.h"

namespace CLI {
class App;
}

namespace ingot {

// Runs the work of a subcommand. On an error prints `ingot: error: MESSAGE` on standard error and exits with the code
// that the error carries, else 1.
void RunCommand(const std::function<absl::Status()>& work);

void AddInfoCommand(CLI::App& app);
void AddSampleCorpusCommand(CLI::App& app);
void AddTokenizerCommand(CLI::App& app);
void AddDataCommand(CLI::App& app);
void AddTrainCommand(CLI::App& app);
void AddDoctorCommand(CLI::App& app);
void AddLaunchCommand(CLI::App& app);
void AddEvalCommand(CLI::App& app);
void AddGenerateCommand(CLI::App& app);
void AddExportCommand(CLI::App& app);
void AddBenchCommand(CLI::App& app);

}  // namespace ingot
