#pragma once
// Tables behind tokenizer/normalization.h, made by tools/generate_normalization_tables.py.
#include <cstdint>

namespace ingot {

// Full canonical decomposition of a code point: `count` code points of kDecompositionParts. Hangul syllables are
// computed instead.
struct Decomposition {
  uint32_t code_point;
  uint16_t first, count;
};
inline constexpr int kDecompositionCount = 2060;
extern const uint32_t kDecompositionParts[];
extern const Decomposition kDecompositions[kDecompositionCount];  // by code point

struct Composition {
  uint32_t first, second, composed;
};
inline constexpr int kCompositionCount = 940;
extern const Composition kCompositions[kCompositionCount];  // by (first, second)

// Canonical combining classes other than 0.
struct ClassRange {
  uint32_t first, last;
  uint8_t combining_class;
};
inline constexpr int kClassRangeCount = 333;
extern const ClassRange kCombiningClasses[kClassRangeCount];  // by code point

// A bit a code point, 256 to a block: it may change, or join what stands before it.
inline constexpr uint32_t kUnstableBlocks = 763;
extern const uint8_t kUnstableBlock[kUnstableBlocks];
extern const uint64_t kUnstable[];

struct CodePointRange {
  uint32_t first, last;
};
inline constexpr int kWordRangeCount = 796;
extern const CodePointRange kWordRanges[kWordRangeCount];  // by code point

}  // namespace ingot
