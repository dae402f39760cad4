// `ingot tokenizer train|import|encode|decode`.
#include "tokenizer/tokenizer.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "data_pipeline/documents.h"
#include "tokenizer/gpt2_files.h"
#include "tokenizer/hf_files.h"
#include "tokenizer/model.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/tiktoken_file.h"
#include "tokenizer/trainer.h"
#include "tools/ingot/command.h"

namespace ingot {
namespace {

constexpr char kStandardStream[] = "-";

// Options of all four subcommands; each uses its own.
struct TokenizerOptions {
  std::vector<std::string> input;
  std::string output = kStandardStream;
  std::string tokenizer;
  std::string pattern = "qwen2";
  std::string documents = "whole-file";
  std::string field = "text";
  std::string format = "text";
  std::vector<std::string> specials;
  bool skip_bad_lines = false;
  bool json = false;
  bool special_tokens = false;
  bool with_template = false;
  bool end_of_text = false;
  TrainerOptions training;
};

double SecondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Standard error: one line that is written over on a terminal, elsewhere a line every few seconds.
class ProgressLine {
 public:
  void Show(const TrainerProgress& progress) {
    const double interval = live_ ? 0.2 : 5.0;
    if (SecondsSince(last_) < interval) return;
    last_ = std::chrono::steady_clock::now();
    const std::string line =
        progress.merges_wanted > 0
            ? absl::StrFormat("%d different pieces, %d of %d merges", progress.pieces, progress.merges,
                              progress.merges_wanted)
            : absl::StrFormat("%.1f MB of text counted", static_cast<double>(progress.bytes) / 1e6);
    std::fprintf(stderr, live_ ? "\r\033[K%s" : "%s\n", line.c_str());
    shown_ = true;
  }
  void Clear() const {
    if (live_ && shown_) std::fputs("\r\033[K", stderr);
  }

 private:
  bool live_ = isatty(STDERR_FILENO) != 0;
  bool shown_ = false;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

absl::StatusOr<std::unique_ptr<DocumentReader>> OpenDocuments(const TokenizerOptions& options) {
  DocumentOptions documents;
  documents.text_field = options.field;
  documents.blank_line_documents = options.documents == "blank-line";
  documents.skip_bad_lines = options.skip_bad_lines;
  return DocumentReader::Open(options.input, documents);
}

void PrintTraining(const TokenizerModel& model, const TokenizerOptions& options, const DocumentCounts& counts,
                   double seconds) {
  if (options.json) {
    absl::PrintF(
        "{\"tokens\": %d, \"merges\": %d, \"documents\": %d, \"bytes\": %d, \"bad_lines\": %d, "
        "\"invalid_utf8_documents\": %d, \"seconds\": %.3f}\n",
        model.tokens.size(), model.merges.size(), counts.documents, counts.text_bytes, counts.bad_lines,
        counts.invalid_utf8_documents, seconds);
    return;
  }
  absl::PrintF("%d tokens (256 bytes, %d merges, %d special) from %d documents, %.1f MB, in %.1f s: %s\n",
               model.tokens.size(), model.merges.size(), CountSpecial(model), counts.documents,
               static_cast<double>(counts.text_bytes) / 1e6, seconds, options.output);
  if (counts.bad_lines > 0) absl::PrintF("%d bad lines skipped\n", counts.bad_lines);
  if (counts.invalid_utf8_documents > 0) {
    absl::PrintF("%d documents are not valid UTF-8; their bytes were taken as they are\n",
                 counts.invalid_utf8_documents);
  }
}

absl::Status Train(TokenizerOptions options) {
  const auto begin = std::chrono::steady_clock::now();
  INGOT_ASSIGN_OR_RETURN(options.training.pattern, ParseSplitPattern(options.pattern));
  INGOT_ASSIGN_OR_RETURN(const std::unique_ptr<DocumentReader> reader, OpenDocuments(options));
  INGOT_RETURN_IF_ERROR(CheckTokenizerOutput(options.output));
  ProgressLine line;
  options.training.progress = [&line](const TrainerProgress& progress) { line.Show(progress); };
  const TextSource source = [&reader](std::string& text) { return reader->Next(text); };
  const absl::StatusOr<TokenizerModel> model = TrainTokenizer(source, options.training);
  line.Clear();
  if (!model.ok()) return model.status();
  INGOT_RETURN_IF_ERROR(SaveTokenizer(*model, options.output));
  PrintTraining(*model, options, reader->counts(), SecondsSince(begin));
  return absl::OkStatus();
}

absl::StatusOr<TokenizerModel> ReadForeign(const TokenizerOptions& options) {
  const std::vector<std::string>& input = options.input;
  if (input.size() == 2) {
    const bool json_first = absl::EndsWith(input[0], ".json");
    return ReadGpt2Files(input[json_first ? 0 : 1], input[json_first ? 1 : 0]);
  }
  if (input.size() != 1) {
    return absl::InvalidArgumentError(
        "--input takes one file (tokenizer.json or .tiktoken) or two (encoder.json and vocab.bpe)");
  }
  if (absl::EndsWith(input[0], ".json")) return ReadTokenizerJson(input[0]);
  if (!absl::EndsWith(input[0], ".tiktoken")) {
    return absl::InvalidArgumentError(
        absl::StrCat(input[0], ": expected tokenizer.json, a .tiktoken file, or encoder.json with vocab.bpe"));
  }
  INGOT_ASSIGN_OR_RETURN(const SplitPattern pattern, ParseSplitPattern(options.pattern));
  return ReadTiktokenFile(input[0], pattern, options.specials);
}

absl::Status Import(const TokenizerOptions& options) {
  INGOT_RETURN_IF_ERROR(CheckTokenizerOutput(options.output));
  INGOT_ASSIGN_OR_RETURN(const TokenizerModel model, ReadForeign(options));
  INGOT_RETURN_IF_ERROR(SaveTokenizer(model, options.output));
  absl::PrintF("%d tokens, %d merges, %d special, pattern %s: %s\n", model.tokens.size(), model.merges.size(),
               CountSpecial(model), std::string(SplitPatternName(model.pattern)), options.output);
  return absl::OkStatus();
}

// Standard output or a file, by one interface; a file is not in its place before Close().
class Output {
 public:
  static absl::StatusOr<Output> Open(const std::string& path) {
    Output output;
    if (path == kStandardStream) return output;
    output.path_ = path;
    output.temporary_ = absl::StrCat(path, ".tmp-", getpid());
    INGOT_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(output.temporary_));
    output.file_ = std::make_unique<FileWriter>(std::move(file));
    return output;
  }
  Output(Output&&) = default;
  Output& operator=(Output&&) = default;
  ~Output() {
    if (file_ != nullptr) std::remove(temporary_.c_str());
  }

