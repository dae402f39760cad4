#include "core/training/gemm_plan_files.h"

#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/crc32c.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"

namespace ingot {
namespace {

using cuda::GemmMachine;
using cuda::GemmPlanTable;

constexpr uint64_t kMaxBytes = uint64_t{16} << 20;
constexpr char kOtherBits[] = ": products are planned anew, and the bits will differ from a run that never stopped";

absl::StatusOr<GemmPlanTable> ReadTable(const std::string& path) {
  INGOT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxBytes));
  return GemmPlanTable::Parse(text, path);
}

std::string NameOf(const GemmMachine& machine) { return absl::StrCat(machine.device, " with ", machine.library); }

}  // namespace

GemmPlanFiles::GemmPlanFiles(std::string run_directory, std::string cache_directory, cuda::GemmPlanStore& store)
    : run_directory_(std::move(run_directory)), cache_directory_(std::move(cache_directory)), store_(store) {}

std::string GemmPlanFiles::run_file() const { return JoinPath(run_directory_, "gemm_plans.txt"); }

std::string GemmPlanFiles::cache_file() const {
  const std::string machine = NameOf(store_.machine().value_or(GemmMachine{}));
  const std::string name = absl::StrFormat("%08x.txt", Crc32c(machine.data(), machine.size()));
  return JoinPath(JoinPath(cache_directory_, "gemm_plans"), name);
}

std::string GemmPlanFiles::Take() {
  const std::optional<GemmMachine> machine = store_.machine();
  const bool resumes = FileExists(run_file());
  if (!resumes && (!machine.has_value() || cache_directory_.empty())) return "";
  const absl::StatusOr<GemmPlanTable> table = ReadTable(resumes ? run_file() : cache_file());
  if (table.ok() && machine == table->machine) {
    store_.Adopt(*table);
    if (resumes) saved_ = table->plans.size();
    return "";
  }
  if (!resumes) return "";  // a cache that is absent, damaged or of a machine with the same name's sum
  if (!table.ok()) return absl::StrCat("note: ", std::string(table.status().message()), kOtherBits);
  return absl::StrCat("note: ", run_file(), " holds the plans of ", NameOf(table->machine), ", and products run ",
                      machine.has_value() ? "on " + NameOf(*machine) : "without plans", " now", kOtherBits);
}

absl::Status GemmPlanFiles::Save() {
  if (!store_.machine().has_value()) return absl::OkStatus();
  GemmPlanTable table = store_.Table();
  if (table.plans.size() == saved_) return absl::OkStatus();
  INGOT_RETURN_IF_ERROR(WriteFileAtomically(run_file(), table.ToText()));
  saved_ = table.plans.size();
  if (cache_directory_.empty()) return absl::OkStatus();
  const absl::StatusOr<GemmPlanTable> cached = ReadTable(cache_file());
  if (cached.ok() && cached->machine == table.machine) table.plans.insert(cached->plans.begin(), cached->plans.end());
  if (CreateDirectories(JoinPath(cache_directory_, "gemm_plans")).ok()) {
    (void)WriteFileAtomically(cache_file(), table.ToText());
  }
  return absl::OkStatus();
}

std::string DefaultCacheDirectory() {
  if (const char* const cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache != 0) {
    return JoinPath(cache, "ingot");
  }
  const char* const home = std::getenv("HOME");
  return home == nullptr || *home == 0 ? "" : JoinPath(JoinPath(home, ".cache"), "ingot");
}

}  // namespace ingot
