#pragma once
// What the subcommands of `ingot data` share.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>

#include "data_pipeline/dataset_manifest.h"
#include "data_pipeline/foreign/mds.h"

namespace ingot {

void AddDataBuild(CLI::App& data);

// --column, --ids, --mds-samples: what MDS directories do not say.
void AddMdsOptions(CLI::App& command, MdsOptions& options);

double BytesPerToken(int64_t text_bytes, int64_t tokens);
void PrintJson(const nlohmann::ordered_json& json);

// Documents, tokens and what was left out.
nlohmann::ordered_json DatasetCountsJson(const DatasetManifest& manifest);
void PrintDatasetCounts(const DatasetManifest& manifest);

}  // namespace ingot
