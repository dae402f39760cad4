#include "data_pipeline/token_sink.h"

#include "core/base/status_macros.h"
#include "data_pipeline/foreign/writers.h"
#include "data_pipeline/split_writer.h"

namespace ingot {

absl::Status TokenSink::Take(std::span<const int32_t> ids, int64_t text_bytes, bool ends_document) {
  INGOT_RETURN_IF_ERROR(Append(ids));
  AddTextBytes(text_bytes);
  return ends_document ? EndDocument() : absl::OkStatus();
}

absl::StatusOr<TokenSinks> OpenTokenSinks(const std::string& format, SinkOptions options) {
  TokenSinks sinks;
  for (const Split split : kSplits) {
    options.split = split;
    auto& sink = sinks[static_cast<size_t>(split)];
    if (format == kDatasetFormat) {
      sink = std::make_unique<SplitWriter>(options);
      continue;
    }
    INGOT_ASSIGN_OR_RETURN(const ForeignFormat foreign, ParseForeignFormat(format));
    INGOT_ASSIGN_OR_RETURN(sink, OpenForeignWriter(foreign, options));
  }
  return sinks;
}

}  // namespace ingot
