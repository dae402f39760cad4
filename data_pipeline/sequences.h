#pragma once
// Sequences: the rows of T tokens that a stream of documents is cut into. Internal to the loader.
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "data_pipeline/dataset_state.h"

namespace ingot {

// Tokens [begin, end) of a row are consecutive tokens of one document.
struct Segment {
  int64_t begin = 0, end = 0;
  int64_t origin = 0;          // place of the first one in the stream
  int32_t next = -1;           // the token after the last one in the stream; -1: none
  bool ends_document = false;  // the last one is the document's end of text
};

class Sequences {
 public:
  virtual ~Sequences() = default;
  // Rows of an epoch.
  virtual int64_t count() const = 0;
  // Tokens of `row` into tokens[0, T). Its segments, which cover [0, T), into `segments`; if that is null, the token
  // behind the last one, -1 for none, into `next`. An error means damaged data. Thread-safe.
  virtual absl::Status Read(int64_t row, int32_t* tokens, std::vector<Segment>* segments, int32_t* next) const = 0;
};

// Concatenation: row i is tokens [iT, iT + T) of the stream, its targets one token further. `stream` must outlive it.
std::unique_ptr<Sequences> MakeWindows(const TokenStream& stream, int64_t T);

}  // namespace ingot
