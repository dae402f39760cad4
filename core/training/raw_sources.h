#pragma once
// Sources of raw documents: what the configuration says of them, as the data pipeline takes it.
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/training/config.h"
#include "core/training/open_data.h"
#include "data_pipeline/streaming/growing_stream.h"

namespace ingot {

// Starts the writers, in the order of the sources, if this rank writes. Errors: StreamWriter::Start().
absl::StatusOr<std::vector<std::unique_ptr<StreamWriter>>> StartWriters(const RunConfig& config, const RawPlace& place);

// The dataset of `source` over its cache. `writer`: null if another rank writes.
absl::StatusOr<Dataset> OpenRawSource(const RunConfig& config, int source, const RawPlace& place, StreamWriter* writer);

// Host memory that the text and the ids take of documents that are being tokenized.
int64_t RawDocumentsBytes(const RunConfig& config);

// Each source of the configuration; data.path and data.raw are one source.
std::vector<SourceConfig> SourcesOf(const DataConfig& data);

}  // namespace ingot
