#include "tokenizer/normalization.h"

#include <immintrin.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "tokenizer/normalization_unicode_tables.h"
#include "tokenizer/utf8.h"

namespace ingot {
namespace {

using Byte = uint8_t;

// Hangul syllables are arithmetic: L + V, then + T.
constexpr uint32_t kSyllables = 0xAC00, kLead = 0x1100, kVowel = 0x1161, kTail = 0x11A7;
constexpr uint32_t kLeads = 19, kVowels = 21, kTails = 28, kSyllableCount = kLeads * kVowels * kTails;

struct Mark {
  uint32_t code_point;
  uint8_t combining_class;
};

uint8_t CombiningClass(uint32_t c) {
  const ClassRange* const found =
      std::upper_bound(std::begin(kCombiningClasses), std::end(kCombiningClasses), c,
                       [](uint32_t wanted, const ClassRange& range) { return wanted < range.first; });
  if (found == std::begin(kCombiningClasses)) return 0;
  const ClassRange& range = found[-1];
  return c <= range.last ? range.combining_class : 0;
}

void Decompose(uint32_t c, std::vector<Mark>& out) {
  const auto push = [&out](uint32_t part) { out.push_back({part, CombiningClass(part)}); };
  if (const uint32_t syllable = c - kSyllables; c >= kSyllables && syllable < kSyllableCount) {
    push(kLead + syllable / (kVowels * kTails));
    push(kVowel + syllable / kTails % kVowels);
    if (syllable % kTails != 0) push(kTail + syllable % kTails);
    return;
  }
  const Decomposition* const found =
      std::lower_bound(std::begin(kDecompositions), std::end(kDecompositions), c,
                       [](const Decomposition& entry, uint32_t wanted) { return entry.code_point < wanted; });
  if (found == std::end(kDecompositions) || found->code_point != c) return push(c);
  for (int i = 0; i < found->count; ++i) push(kDecompositionParts[found->first + i]);
}

// What two code points make together, 0 if nothing.
uint32_t Compose(uint32_t first, uint32_t second) {
  if (first >= kLead && first < kLead + kLeads && second >= kVowel && second < kVowel + kVowels) {
    return kSyllables + ((first - kLead) * kVowels + (second - kVowel)) * kTails;
  }
  if (first >= kSyllables && first < kSyllables + kSyllableCount && (first - kSyllables) % kTails == 0 &&
      second > kTail && second < kTail + kTails) {
    return first + (second - kTail);
  }
  const Composition* const found =
      std::lower_bound(std::begin(kCompositions), std::end(kCompositions), std::pair(first, second),
                       [](const Composition& entry, const std::pair<uint32_t, uint32_t>& pair) {
                         return std::pair(entry.first, entry.second) < pair;
                       });
  const bool is_there = found != std::end(kCompositions) && found->first == first && found->second == second;
  return is_there ? found->composed : 0;
}

void AppendUtf8(uint32_t c, std::string& out) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c));
    return;
  }
  const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  constexpr uint32_t kFirst[] = {0, 0xC0, 0xE0, 0xF0};
  out.push_back(static_cast<char>(kFirst[more] | c >> (6 * more)));
  for (int shift = 6 * (more - 1); shift >= 0; shift -= 6) out.push_back(static_cast<char>(0x80 | (c >> shift & 0x3F)));
}

// Runs of marks into the order of their classes; those of one class keep theirs.
void Order(std::vector<Mark>& marks) {
  for (auto begin = marks.begin(); begin != marks.end();) {
    if (begin->combining_class == 0) {
      ++begin;
      continue;
    }
    const auto end = std::find_if(begin, marks.end(), [](const Mark& mark) { return mark.combining_class == 0; });
    std::stable_sort(begin, end, [](const Mark& a, const Mark& b) { return a.combining_class < b.combining_class; });
    begin = end;
  }
}

