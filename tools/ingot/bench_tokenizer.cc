// ingot bench tokenizer: encoding cold and warm on one thread and on all, the splitter alone, and training, a corpus a
// row. One-thread figures are of thread CPU time, so that a busy machine does not change them; all threads by the clock.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/philox.h"
#include "core/base/status_macros.h"
#include "core/base/threads.h"
#include "data_pipeline/documents.h"
#include "data_pipeline/sample_corpus.h"
#include "tokenizer/model.h"
#include "tokenizer/splitter.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/trainer.h"
#include "tools/ingot/bench.h"
#include "tools/ingot/command.h"

namespace ingot {
namespace {

constexpr int64_t kGeneratedBytes = 3'000'000;
constexpr int64_t kVocabulary = 2048;         // of the tokenizer that is trained where none is given
constexpr int64_t kTrainingVocabulary = 512;  // where training is timed: 192 merges, so that counting dominates

struct Flags {
  std::string tokenizer, pattern = "qwen2";
  std::vector<std::string> input;
  int threads = 0;
  int rounds = 5;
  bool json = false;
};

struct Corpus {
  std::string name, text;
};

struct Figures {
  std::string corpus;
  int64_t bytes = 0, tokens = 0;
  double split = 0, cold = 0, warm = 0, all_cold = 0, all_warm = 0, training = 0;  // MB/s
};

double ThreadSeconds() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double ClockSeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Characters of the common Chinese block with frequencies as in text (the square of an even draw), in clauses of 4 to
// 19 of them: most clauses never come twice, so that caches of whole pieces help little.
std::string ClausesLikeChinese() {
  const Philox random{2};
  std::string text;
  uint64_t draw = 0;
  while (static_cast<int64_t>(text.size()) < kGeneratedBytes) {
    for (uint64_t n = 4 + random.Below(16, 0, draw++); n > 0; --n) {
      const uint64_t even = random.Below(3000, 1, draw++);
      const auto code = static_cast<uint32_t>(0x4E00 + even * even * 7 / 3000);
      text += {static_cast<char>(0xE0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 63)),
               static_cast<char>(0x80 | (code & 63))};
    }
    text += random.Below(4, 0, draw++) == 0 ? "\xE3\x80\x82\n" : "\xEF\xBC\x8C";
  }
  return text;
}

std::string RandomBytes() {
  const Philox random{3};
  std::string text(kGeneratedBytes, ' ');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(random.Below(256, 0, i));
  return text;
}

absl::StatusOr<std::string> SampleStories() {
  const std::string path =
      (std::filesystem::temp_directory_path() / absl::StrCat("ingot-bench-", getpid(), ".txt")).string();
  INGOT_RETURN_IF_ERROR(WriteSampleCorpus(path, kGeneratedBytes, 1).status());
  absl::StatusOr<std::string> text = ReadFile(path, 2 * kGeneratedBytes);
  std::remove(path.c_str());
  return text;
}

absl::StatusOr<std::vector<Corpus>> GeneratedCorpora() {
  INGOT_ASSIGN_OR_RETURN(std::string stories, SampleStories());
  std::vector<Corpus> corpora;
  corpora.push_back({"sample stories", std::move(stories)});
  corpora.push_back({"like Chinese", ClausesLikeChinese()});
  corpora.push_back({"one letter", std::string(kGeneratedBytes, 'a')});
  corpora.push_back({"random bytes", RandomBytes()});
  return corpora;
}

// The documents of each path, joined.
absl::StatusOr<std::vector<Corpus>> ReadCorpora(const std::vector<std::string>& paths) {
  std::vector<Corpus> corpora;
  for (const std::string& path : paths) {
    INGOT_ASSIGN_OR_RETURN(const std::unique_ptr<DocumentReader> reader, DocumentReader::Open({path}, {}));
    Corpus corpus{std::filesystem::path(path).filename().string(), ""};
    std::string document;
    for (;;) {
      INGOT_ASSIGN_OR_RETURN(const bool more, reader->Next(document));
      if (!more) break;
      corpus.text += document;
    }
    if (corpus.text.empty()) return absl::InvalidArgumentError(absl::StrCat("--input: ", path, " holds no text"));
    corpora.push_back(std::move(corpus));
  }
  return corpora;
}

absl::StatusOr<TokenizerModel> TrainOn(const std::vector<Corpus>& corpora, const Flags& flags, int64_t vocabulary) {
  TrainerOptions options;
  options.vocabulary_size = vocabulary;
  options.threads = flags.threads;
  INGOT_ASSIGN_OR_RETURN(options.pattern, ParseSplitPattern(flags.pattern));
  size_t next = 0;
  return TrainTokenizer(
      [&](std::string& text) -> absl::StatusOr<bool> {
        if (next == corpora.size()) return false;
        text = corpora[next++].text;
        return true;
      },
      options);
}

absl::StatusOr<Tokenizer> TokenizerFor(const std::vector<Corpus>& corpora, const Flags& flags) {
  if (!flags.tokenizer.empty()) return Tokenizer::Load(flags.tokenizer);
  INGOT_ASSIGN_OR_RETURN(TokenizerModel model, TrainOn(corpora, flags, kVocabulary));
  return Tokenizer(std::make_shared<const TokenizerModel>(std::move(model)));
}

class CorpusBench {
 public:
  CorpusBench(const Tokenizer& tokenizer, const Corpus& corpus, const Flags& flags)
      : tokenizer_(tokenizer), name_(corpus.name), text_(corpus.text), threads_(flags.threads) {
    for (size_t begin = 0; begin < text_.size();) {
      const size_t end = SafeCut(text_, std::min(text_.size(), begin + text_.size() / threads_ + 1));
      parts_.push_back(text_.substr(begin, end - begin));
      begin = end;
    }
  }

