#pragma once
// Other trainers' token files to a dataset directory, as `ingot data build` makes from text.
#include <string>
#include <vector>

#include "data_pipeline/builder.h"
#include "data_pipeline/foreign/corpus.h"
#include "tokenizer/tokenizer.h"

namespace ingot {

// The ids that end documents: the tokenizer's end of text and the format's own separator, the latter only where it is a
// special token of this tokenizer. In a file made with another vocabulary the same number may be an ordinary token.
std::vector<int32_t> SeparatorsFor(const ForeignInfo& info, const Tokenizer& tokenizer, int32_t end_of_text);

// Reads options.inputs, files of `format`, in order. SeparatorsFor() ends documents; each document ends with the
// tokenizer's end of text in the dataset. An id that is not the tokenizer's is an error that names file and place; so
// are loss masks, which datasets do not keep. The share of documents that validate is chosen by the hash of their first
// 65,536 ids.
absl::StatusOr<DatasetManifest> ImportDataset(const BuildOptions& options, ForeignFormat format,
                                              const Tokenizer& tokenizer, const TextEncoder& encoder,
                                              const MdsOptions& mds = {});

}  // namespace ingot
