#pragma once
// What is left out of the input while it is read, and how much that was (docs/data.md).
#include <cstdint>
#include <string>
#include <vector>

namespace ingot {

enum class Deduplication { kNone, kDocuments, kParagraphs, kLines };

struct CurationOptions {
  std::vector<std::string> where = {};  // predicates on a document's columns, all of which must hold (predicate.h)
  int64_t min_bytes = 0;                // of a document's text
  int64_t max_bytes = 0;                // 0: any
  Deduplication deduplicate = Deduplication::kNone;
  int64_t deduplicate_min_bytes = 40;             // shorter paragraphs and lines may repeat
  int64_t deduplicate_memory = int64_t{4} << 30;  // bytes of the table of what was seen
  std::vector<std::string> decontaminate = {};    // evaluation files
  int64_t decontaminate_words = 13;               // of a matching n-gram
  bool operator==(const CurationOptions&) const = default;
  bool any() const;
};

// What one evaluation file holds, and the documents left out because of it.
struct EvaluationFile {
  std::string path;
  int64_t texts = 0;        // that are looked for
  int64_t short_texts = 0;  // of too few words to be looked for
  int64_t documents = 0;    // left out: the first match in each was one of this file's
  bool operator==(const EvaluationFile&) const = default;
};

struct CurationCounts {
  int64_t column_documents = 0;  // left out by `where`
  int64_t short_documents = 0;   // left out by min_bytes, also where deduplication left too little
  int64_t long_documents = 0;    // left out by max_bytes
  int64_t duplicate_documents = 0;
  int64_t duplicate_parts = 0;  // paragraphs or lines removed from documents
  int64_t duplicate_bytes = 0;  // of both
  int64_t contaminated_documents = 0;
  int64_t contaminated_bytes = 0;
  std::vector<EvaluationFile> evaluation = {};
  bool operator==(const CurationCounts&) const = default;
};

inline bool CurationOptions::any() const {
  return !where.empty() || min_bytes > 0 || max_bytes > 0 || deduplicate != Deduplication::kNone ||
         !decontaminate.empty();
}

// "none", "documents", "paragraphs", "lines".
inline const char* Name(Deduplication deduplication) {
  constexpr const char* kNames[] = {"none", "documents", "paragraphs", "lines"};
  return kNames[static_cast<int>(deduplication)];
}

}  // namespace ingot
