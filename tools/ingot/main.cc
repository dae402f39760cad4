// The `ingot` command: text to tokenizer, to shards, to a trained checkpoint. One file a subcommand beside this one.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "kernels/cpu/flush_to_zero.h"
#include "tools/ingot/command.h"

namespace {

// Threads that wait for each other sleep instead of spinning, unless the environment says otherwise: on a processor
// shared with other programs a training step is then about ten times faster, alone on it at most 8 % slower
// (docs/performance.md). The OpenMP runtime reads this before main, hence the second start.
void StartAgainWaitingPassively(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  setenv("OMP_WAIT_POLICY", "passive", /*overwrite=*/1);
  execv("/proc/self/exe", argv);  // returns only if it failed; then the run is merely slower under load
}

}  // namespace

int main(int argc, char** argv) {
  StartAgainWaitingPassively(argv);
#ifdef __x86_64__
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
    std::fprintf(stderr, "ingot: error: this build needs a processor with AVX2 and FMA (x86-64-v3)\n");
    return 1;
  }
#endif
  ingot::SetFlushToZero();  // before any thread is made: they inherit it, so every command computes the same bits
  CLI::App app("Pre-trains small language models from raw text.", "ingot");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("ingot ") + INGOT_VERSION);
  ingot::AddInfoCommand(app);
  ingot::AddSampleCorpusCommand(app);
  ingot::AddTokenizerCommand(app);
  ingot::AddDataCommand(app);
  ingot::AddTrainCommand(app);
  ingot::AddDoctorCommand(app);
  ingot::AddLaunchCommand(app);
  ingot::AddEvalCommand(app);
  ingot::AddGenerateCommand(app);
  ingot::AddExportCommand(app);
  ingot::AddBenchCommand(app);
  const auto all = app.get_subcommands([](const CLI::App*) { return true; });
  if (argc > 1 && argv[1][0] != '-' &&
      std::none_of(all.begin(), all.end(), [&](const CLI::App* command) { return command->get_name() == argv[1]; })) {
    std::fprintf(stderr, "ingot: error: there is no command \"%s\"; 'ingot --help' lists them\n", argv[1]);
    return 2;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {  // --help and --version
    return app.exit(done);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "ingot: error: %s\n", error.what());
    std::fprintf(stderr, "Run 'ingot --help' or 'ingot COMMAND --help' for usage.\n");
    return 2;
  }
  return 0;
}
