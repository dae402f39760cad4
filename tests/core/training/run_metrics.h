#pragma once
// Reading RUN/metrics.jsonl.
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace ingot {

// The lines of the file that hold `key`.
std::vector<nlohmann::json> MetricsWith(const std::string& path, const char* key);
// The values of `key` in them.
std::vector<double> MetricsOf(const std::string& path, const char* key);

}  // namespace ingot
