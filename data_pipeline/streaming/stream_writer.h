#pragma once
// StreamWriter: tokenizes raw documents in the background, ahead of the training that reads their shards (docs/data.md,
// "Raw documents"). The shards lie in a cache: a directory that is a dataset at any moment, and that a later start goes
// on with. Memory: 2 * threads + 2 batches of 1 MiB of text and its ids, and one document.
#include <array>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "core/base/file_lock.h"
#include "data_pipeline/builder.h"
#include "data_pipeline/streaming/raw_documents.h"
#include "data_pipeline/streaming/stream_shards.h"

namespace ingot {

struct StreamOptions {
  std::vector<std::string> inputs;  // as BuildOptions
  DocumentOptions documents = {};   // without deduplication and decontamination, which need all documents
  double validation_fraction = 0;   // by the hash of the text
  std::string cache;                // made if it is not there
  int64_t shard_tokens = 0;         // of the first shards of a new cache
  int64_t read_ahead = 0;           // training tokens made beyond those that were wanted
  int threads = 1;                  // that tokenize
  size_t batch_bytes = size_t{1} << 20;
};

// In a cache: why its writer ended. Other ranks see no more of it.
inline constexpr char kStreamFailure[] = "failure.txt";

class StreamWriter {
 public:
  // Makes or takes the cache and begins where it ends. Errors: a cache of other rules or another tokenizer, a directory
  // of something else, another process that writes it, an input that has changed since tokens were made of it.
  static absl::StatusOr<std::unique_ptr<StreamWriter>> Start(const StreamOptions& options, const TextEncoder& encoder);
  // What is not in a whole shard is dropped.
  ~StreamWriter();

  // So many tokens of `split` will be read soon. Thread-safe.
  void Want(Split split, int64_t tokens);
  // Why the writer ended; OK while it runs and when the input is over. Thread-safe.
  absl::Status status() const;

 private:
  StreamWriter(const StreamOptions& options, const TextEncoder& encoder, FileLock lock,
               const DatasetManifest& manifest);
  void Run();
  absl::Status TokenizeAll();
  bool WaitUntilWanted();
  absl::Status Write(const RawBatch& batch);

  const StreamOptions options_;
  const TextEncoder encoder_;
  const FileLock lock_;
  RawDocuments documents_;  // the pipeline's reading thread
  StreamShards shards_;     // thread_
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::array<int64_t, 2> wanted_ = {}, committed_ = {};  // by Split
  bool stop_ = false;
  absl::Status status_;
  std::thread thread_;
};

}  // namespace ingot
