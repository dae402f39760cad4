#!/usr/bin/env python3
"""Writes tokenizer/normalization_unicode_tables.cc: canonical decompositions, compositions and combining classes for NFC, and
the characters of words (\\w) beside which a token that must be a word of its own is not found.

The source is Hugging Face `tokenizers`, since imported tokenizers must give its ids; its NFC tables are those of an
older Unicode than its classes of characters. Every scalar value is asked. Combining classes are proposed by Python's
`unicodedata` and proven by how `tokenizers` orders each character among those of the classes around its own.

    python3 tools/generate_normalization_tables.py > tokenizer/normalization_unicode_tables.cc
"""
import sys
import unicodedata

from tokenizers import AddedToken, Tokenizer, models, normalizers

NFC, NFD = normalizers.NFC().normalize_str, normalizers.NFD().normalize_str
SCALARS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
HANGUL = range(0xAC00, 0xAC00 + 11172)
# What the tables of tokenizers 0.23 hold. Another count means an engine of another version: nothing moves silently.
EXPECTED = {"decompositions": 2060, "compositions": 940, "classes": 814, "words": 144667}
BLOCK = 256


def expect(name, count):
    if count != EXPECTED[name]:
        sys.exit(f"{count} {name}, expected {EXPECTED[name]}")


def combining_classes():
    """{code point: class}, those of class 0 left out."""
    swaps = [lambda c: f"a{c}\u0334", lambda c: f"a\u0345{c}"]  # marks of the lowest and of the highest class
    reorders = [c for c in SCALARS if unicodedata.combining(chr(c)) and any(NFD(s(chr(c))) != s(chr(c)) for s in swaps)]
    classes = {c: unicodedata.combining(chr(c)) for c in reorders}
    first_of = {}
    for c in reorders:
        first_of.setdefault(classes[c], chr(c))
    order = sorted(first_of)
    for c in reorders:
        place = order.index(classes[c])
        peer = first_of[order[place]]
        proofs = [(f"a{peer}{chr(c)}", f"a{peer}{chr(c)}"), (f"a{chr(c)}{peer}", f"a{chr(c)}{peer}")]
        if place > 0:
            lower = first_of[order[place - 1]]
            proofs.append((f"a{chr(c)}{lower}", f"a{lower}{chr(c)}"))
        if place + 1 < len(order):
            higher = first_of[order[place + 1]]
            proofs.append((f"a{higher}{chr(c)}", f"a{chr(c)}{higher}"))
        for text, expected in proofs:
            if NFD(text) != "".join(NFD(x) for x in expected):
                sys.exit(f"U+{c:04X} is not of class {classes[c]}")
    for c in SCALARS:  # and nothing else reorders
        if c not in classes and NFD(chr(c)) == chr(c) and NFD("a" + chr(c) + "\u0334") != "a" + chr(c) + "\u0334":
            sys.exit(f"U+{c:04X} has a class that Python does not know")
    return classes


def decompositions():
    return {c: NFD(chr(c)) for c in SCALARS if c not in HANGUL and NFD(chr(c)) != chr(c)}


def compositions(decomposed):
    pairs = {}
    for c, parts in decomposed.items():
        if NFC(parts) != chr(c) or len(parts) < 2:
            continue
        first = NFC(parts[:-1])
        if len(first) != 1 or NFC(first + parts[-1]) != chr(c):
            sys.exit(f"U+{c:04X} is not made of two characters")
        pairs[ord(first), ord(parts[-1])] = c
    return pairs


def unstable(classes, pairs):
    """What may change, or change with what stands before it: all else begins text that is normalized on its own."""
    second = {right for _, right in pairs} | set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))
    return {c for c in SCALARS if NFC(chr(c)) != chr(c)} | set(classes) | second


def word_characters():
    tokenizer = Tokenizer(models.BPE({"x": 0}, []))
    tokenizer.add_tokens([AddedToken("\ue123", single_word=True, normalized=False)])
    return {c for c in SCALARS if c != 0xE123 and 1 not in tokenizer.encode("\ue123" + chr(c)).ids}


def ranges(members):
    found = []
    for c in sorted(members):
        if found and found[-1][1] == c - 1:
            found[-1][1] = c
        else:
            found.append([c, c])
    return found


def rows(items, width=118):
    lines, line = [], "   "
    for item in items:
        if len(line) + len(item) + 2 > width:
            lines.append(line)
            line = "   "
        line += " " + item + ","
    return "\n".join(lines + [line]) + "\n};"


def main():
    classes, decomposed = combining_classes(), decompositions()
    pairs, words = compositions(decomposed), word_characters()
    for name, table in (("decompositions", decomposed), ("compositions", pairs), ("classes", classes),
                        ("words", words)):
        print(f"{len(table)} {name}", file=sys.stderr)
        expect(name, len(table))
    parts, entries = [], []
    for c, text in sorted(decomposed.items()):
        entries.append(f"{{0x{c:X}, {len(parts)}, {len(text)}}}")
        parts += [f"0x{ord(x):X}" for x in text]
    changing = unstable(classes, pairs)
    blocks, index = [tuple([0] * 4)], []
    for first in range(0, (max(changing) // BLOCK + 1) * BLOCK, BLOCK):
        block = tuple(sum(1 << i for i in range(64) if first + word + i in changing) for word in range(0, BLOCK, 64))
        if block not in blocks:
            blocks.append(block)
        index.append(blocks.index(block))
    class_ranges = []
    for value in sorted(set(classes.values())):
        class_ranges += [(low, high, value) for low, high in ranges(c for c in classes if classes[c] == value)]
    print(f"""// Generated by tools/generate_normalization_tables.py from tokenizers 0.23. Do not edit.
#include "tokenizer/normalization_unicode_tables.h"

namespace ingot {{

// clang-format off
const uint32_t kDecompositionParts[] = {{
{rows(parts)}

const Decomposition kDecompositions[kDecompositionCount] = {{
{rows(entries)}

const Composition kCompositions[kCompositionCount] = {{
{rows([f"{{0x{a:X}, 0x{b:X}, 0x{c:X}}}" for (a, b), c in sorted(pairs.items())])}

const ClassRange kCombiningClasses[kClassRangeCount] = {{
{rows([f"{{0x{low:X}, 0x{high:X}, {value}}}" for low, high, value in sorted(class_ranges)])}

const uint8_t kUnstableBlock[kUnstableBlocks] = {{
{rows([str(i) for i in index])}

const uint64_t kUnstable[] = {{
{rows([f"0x{word:016x}" for block in blocks for word in block])}

const CodePointRange kWordRanges[kWordRangeCount] = {{
{rows([f"{{0x{low:X}, 0x{high:X}}}" for low, high in ranges(words)])}
// clang-format on

}}  // namespace ingot""")
    print(f"decompositions {len(entries)}, compositions {len(pairs)}, class ranges {len(class_ranges)}, unstable blocks "
          f"{len(index)}, word ranges {len(ranges(words))}", file=sys.stderr)


if __name__ == "__main__":
    main()
