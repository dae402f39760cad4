#pragma once
// Configuration: one RunConfig (configs/ingot.proto) read from text format, changed by settings, checked, written out.
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "configs/ingot.pb.h"
#include "core/model/dims.h"
#include "core/model/model.h"

namespace ingot {

// Reads the file, applies `settings` ("path.to.field=value", strings and enum values also without quotes) in order,
// and checks everything. An error lists all problems, one a line: where (file, line and column, or the setting),
// what was expected, what was found. `needs_data`: a data.path that is no directory is a problem too.
// precision.compute and data.shuffle_tokens, where they are not given, become what `device` is usually run in and what
// raw documents need.
absl::StatusOr<RunConfig> LoadConfig(const std::string& path, const std::vector<std::string>& settings, bool needs_data,
                                     Device device = Device::kCpu);

// Parses `text`; every problem is appended to `problems`, each beginning with `name` and line:column.
RunConfig ParseConfig(const std::string& text, const std::string& name, std::vector<std::string>& problems);

// One setting. The error names the unknown field and the one that was perhaps meant, or the value that does not fit.
absl::Status ApplySetting(RunConfig& config, const std::string& setting);

// Everything wrong with the values, each as "FIELD: expected …, found …"; empty when the run can start. A
// model.vocabulary of 0 and a missing data.path are not problems here: a caller that has no dataset needs neither.
std::vector<std::string> ConfigProblems(const RunConfig& config, Device device = Device::kCpu);

// fp32 on the CPU, bf16 on CUDA, unless the configuration says something.
void SetDefaultPrecision(Device device, RunConfig& config);

// data.shuffle_tokens for raw documents, unless the configuration says something.
void SetDefaultOrder(RunConfig& config);
// Whether raw documents are tokenized while the run trains.
bool HasRawDocuments(const DataConfig& data);

// One error for a list of problems; OK if it is empty.
absl::Status ProblemsStatus(const std::vector<std::string>& problems);

// `config` with all defaults written out and every 0 that means "derive it" replaced, as text format.
std::string ConfigText(const RunConfig& config);
RunConfig Resolved(const RunConfig& config);

// Fields whose values differ between two runs and may not when one goes on from the other, each as
// "FIELD: expected A, found B". Lengths, intervals, retention and the dataset's path may differ.
std::vector<std::string> ResumeDifferences(const RunConfig& stored, const RunConfig& now);

// Tokens of one optimizer step.
int64_t TokensPerStep(const RunConfig& config);
ModelDims DimsOf(const RunConfig& config);
RunShape ShapeOf(const RunConfig& config, Device device = Device::kCpu);

}  // namespace ingot
