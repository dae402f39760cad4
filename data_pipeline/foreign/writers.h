#pragma once
// Token files as other trainers' own tools write them, byte for byte (docs/foreign_formats.md).
#include <memory>

#include "data_pipeline/foreign/corpus.h"
#include "data_pipeline/token_sink.h"

namespace ingot {

// Files of `format` in options.directory, each split's named after "train" or "val":
//   megatron  train.idx and train.bin; uint16 below a vocabulary of 65,500, else int32. End of text ends each document.
//             A document of more than shard_tokens ids becomes several sequences. Memory: 12 bytes a document.
//   llm.c     train_000000.bin, …, of shard_tokens ids each; uint16 up to a vocabulary of 65,536, else uint32. End of
//             text stands before each document; documents run over the ends of files.
//   nanogpt   train.bin; uint16, a vocabulary above 65,536 is an error. End of text ends each document.
// LLMQ is not written: an error.
absl::StatusOr<std::unique_ptr<TokenSink>> OpenForeignWriter(ForeignFormat format, const SinkOptions& options);

}  // namespace ingot
