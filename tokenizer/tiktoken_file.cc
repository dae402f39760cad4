#include "tokenizer/tiktoken_file.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "tokenizer/special_tokens.h"

namespace ingot {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{256} << 20;
constexpr size_t kMaxTokens = size_t{1} << 24;
constexpr size_t kMaxTokenBytes = 4096;  // the longest known is 128 blanks; deriving a merge is quadratic in it

using IdOfToken = absl::flat_hash_map<std::string, int32_t>;

absl::Status ParseLine(absl::string_view line, std::vector<std::string>& tokens) {
  const size_t blank = line.find(' ');
  std::string bytes;
  uint32_t rank = 0;
  if (blank == absl::string_view::npos || !absl::Base64Unescape(line.substr(0, blank), &bytes) ||
      !absl::SimpleAtoi(line.substr(blank + 1), &rank)) {
    return absl::InvalidArgumentError("expected a token in base64, a blank and its rank");
  }
  if (bytes.empty() || bytes.size() > kMaxTokenBytes) {
    return absl::InvalidArgumentError(absl::StrCat("a token of ", bytes.size(), " bytes"));
  }
  if (rank >= kMaxTokens) return absl::InvalidArgumentError(absl::StrCat("rank ", rank, " is not below 2^24"));
  if (rank >= tokens.size()) tokens.resize(rank + 1);
  if (!tokens[rank].empty()) return absl::InvalidArgumentError(absl::StrCat("rank ", rank, " occurs twice"));
  tokens[rank] = std::move(bytes);
  return absl::OkStatus();
}

absl::Status ParseLines(absl::string_view text, std::vector<std::string>& tokens) {
  for (int64_t number = 1; !text.empty(); ++number) {
    const size_t newline = std::min(text.find('\n'), text.size());
    absl::string_view line = text.substr(0, newline);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (!line.empty()) {
      const absl::Status status = ParseLine(line, tokens);
      if (!status.ok()) return Annotate(status, absl::StrCat("line ", number, ": "));
    }
    text.remove_prefix(std::min(newline + 1, text.size()));
  }
  return absl::OkStatus();
}

// The parts that merging makes of token `id` with only the merges below it: two if the token can be reached.
std::vector<std::string> PartsBelow(const std::string& token, int32_t id, const IdOfToken& id_of) {
  std::vector<std::string> parts;
  for (const char byte : token) parts.emplace_back(1, byte);
  while (parts.size() > 2) {
    size_t best = parts.size();
    int32_t lowest = id;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto found = id_of.find(parts[i] + parts[i + 1]);
      if (found != id_of.end() && found->second < lowest) {
        lowest = found->second;
        best = i;
      }
    }
    if (best == parts.size()) break;
    parts[best] += parts[best + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  return parts;
}

// Ranks → merges. A token that no merges reach stays in the vocabulary; whole pieces must then be looked up first.
void DeriveMerges(TokenizerModel& model) {
  IdOfToken id_of;
  for (size_t id = 0; id < model.tokens.size(); ++id) id_of.emplace(model.tokens[id], static_cast<int32_t>(id));
  for (size_t id = 0; id < model.tokens.size(); ++id) {
    if (model.tokens[id].size() < 2) continue;
    const std::vector<std::string> parts = PartsBelow(model.tokens[id], static_cast<int32_t>(id), id_of);
    if (parts.size() == 2 && id_of.contains(parts[0]) && id_of.contains(parts[1])) {
      model.merges.push_back({id_of[parts[0]], id_of[parts[1]], static_cast<int32_t>(id)});
    } else {
      model.whole_piece_first = true;
    }
  }
}

absl::StatusOr<TokenizerModel> BuildModel(absl::string_view text, SplitPattern pattern,
                                          const std::vector<std::string>& specials) {
  TokenizerModel model;
  model.pattern = pattern;
  INGOT_RETURN_IF_ERROR(ParseLines(text, model.tokens));
  for (size_t rank = 0; rank < model.tokens.size(); ++rank) {
    if (model.tokens[rank].empty()) return absl::InvalidArgumentError(absl::StrCat("rank ", rank, " is missing"));
  }
  INGOT_RETURN_IF_ERROR(Validate(model));
  DeriveMerges(model);
  AppendSpecialTokens(specials.empty() ? std::vector<std::string>{kEndOfText} : specials, model);
  INGOT_RETURN_IF_ERROR(Validate(model));
  return model;
}

}  // namespace

absl::StatusOr<TokenizerModel> ParseTiktokenFile(absl::string_view text, absl::string_view what, SplitPattern pattern,
                                                 const std::vector<std::string>& specials) {
  absl::StatusOr<TokenizerModel> model = BuildModel(text, pattern, specials);
  if (!model.ok()) return Annotate(model.status(), absl::StrCat(what, ": "));
  return model;
}

absl::StatusOr<TokenizerModel> ReadTiktokenFile(const std::string& path, SplitPattern pattern,
                                                const std::vector<std::string>& specials) {
  INGOT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
  return ParseTiktokenFile(text, path, pattern, specials);
}

}  // namespace ingot
