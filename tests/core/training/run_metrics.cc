#include "tests/core/training/run_metrics.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_split.h"
#include "core/base/file.h"

namespace ingot {

std::vector<nlohmann::json> MetricsWith(const std::string& path, const char* key) {
  std::vector<nlohmann::json> lines;
  const auto text = ReadFile(path);
  EXPECT_TRUE(text.ok()) << text.status();
  for (const absl::string_view line : absl::StrSplit(text.value_or(""), '\n', absl::SkipEmpty())) {
    auto object = nlohmann::json::parse(line.begin(), line.end());
    if (object.contains(key)) lines.push_back(std::move(object));
  }
  return lines;
}

std::vector<double> MetricsOf(const std::string& path, const char* key) {
  std::vector<double> values;
  for (const nlohmann::json& line : MetricsWith(path, key)) values.push_back(line[key].get<double>());
  return values;
}

}  // namespace ingot