  // One round of every measure, one after the other: a machine that slows down slows all of them down.
  void Round() {
    std::vector<int32_t> ids;
    ids.reserve(text_.size());
    double start = ThreadSeconds();
    Encoder encoder(tokenizer_);
    encoder.Encode(text_, ids);
    Take(cold_, ThreadSeconds() - start);
    tokens_ = static_cast<int64_t>(ids.size());
    ids.clear();
    start = ThreadSeconds();
    encoder.Encode(text_, ids);
    Take(warm_, ThreadSeconds() - start);
    start = ThreadSeconds();
    Split();
    Take(split_, ThreadSeconds() - start);
    AllThreads();
  }

  Figures Result(double training) const {
    return {.corpus = name_,
            .bytes = static_cast<int64_t>(text_.size()),
            .tokens = tokens_,
            .split = Median(split_),
            .cold = Median(cold_),
            .warm = Median(warm_),
            .all_cold = Median(all_cold_),
            .all_warm = Median(all_warm_),
            .training = training};
  }

 private:
  void Take(std::vector<double>& rates, double seconds) const {
    rates.push_back(static_cast<double>(text_.size()) / 1e6 / std::max(seconds, 1e-9));
  }

  void Split() const {
    std::array<size_t, 128> ends;
    for (size_t begin = 0; begin < text_.size();) {
      begin = ends[SplitText(tokenizer_.model().pattern, text_, begin, ends) - 1];
    }
  }

  void AllThreads() {
    std::vector<std::unique_ptr<Encoder>> encoders(parts_.size());
    std::vector<std::vector<int32_t>> ids(parts_.size());
    const auto pass = [&](int64_t part) {
      if (encoders[part] == nullptr) encoders[part] = std::make_unique<Encoder>(tokenizer_);
      ids[part].clear();
      encoders[part]->Encode(parts_[part], ids[part]);
    };
    for (std::vector<double>* const rates : {&all_cold_, &all_warm_}) {
      const double start = ClockSeconds();
      ParallelFor(static_cast<int64_t>(parts_.size()), threads_, pass);
      Take(*rates, ClockSeconds() - start);
    }
  }

