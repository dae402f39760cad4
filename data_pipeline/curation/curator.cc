#include "data_pipeline/curation/curator.h"

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "data_pipeline/curation/predicate.h"

namespace ingot {
namespace {

// What hashes stand for: a document and a paragraph of the same text are different things.
constexpr uint64_t kDocument = 1, kPart = 2;

// A line or paragraph of a document: what it says, and where the next one begins.
struct Part {
  absl::string_view content;
  size_t end;
};

bool IsBlank(absl::string_view line) { return line.empty() || line == "\r"; }

// The line at `begin`, without its LF; `end` is behind that.
absl::string_view LineAt(absl::string_view text, size_t begin, size_t& end) {
  const size_t newline = text.find('\n', begin);
  end = newline == absl::string_view::npos ? text.size() : newline + 1;
  return text.substr(begin, (newline == absl::string_view::npos ? end : newline) - begin);
}

// A paragraph is the lines up to a blank one, which belongs to it with those that follow.
Part PartAt(absl::string_view text, size_t begin, bool lines) {
  size_t end = begin;
  absl::string_view line = LineAt(text, begin, end);
  size_t content_end = begin + line.size();
  if (lines) return {text.substr(begin, content_end - begin), end};
  bool blank = IsBlank(line);
  while (end < text.size()) {
    size_t next = end;
    line = LineAt(text, end, next);
    if (blank && !IsBlank(line)) break;
    blank = IsBlank(line);
    if (!blank) content_end = end + line.size();
    end = next;
  }
  return {text.substr(begin, content_end - begin), end};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Curator>> Curator::Create(const CurationOptions& options, CurationCounts& counts) {
  const auto fewest = static_cast<int64_t>(Decontaminator::kFewestWords);
  if (options.decontaminate_words < fewest) {
    return absl::InvalidArgumentError(absl::StrCat("decontamination by ", options.decontaminate_words,
                                                   " words in a row: expected at least ", fewest));
  }
  if (options.max_bytes > 0 && options.max_bytes < options.min_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("documents of at most ", options.max_bytes, " and at least ",
                                                   options.min_bytes, " bytes: no document has both"));
  }
  INGOT_RETURN_IF_ERROR(ParsePredicates(options.where).status());
  std::unique_ptr<Curator> curator(new Curator(options, counts));
  if (options.decontaminate.empty()) return curator;
  INGOT_ASSIGN_OR_RETURN(curator->decontaminator_,
                         Decontaminator::Create(options.decontaminate, options.decontaminate_words));
  counts.evaluation = curator->decontaminator_->files();
  return curator;
}

bool Curator::HasLength(absl::string_view text) {
  const auto size = static_cast<int64_t>(text.size());
  const bool too_short = size == 0 || size < options_.min_bytes;
  const bool too_long = options_.max_bytes > 0 && size > options_.max_bytes;
  counts_.short_documents += too_short;
  counts_.long_documents += too_long;
  return !too_short && !too_long;
}

absl::StatusOr<bool> Curator::IsNew(absl::string_view text) {
  INGOT_ASSIGN_OR_RETURN(const bool is_new, seen_.Insert(HashText(text, kDocument)));
  if (is_new) return true;
  ++counts_.duplicate_documents;
  counts_.duplicate_bytes += static_cast<int64_t>(text.size());
  return false;
}

absl::Status Curator::RemoveSeenParts(std::string& text) {
  kept_.clear();
  bool last_stays = true;
  for (size_t begin = 0; begin < text.size();) {
    const Part part = PartAt(text, begin, options_.deduplicate == Deduplication::kLines);
    last_stays = static_cast<int64_t>(part.content.size()) < options_.deduplicate_min_bytes;
    if (!last_stays) {
      INGOT_ASSIGN_OR_RETURN(last_stays, seen_.Insert(HashText(part.content, kPart)));
    }
    if (last_stays) kept_.append(text, begin, part.end - begin);
    counts_.duplicate_parts += !last_stays;
    begin = part.end;
  }
  while (!last_stays && !kept_.empty() && (kept_.back() == '\n' || kept_.back() == '\r')) kept_.pop_back();
  counts_.duplicate_bytes += static_cast<int64_t>(text.size() - kept_.size());
  text.swap(kept_);
  return absl::OkStatus();
}

bool Curator::IsClean(absl::string_view text) {
  const int64_t file = decontaminator_->FindMatch(text);
  if (file < 0) return true;
  ++counts_.evaluation[static_cast<size_t>(file)].documents;
  ++counts_.contaminated_documents;
  counts_.contaminated_bytes += static_cast<int64_t>(text.size());
  return false;
}

absl::StatusOr<bool> Curator::Keep(std::string& text) {
  if (!HasLength(text)) return false;
  if (options_.deduplicate != Deduplication::kNone) {
    INGOT_ASSIGN_OR_RETURN(const bool is_new, IsNew(text));
    if (!is_new) return false;
  }
  const bool parts =
      options_.deduplicate == Deduplication::kParagraphs || options_.deduplicate == Deduplication::kLines;
  if (parts) {
    INGOT_RETURN_IF_ERROR(RemoveSeenParts(text));
    if (!HasLength(text)) return false;
  }
  return !decontaminator_ || IsClean(text);
}

}  // namespace ingot
