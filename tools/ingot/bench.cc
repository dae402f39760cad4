// ingot bench: measured speed as a share of the machine's roof. One file a bench beside this one.
#include "tools/ingot/bench.h"

#include <CLI/CLI.hpp>

#include "tools/ingot/command.h"

namespace ingot {

void AddBenchCommand(CLI::App& app) {
  CLI::App* bench = app.add_subcommand("bench", "Measures speed as a share of the machine's roof");
  bench->require_subcommand(1);
  AddBenchKernels(*bench);
  AddBenchStep(*bench);
  AddBenchTokenizer(*bench);
  AddBenchLoader(*bench);
  AddBenchRanks(*bench);
}

}  // namespace ingot
