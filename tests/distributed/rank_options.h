#pragma once
// How a test's rank joins a control plane whose ranks meet in a directory.
#include <string>

#include "distributed/rendezvous.h"

namespace ingot {

inline RendezvousOptions RankOptions(const std::string& directory, int64_t rank, int64_t size,
                                     const ControlDeadlines& deadlines = {}) {
  return {.launch = {.source = LaunchSource::kExplicit,
                     .rank = rank,
                     .size = size,
                     .local_rank = rank,
                     .local_size = size,
                     .coordinator = "",
                     .run_id = "test",
                     .notes = {}},
          .environment = {},
          .run_directory = directory,
          .interface = "",
          .deadlines = deadlines,
          .on_verdict = {}};
}

}  // namespace ingot
