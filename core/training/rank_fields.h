#pragma once
// What the ranks of a run must have been started with alike, field by field, so that a mismatch can be named.
#include <optional>
#include <string>
#include <vector>

#include "core/model/parameter_table.h"
#include "core/training/config.h"
#include "core/training/open_data.h"
#include "distributed/control.h"

namespace ingot {

// Every field of the resolved configuration but the paths of data, which may lie elsewhere on another machine.
std::vector<ComparedField> ConfigFields(const RunConfig& config);

// Dataset, tokenizer, table of parameters, this program, and `environment`: device, BLAS, versions.
absl::StatusOr<std::vector<ComparedField>> EnvironmentFields(const TrainingData& data, const ParameterTable& table,
                                                             const std::string& environment);

// Where the run goes on: the step and the digest of the manifest; "the beginning" for no checkpoint.
absl::StatusOr<std::vector<ComparedField>> ResumeFields(const std::optional<std::string>& checkpoint);

}  // namespace ingot
