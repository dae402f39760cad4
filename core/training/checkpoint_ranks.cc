#include "core/training/checkpoint_ranks.h"

#include <algorithm>

#include "core/base/status_macros.h"

namespace ingot {
namespace {

constexpr int64_t kTextBytes = 16 * 1024;  // of the texts of all ranks: a quarter of a message
constexpr int64_t kMostOfOne = 2000;

}  // namespace

absl::StatusOr<std::vector<std::string>> CheckpointRanks::Tell(const std::string& what, const std::string& mine) const {
  if (size() == 1) return std::vector<std::string>{mine};
  return control_->Gather(what, mine, limit_);
}

absl::StatusOr<std::string> CheckpointRanks::FromFirst(const std::string& what,
                                                       const absl::StatusOr<std::string>& mine) const {
  WireWriter own;
  if (first()) {
    WriteStatus(mine.status(), /*ranks=*/1, own);
    own.Text(mine.value_or(""));
  }
  INGOT_ASSIGN_OR_RETURN(const std::vector<std::string> all, Tell(what, own.bytes()));
  WireReader reader(all.front());
  INGOT_RETURN_IF_ERROR(ReadStatus(reader));
  return reader.Text();
}

absl::Status CheckpointRanks::FromFirst(const std::string& what, const absl::Status& mine) const {
  return FromFirst(what, mine.ok() ? absl::StatusOr<std::string>("") : absl::StatusOr<std::string>(mine)).status();
}

void WriteStatus(const absl::Status& status, int64_t ranks, WireWriter& to) {
  const auto most = static_cast<size_t>(std::min(kMostOfOne, kTextBytes / ranks));
  to.Number(static_cast<uint64_t>(status.code())).Text(absl::string_view(status.message()).substr(0, most));
}

absl::Status ReadStatus(WireReader& from) {
  const auto code = static_cast<absl::StatusCode>(from.Number());
  const std::string text = from.Text();
  return absl::Status(code, text);
}

}  // namespace ingot
