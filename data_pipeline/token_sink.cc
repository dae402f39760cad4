#include "data_pipeline/token_sink.h"

#include "core/base/status_macros.h"
#include "data_pipeline/foreign/writers.h"
#include "data_pipeline/split_writer.h"

namespace ingot {

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
