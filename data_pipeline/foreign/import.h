#pragma once
// Other trainers' token files to a dataset directory, as `ingot data build` makes from text.
#include <string>
#include <vector>

#include "data_pipeline/builder.h"
#include "data_pipeline/foreign/corpus.h"
#include "tokenizer/tokenizer.h"

namespace ingot {

// Reads options.inputs, files of `format`, in order. The format's separator and the tokenizer's end of text both end
// documents; each document ends with the tokenizer's end of text in the dataset. An id that is not the tokenizer's is
// an error that names file and place; so are loss masks, which datasets do not keep. The share of documents that
// validate is chosen by the hash of their first 65,536 ids.
absl::StatusOr<DatasetManifest> ImportDataset(const BuildOptions& options, ForeignFormat format,
                                              const Tokenizer& tokenizer, const TextEncoder& encoder);

}  // namespace ingot
