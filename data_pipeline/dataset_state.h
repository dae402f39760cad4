#pragma once
// The opened shards behind a Dataset: one stream of tokens a split.
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data_pipeline/dataset_manifest.h"
#include "data_pipeline/shard.h"

namespace ingot {

// The shards of one split, joined. Documents may run over the border of two shards. Thread-safe.
class TokenStream {
 public:
  void Add(Shard shard);
  const std::vector<Shard>& shards() const { return shards_; }
  int64_t tokens() const { return first_tokens_.back(); }

  // Tokens [first, first + count).
  void Copy(int64_t first, int64_t count, int32_t* ids) const;

  // Walks over the ends of documents: value() is the index of the token after a document's last, ascending.
  class Ends {
   public:
    // From the first end > `position`.
    Ends(const TokenStream& stream, int64_t position);
    bool done() const { return shard_ == stream_.shards_.size(); }
    int64_t value() const;
    void Next();

   private:
    void SkipFinishedShards();
    const TokenStream& stream_;
    size_t shard_ = 0, index_ = 0;
  };

 private:
  size_t ShardOf(int64_t position) const;
  std::vector<Shard> shards_;
  std::vector<int64_t> first_tokens_ = {0};  // of each shard, and the total
};

// An error unless `shard` is what `entry` of `manifest` says.
absl::Status CheckShard(const Shard& shard, const ShardEntry& entry, const DatasetManifest& manifest);

class GrowingStream;

struct DatasetState {
  std::string directory;
  DatasetManifest manifest;
  uint64_t fingerprint = 0;
  std::array<TokenStream, 2> streams;      // by Split
  std::shared_ptr<GrowingStream> growing;  // where raw documents are still being tokenized: the training split

  const TokenStream& stream(Split split) const;
};

}  // namespace ingot
