#include "data_pipeline/sequences.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace ingot {
namespace {

class Windows : public Sequences {
 public:
  Windows(const TokenStream& stream, int64_t T) : stream_(stream), T_(T) {}

  int64_t count() const override { return (stream_.tokens() - 1) / T_; }
  absl::Status Read(int64_t row, int32_t* tokens, std::vector<Segment>* segments, int32_t* next) const override {
    const int64_t first = row * T_;
    stream_.Copy(first, T_, tokens);
    int32_t after = 0;
    stream_.Copy(first + T_, 1, &after);
    if (segments != nullptr) return FindSegments(first, tokens, after, *segments);
    *next = after;
    return absl::OkStatus();
  }

 private:
  absl::Status FindSegments(int64_t first, const int32_t* tokens, int32_t after, std::vector<Segment>& segments) const {
    segments.clear();
    int64_t begin = 0;
    for (TokenStream::Ends ends(stream_, first); !ends.done() && begin < T_; ends.Next()) {
      const int64_t end = ends.value() - first;
      if (end > T_) break;
      if (end <= begin) {
        return absl::DataLossError(absl::StrCat("the document that begins at token ", first + begin, " ends at token ",
                                                first + end, ", before it begins"));
      }
      segments.push_back({begin, end, first + begin, end < T_ ? tokens[end] : after, true});
      begin = end;
    }
    if (begin < T_) segments.push_back({begin, T_, first + begin, after, false});
    return absl::OkStatus();
  }

  const TokenStream& stream_;
  const int64_t T_;
};

}  // namespace

std::unique_ptr<Sequences> MakeWindows(const TokenStream& stream, int64_t T) {
  return std::make_unique<Windows>(stream, T);
}

}  // namespace ingot