// Joins marks to the last starter before them unless one that stays between them is of the same class or higher.
void Join(std::vector<Mark>& marks) {
  size_t size = 0;
  ptrdiff_t starter = -1;
  for (const Mark mark : marks) {
    if (starter >= 0) {
      const bool adjacent = static_cast<ptrdiff_t>(size) == starter + 1;
      const bool blocked = !adjacent && marks[size - 1].combining_class >= mark.combining_class;
      const uint32_t composed = blocked ? 0 : Compose(marks[starter].code_point, mark.code_point);
      if (composed != 0) {
        marks[starter].code_point = composed;
        continue;
      }
    }
    if (mark.combining_class == 0) starter = static_cast<ptrdiff_t>(size);
    marks[size++] = mark;
  }
  marks.resize(size);
}

// Characters from `p` on that are unstable; `p` itself may be a stable one that they join. Where they end.
const Byte* NormalizeSegment(const Byte* p, const Byte* end, std::vector<Mark>& marks, std::string& out) {
  marks.clear();
  for (bool first = true; p < end; first = false) {
    const Utf8Char c = ReadUtf8(p, end);
    if (c.code_point == kInvalidCodePoint || (!first && !IsUnstable(c.code_point))) break;
    Decompose(c.code_point, marks);
    p += c.size;
  }
  Order(marks);
  Join(marks);
  for (const Mark& mark : marks) AppendUtf8(mark.code_point, out);
  return p;
}

// Whole blocks of ASCII.
const Byte* SkipAscii(const Byte* p, const Byte* end) {
  while (end - p >= 16 && _mm_movemask_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))) == 0) p += 16;
  return p;
}

}  // namespace

bool IsUnstable(uint32_t c) {
  const uint32_t block = c >> 8;
  return block < kUnstableBlocks && (kUnstable[kUnstableBlock[block] * 4 + (c >> 6 & 3)] >> (c & 63) & 1) != 0;
}

size_t FindUnstable(absl::string_view text) {
  const Byte* const begin = reinterpret_cast<const Byte*>(text.data());
  const Byte* const end = begin + text.size();
  const Byte* stable = end;  // the last stable character before `p`, if it is text
  for (const Byte* p = begin; p < end;) {
    if (const Byte* const ascii = SkipAscii(p, end); ascii != p) {
      stable = ascii - 1;
      p = ascii;
      continue;
    }
    if (*p < 0xCC) {  // below U+0300 nothing changes or joins; stray continuation bytes join nothing
      const int size = ReadUtf8(p, end).size;
      stable = *p < 0x80 || size == 2 ? p : end;
      p += size;
      continue;
    }
    const Utf8Char c = ReadUtf8(p, end);
    if (c.code_point == kInvalidCodePoint) {
      stable = end;
    } else if (IsUnstable(c.code_point)) {
      return static_cast<size_t>((stable == end ? p : stable) - begin);
    } else {
      stable = p;
    }
    p += c.size;
  }
  return text.size();
}

absl::string_view NormalizeNfc(absl::string_view text, std::string& scratch) {
  size_t unstable = FindUnstable(text);
  if (unstable == text.size()) return text;
  scratch.clear();
  scratch.reserve(text.size());
  std::vector<Mark> marks;
  const Byte* const begin = reinterpret_cast<const Byte*>(text.data());
  for (size_t done = 0; done < text.size();) {
    scratch.append(text.data() + done, unstable - done);
    done = unstable;
    if (done < text.size()) {
      done = static_cast<size_t>(NormalizeSegment(begin + done, begin + text.size(), marks, scratch) - begin);
    }
    unstable = done + FindUnstable(text.substr(done));
  }
  return scratch;
}

bool IsWordCharacter(uint32_t c) {
  const CodePointRange* const found =
      std::upper_bound(std::begin(kWordRanges), std::end(kWordRanges), c,
                       [](uint32_t wanted, const CodePointRange& range) { return wanted < range.first; });
  return found != std::begin(kWordRanges) && c <= found[-1].last;
}

}  // namespace ingot
