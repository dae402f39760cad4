#include "tests/kernels/emulator/golden.h"

#include <fstream>

#include "core/base/check.h"

namespace ingot {

std::vector<CsvRow> ReadGolden(const std::string& name) {
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

}  // namespace ingot