  absl::Status Write(absl::string_view bytes) {
    if (file_ != nullptr) return file_->Append(bytes);
    if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size()) return absl::OkStatus();
    return absl::UnavailableError("cannot write to standard output");
  }
  absl::Status Close() {
    if (file_ == nullptr) {
      return std::fflush(stdout) == 0 ? absl::OkStatus() : absl::UnavailableError("cannot write to standard output");
    }
    INGOT_RETURN_IF_ERROR(file_->Close());
    file_.reset();
    if (std::rename(temporary_.c_str(), path_.c_str()) == 0) return absl::OkStatus();
    std::remove(temporary_.c_str());
    return absl::UnavailableError(absl::StrCat("cannot rename ", temporary_, " to ", path_));
  }

 private:
  Output() = default;
  std::string path_, temporary_;
  std::unique_ptr<FileWriter> file_;
};

absl::StatusOr<std::string> ReadAll(FILE* file, const std::string& name) {
  std::string text;
  char buffer[1 << 16];
  for (size_t got = 0; (got = std::fread(buffer, 1, sizeof(buffer), file)) > 0;) text.append(buffer, got);
  if (std::ferror(file) != 0) return absl::UnavailableError(absl::StrCat("cannot read ", name));
  return text;
}

// Calls `use` with each document: those of the input files, or standard input as one.
absl::Status ForEachDocument(const TokenizerOptions& options,
                             const std::function<absl::Status(const std::string&)>& use) {
  if (options.input.empty() || options.input == std::vector<std::string>{kStandardStream}) {
    INGOT_ASSIGN_OR_RETURN(const std::string text, ReadAll(stdin, "standard input"));
    return use(text);
  }
  INGOT_ASSIGN_OR_RETURN(const std::unique_ptr<DocumentReader> reader, OpenDocuments(options));
  std::string text;
  for (;;) {
    INGOT_ASSIGN_OR_RETURN(const bool more, reader->Next(text));
    if (!more) return absl::OkStatus();
    INGOT_RETURN_IF_ERROR(use(text));
  }
}

std::string FormatIds(const std::vector<int32_t>& ids, bool raw) {
  std::string out;
  if (raw) {
    out.assign(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(int32_t));
    return out;
  }
  out.reserve(ids.size() * 6 + 1);
  for (size_t i = 0; i < ids.size(); ++i) absl::StrAppend(&out, i == 0 ? "" : " ", ids[i]);
  out.push_back('\n');
  return out;
}

// A document's ids with what the tokenizer's template puts around them.
std::vector<int32_t> PutAround(const SequenceTemplate& around, const std::vector<int32_t>& ids) {
  if (around.single.empty()) return ids;
  std::vector<int32_t> all;
  for (const TemplatePart& part : around.single) {
    if (part.id >= 0) {
      all.push_back(part.id);
    } else {
      all.insert(all.end(), ids.begin(), ids.end());
    }
  }
  return all;
}

absl::Status Encode(const TokenizerOptions& options) {
  INGOT_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::Load(options.tokenizer));
  if (options.end_of_text && tokenizer.end_of_text() < 0) {
    return absl::InvalidArgumentError(absl::StrCat("--end-of-text: this tokenizer has no ", kEndOfText));
  }
  INGOT_ASSIGN_OR_RETURN(Output output, Output::Open(options.output));
  Encoder encoder(tokenizer);
  std::vector<int32_t> ids;
  INGOT_RETURN_IF_ERROR(ForEachDocument(options, [&](const std::string& text) {
    ids.clear();
    if (options.special_tokens) {
      encoder.EncodeWithSpecialTokens(text, ids);
    } else {
      encoder.Encode(text, ids);
    }
    if (options.with_template) ids = PutAround(tokenizer.model().around, ids);
    if (options.end_of_text) ids.push_back(tokenizer.end_of_text());
    return output.Write(FormatIds(ids, options.format == "u32"));
  }));
  return output.Close();
}

