// ingot sample-corpus
#include "data_pipeline/sample_corpus.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/base/status_macros.h"
#include "tools/ingot/command.h"

namespace ingot {
namespace {

struct Arguments {
  std::string output;
  int64_t bytes = 5'000'000;
  uint64_t seed = 1;
  bool json = false;
};

absl::Status Run(const Arguments& arguments) {
  INGOT_ASSIGN_OR_RETURN(const SampleCorpus corpus,
                         WriteSampleCorpus(arguments.output, arguments.bytes, arguments.seed));
  const StoryEntropy& entropy = corpus.entropy;
  if (arguments.json) {
    const nlohmann::ordered_json json = {{"output", arguments.output},
                                         {"seed", arguments.seed},
                                         {"stories", corpus.stories},
                                         {"text_bytes", corpus.text_bytes},
                                         {"entropy_bits_per_byte", entropy.bits_per_byte()},
                                         {"bits_per_story", entropy.bits_per_story},
                                         {"bytes_per_story", entropy.bytes_per_story},
                                         {"sampled_bits_per_byte", corpus.sampled_bits_per_byte}};
    std::printf("%s\n", json.dump(2).c_str());
    return absl::OkStatus();
  }
  std::printf("corpus      %s: %lld stories, %lld bytes of text, seed %llu\n", arguments.output.c_str(),
              static_cast<long long>(corpus.stories), static_cast<long long>(corpus.text_bytes),
              static_cast<unsigned long long>(arguments.seed));
  std::printf("entropy     %.6f bits per byte: no model of this language can do better on average\n",
              entropy.bits_per_byte());
  std::printf("            (%.3f bits and %.3f bytes a story; these stories themselves: %.6f bits per byte)\n",
              entropy.bits_per_story, entropy.bytes_per_story, corpus.sampled_bits_per_byte);
  return absl::OkStatus();
}

}  // namespace

void AddSampleCorpusCommand(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      app.add_subcommand("sample-corpus", "Writes English-like stories of a language whose exact entropy is known");
  command
      ->add_option("--output", arguments->output,
                   "File to write: .jsonl (a story a line) or .txt (blank lines between)")
      ->required();
  command->add_option("--bytes", arguments->bytes, "Bytes of text to write, rounded up to whole stories")
      ->capture_default_str();
  command->add_option("--seed", arguments->seed, "Equal seeds give equal stories")->capture_default_str();
  command->add_flag("--json", arguments->json, "Print the figures as JSON");
  command->callback([arguments] { RunCommand([&] { return Run(*arguments); }); });
}

}  // namespace ingot
