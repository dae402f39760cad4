#include "distributed/exit_codes.h"

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace ingot {
namespace {

constexpr char kPayload[] = "ingot/exit_code";

}  // namespace

absl::Status WithExitCode(absl::Status status, ExitCode code) {
  if (!status.ok()) status.SetPayload(kPayload, absl::Cord(absl::StrCat(static_cast<int>(code))));
  return status;
}

int ExitCodeOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kPayload);
  int code = 0;
  const bool found = payload.has_value() && absl::SimpleAtoi(std::string(*payload), &code);
  return found ? code : static_cast<int>(ExitCode::kError);
}

}  // namespace ingot
