#pragma once
// gemm_plans.txt of RUN_DIR: how each matrix product of a run on a GPU is computed. It stays with the run, since other
// plans give other bits; a copy in a cache of the user saves other runs on the same device and library the search.
#include <string>

#include "absl/status/status.h"
#include "kernels/cuda/gemm_plans.h"

namespace ingot {

class GemmPlanFiles {
 public:
  // `cache_directory` empty: no cache. The store must outlive this.
  GemmPlanFiles(std::string run_directory, std::string cache_directory,
                cuda::GemmPlanStore& store = cuda::GemmPlanStore::OfProcess());

  // Fills the store from the run's table, or from the cache where the run has none yet. To be called when the device is
  // chosen. Returns what the user must know: that a run's plans cannot be kept and why; empty if they are, or if there
  // are none.
  std::string Take();

  // Writes both files if the store holds more than when they were written last. A cache that cannot be written is no
  // error: it only saves time.
  absl::Status Save();

 private:
  std::string run_file() const;
  std::string cache_file() const;

  std::string run_directory_, cache_directory_;
  cuda::GemmPlanStore& store_;
  size_t saved_ = 0;
};

// ingot's folder in $XDG_CACHE_HOME or $HOME/.cache; empty if neither is set.
std::string DefaultCacheDirectory();

}  // namespace ingot