  const Tokenizer& tokenizer_;
  const std::string name_;
  const absl::string_view text_;
  const int threads_;
  std::vector<absl::string_view> parts_;
  std::vector<double> split_, cold_, warm_, all_cold_, all_warm_;
  int64_t tokens_ = 0;
};

// MB/s of learning a small vocabulary from `corpus`; 0 where its text does not support one.
double TrainingRate(const Corpus& corpus, const Flags& flags) {
  const double start = ClockSeconds();
  if (!TrainOn({corpus}, flags, kTrainingVocabulary).ok()) return 0;
  return static_cast<double>(corpus.text.size()) / 1e6 / (ClockSeconds() - start);
}

absl::StatusOr<std::vector<Figures>> Measure(const Flags& flags) {
  INGOT_ASSIGN_OR_RETURN(const std::vector<Corpus> corpora,
                         flags.input.empty() ? GeneratedCorpora() : ReadCorpora(flags.input));
  INGOT_ASSIGN_OR_RETURN(const Tokenizer tokenizer, TokenizerFor(corpora, flags));
  std::vector<Figures> all;
  for (const Corpus& corpus : corpora) {
    CorpusBench bench(tokenizer, corpus, flags);
    for (int round = 0; round < flags.rounds; ++round) bench.Round();
    all.push_back(bench.Result(TrainingRate(corpus, flags)));
  }
  return all;
}

void PrintTable(const std::vector<Figures>& all, const Flags& flags) {
  std::printf("MB/s, medians of %d rounds; one thread by its CPU time, %d threads and training by the clock\n",
              flags.rounds, flags.threads);
  std::printf("%-28s %10s %10s %8s %8s %8s %9s %9s %9s\n", "corpus", "bytes", "tokens", "split", "cold", "warm",
              "all cold", "all warm", "training");
  for (const Figures& f : all) {
    std::printf("%-28s %10lld %10lld %8.1f %8.1f %8.1f %9.1f %9.1f %9.1f\n", f.corpus.c_str(),
                static_cast<long long>(f.bytes), static_cast<long long>(f.tokens), f.split, f.cold, f.warm, f.all_cold,
                f.all_warm, f.training);
  }
}

void PrintJson(const std::vector<Figures>& all, const Flags& flags) {
  nlohmann::ordered_json corpora = nlohmann::ordered_json::array();
  for (const Figures& f : all) {
    corpora.push_back({{"corpus", f.corpus},
                       {"bytes", f.bytes},
                       {"tokens", f.tokens},
                       {"split_mb_per_second", f.split},
                       {"cold_mb_per_second", f.cold},
                       {"warm_mb_per_second", f.warm},
                       {"all_threads_cold_mb_per_second", f.all_cold},
                       {"all_threads_warm_mb_per_second", f.all_warm},
                       {"training_mb_per_second", f.training}});
  }
  const nlohmann::ordered_json json = {
      {"threads", flags.threads}, {"rounds", flags.rounds}, {"corpora", std::move(corpora)}};
  std::printf("%s\n", json.dump(2).c_str());
}

absl::Status BenchTokenizer(Flags flags) {
  if (flags.threads == 0) flags.threads = AvailableProcessors();
  INGOT_ASSIGN_OR_RETURN(const std::vector<Figures> all, Measure(flags));
  flags.json ? PrintJson(all, flags) : PrintTable(all, flags);
  return absl::OkStatus();
}

}  // namespace

void AddBenchTokenizer(CLI::App& bench) {
  CLI::App* command = bench.add_subcommand("tokenizer", "Encoding cold and warm, splitting and training, in MB/s");
  auto flags = std::make_shared<Flags>();
  command->add_option("--tokenizer", flags->tokenizer, "Directory of a tokenizer; default: one trained on the corpora");
  command->add_option("--input", flags->input, "Files of text, a row each; default: generated corpora");
  command->add_option("--pattern", flags->pattern, "Split pattern where a tokenizer is trained")
      ->check(CLI::IsMember({"qwen2", "gpt2", "llama3", "digits"}))
      ->capture_default_str();
  command->add_option("--threads", flags->threads, "Threads of the figures for all; 0: all processors")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command->add_option("--rounds", flags->rounds, "Rounds measured; the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_flag("--json", flags->json, "Print JSON instead of a table");
  command->callback([flags] { RunCommand([&] { return BenchTokenizer(*flags); }); });
}

}  // namespace ingot