// The ids of one line or of a raw file.
absl::Status ParseIds(absl::string_view line, int64_t number, std::vector<int32_t>& ids) {
  ids.clear();
  const char* p = line.data();
  const char* const end = p + line.size();
  while (p < end) {
    if (*p == ' ' || *p == '\r') {
      ++p;
      continue;
    }
    int32_t id = 0;
    const auto [rest, error] = std::from_chars(p, end, id);
    if (error != std::errc() || (rest < end && *rest != ' ' && *rest != '\r')) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, ": \"", line.substr(p - line.data(), 20), "\" is not a token id"));
    }
    ids.push_back(id);
    p = rest;
  }
  return absl::OkStatus();
}

absl::Status DecodeLines(const TokenizerOptions& options, const Tokenizer& tokenizer, absl::string_view text,
                         Output& output) {
  std::vector<int32_t> ids;
  for (int64_t number = 1; !text.empty(); ++number) {
    const size_t newline = std::min(text.find('\n'), text.size());
    INGOT_RETURN_IF_ERROR(ParseIds(text.substr(0, newline), number, ids));
    const absl::StatusOr<std::string> bytes = tokenizer.Decode(ids, options.special_tokens);
    if (!bytes.ok()) return Annotate(bytes.status(), absl::StrCat("line ", number, ": "));
    INGOT_RETURN_IF_ERROR(output.Write(*bytes));
    text.remove_prefix(std::min(newline + 1, text.size()));
  }
  return absl::OkStatus();
}

absl::Status DecodeRaw(const TokenizerOptions& options, const Tokenizer& tokenizer, absl::string_view raw,
                       Output& output) {
  if (raw.size() % sizeof(int32_t) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("the input has ", raw.size(), " bytes, not a multiple of 4"));
  }
  std::vector<int32_t> ids(raw.size() / sizeof(int32_t));
  if (!ids.empty()) std::memcpy(ids.data(), raw.data(), raw.size());
  INGOT_ASSIGN_OR_RETURN(const std::string bytes, tokenizer.Decode(ids, options.special_tokens));
  return output.Write(bytes);
}

absl::StatusOr<std::string> ReadInput(const TokenizerOptions& options) {
  if (options.input.empty() || options.input[0] == kStandardStream) return ReadAll(stdin, "standard input");
  return ReadFile(options.input[0], std::numeric_limits<int64_t>::max());
}

absl::Status Decode(const TokenizerOptions& options) {
  INGOT_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::Load(options.tokenizer));
  INGOT_ASSIGN_OR_RETURN(const std::string input, ReadInput(options));
  INGOT_ASSIGN_OR_RETURN(Output output, Output::Open(options.output));
  const auto decode = options.format == "u32" ? DecodeRaw : DecodeLines;
  INGOT_RETURN_IF_ERROR(decode(options, tokenizer, input, output));
  return output.Close();
}

CLI::App* AddSubcommand(CLI::App& parent, const char* name, const char* description,
                        const std::shared_ptr<TokenizerOptions>& options,
                        std::function<absl::Status(const TokenizerOptions&)> work) {
  CLI::App* command = parent.add_subcommand(name, description);
  command->callback([options, work = std::move(work)] { RunCommand([&] { return work(*options); }); });
  return command;
}

