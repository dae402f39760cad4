#pragma once
// Tables of tests/golden, and what a GPU has recorded there.
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "core/base/check.h"

namespace ingot {

using CsvRow = std::vector<std::string>;

// The lines behind the head of tests/golden/NAME.
inline std::vector<CsvRow> ReadGolden(const std::string& name) {
  const std::string path = std::string(INGOT_SOURCE_DIR) + "/tests/golden/" + name;
  std::ifstream file(path);
  INGOT_CHECK(file.good(), "%s cannot be read", path.c_str());
  std::vector<CsvRow> rows;
  std::string line, cell;
  std::getline(file, line);
  while (std::getline(file, line)) {
    CsvRow& row = rows.emplace_back();
    for (std::istringstream cells(line); std::getline(cells, cell, ',');) row.push_back(cell);
  }
  INGOT_CHECK(!rows.empty(), "%s is empty", path.c_str());
  return rows;
}

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
