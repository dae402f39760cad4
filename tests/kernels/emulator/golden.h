#pragma once
// Tables of tests/golden, and what a GPU has recorded there.
#include <cstdint>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace ingot {

using CsvRow = std::vector<std::string>;

// The lines behind the head of tests/golden/NAME.
std::vector<CsvRow> ReadGolden(const std::string& name);

// "0:1 8:0" as pairs.
inline std::vector<std::pair<int, int>> Cells(const std::string& text) {
  std::vector<std::pair<int, int>> cells;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const size_t colon = word.find(':');
    cells.emplace_back(std::stoi(word.substr(0, colon)), std::stoi(word.substr(colon + 1)));
  }
  return cells;
}

inline uint32_t Hex(const std::string& text) { return static_cast<uint32_t>(std::stoul(text, nullptr, 16)); }

}  // namespace ingot