void AddDocumentOptions(CLI::App& command, TokenizerOptions& options) {
  command.add_option("--documents", options.documents, "what one document of a .txt file is")
      ->check(CLI::IsMember({"whole-file", "blank-line"}))
      ->capture_default_str();
  command.add_option("--field", options.field, "field of a JSON line, or column, that holds the text")
      ->capture_default_str();
  command.add_flag("--skip-bad-lines", options.skip_bad_lines, "pass over JSON lines and rows that cannot be used");
}

void AddTrain(CLI::App& parent) {
  auto options = std::make_shared<TokenizerOptions>();
  CLI::App* command = AddSubcommand(parent, "train", "Learns a byte-level BPE vocabulary from text.", options, Train);
  TrainerOptions& training = options->training;
  command
      ->add_option("--input", options->input,
                   ".txt or .jsonl files, plain, .gz or .zst, .parquet files, or directories")
      ->required();
  command
      ->add_option("--vocab-size", training.vocabulary_size,
                   "tokens in all: 256 bytes, N - 320 merges and 64 reserved special tokens; at least 320")
      ->required();
  command->add_option("--output", options->output, "directory to make")->required();
  command->add_option("--pattern", options->pattern, "how text is split: qwen2, gpt2, llama3 or digits")
      ->check(CLI::IsMember({"qwen2", "gpt2", "llama3", "digits"}))
      ->capture_default_str();
  command->add_option("--min-frequency", training.min_frequency, "merge only pairs that occur at least this many times")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--limit-bytes", training.limit_bytes, "learn from the first bytes of text only; 0: from all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_flag("--lines", training.lines, "cut documents after each LF: no token crosses a line's end");
  command->add_option("--threads", training.threads, "threads; 0: all processors. The result does not depend on it")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_flag("--json", options->json, "print the figures as JSON");
  AddDocumentOptions(*command, *options);
}

void AddImport(CLI::App& parent) {
  auto options = std::make_shared<TokenizerOptions>();
  CLI::App* command = AddSubcommand(parent, "import", "Takes over another tool's tokenizer.", options, Import);
  command
      ->add_option("--input", options->input, "tokenizer.json, a .tiktoken file, or GPT-2's encoder.json and vocab.bpe")
      ->required();
  command->add_option("--output", options->output, "directory to make")->required();
  command->add_option("--pattern", options->pattern, "split pattern of a .tiktoken file, which does not state it")
      ->check(CLI::IsMember({"qwen2", "gpt2", "llama3", "digits"}))
      ->capture_default_str();
  command->add_option("--special", options->specials,
                      "special tokens of a .tiktoken file in the order of their ids (default: <|endoftext|>)");
}

void AddStreamOptions(CLI::App& command, TokenizerOptions& options, const char* input) {
  command.add_option("--tokenizer", options.tokenizer, "directory of the tokenizer")->required();
  command.add_option("--input", options.input, input);
  command.add_option("--output", options.output, "file; - is standard output")->capture_default_str();
  command.add_option("--format", options.format, "text: a line a document; u32: raw little-endian ids")
      ->check(CLI::IsMember({"text", "u32"}))
      ->capture_default_str();
}

void AddEncode(CLI::App& parent) {
  auto options = std::make_shared<TokenizerOptions>();
  CLI::App* command = AddSubcommand(parent, "encode", "Text to token ids, one document a line.", options, Encode);
  AddStreamOptions(
      *command, *options,
      ".txt or .jsonl files, plain, .gz or .zst, .parquet files, or directories; default: standard input as "
      "one document");
  command->add_flag("--special-tokens", options->special_tokens,
                    "spellings of special tokens become their ids (default: they are ordinary text)");
  command->add_flag("--template", options->with_template,
                    "put around each document what the tokenizer's template asks for, as Llama 3's begin of text");
  command->add_flag("--end-of-text", options->end_of_text, "end each document with the id of <|endoftext|>");
  AddDocumentOptions(*command, *options);
}

void AddDecode(CLI::App& parent) {
  auto options = std::make_shared<TokenizerOptions>();
  CLI::App* command = AddSubcommand(parent, "decode", "Token ids to the bytes they stand for.", options, Decode);
  AddStreamOptions(*command, *options, "file of ids; default: standard input");
  command->add_flag("--special-tokens", options->special_tokens, "spell special tokens (default: they give nothing)");
}

}  // namespace

void AddTokenizerCommand(CLI::App& app) {
  CLI::App* command = app.add_subcommand("tokenizer", "Trains, imports and runs tokenizers.");
  command->require_subcommand(1);
  AddTrain(*command);
  AddImport(*command);
  AddEncode(*command);
  AddDecode(*command);
}

}  // namespace ingot
