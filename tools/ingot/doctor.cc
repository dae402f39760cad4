// ingot doctor: reads the flight records of a run's ranks and names the one that hung, died or failed.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/status_macros.h"
#include "distributed/flight_diagnosis.h"
#include "tools/ingot/command.h"

namespace ingot {
namespace {

struct DoctorFlags {
  std::string run_directory;
  bool json = false;
};

void PrintText(const Diagnosis& found, const std::vector<std::string>& notes) {
  std::printf("%s: %s\n%s\n\n", Name(found.kind), found.finding.c_str(), found.advice.c_str());
  for (const std::string& line : found.ranks) std::printf("%s\n", line.c_str());
  for (const std::string& note : notes) std::printf("%s\n", note.c_str());
}

void PrintJson(const Diagnosis& found, const std::vector<std::string>& notes) {
  const nlohmann::ordered_json value = {{"kind", Name(found.kind)}, {"culprits", found.culprits},
                                        {"finding", found.finding}, {"advice", found.advice},
                                        {"ranks", found.ranks},     {"notes", notes}};
  std::printf("%s\n", value.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
}

absl::Status Examine(const DoctorFlags& flags) {
  std::vector<std::string> notes;
  INGOT_ASSIGN_OR_RETURN(const std::vector<RankEvidence> all, ReadFlightRecords(flags.run_directory, notes));
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const Diagnosis found = Diagnose(all, std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
  flags.json ? PrintJson(found, notes) : PrintText(found, notes);
  return absl::OkStatus();
}

}  // namespace

void AddDoctorCommand(CLI::App& app) {
  CLI::App* command = app.add_subcommand("doctor", "Says which rank of a run hung, died or failed, and where");
  auto flags = std::make_shared<DoctorFlags>();
  command->add_option("run_directory", flags->run_directory, "RUN_DIR, the --output of ingot train")->required();
  command->add_flag("--json", flags->json, "One JSON object instead of text");
  command->footer(
      "Reads RUN_DIR/flight (docs/flight_record.md). On the machine where the ranks ran it also knows which "
      "of them live. Exit code 0 whatever it finds, 1 if there is nothing to read.");
  command->callback([flags] { RunCommand([&] { return Examine(*flags); }); });
}

}  // namespace ingot
