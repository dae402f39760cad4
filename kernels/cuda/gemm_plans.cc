#include "kernels/cuda/gemm_plans.h"

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/crc32c.h"
#include "core/base/status_macros.h"

namespace ingot::cuda {
namespace {

constexpr absl::string_view kTitle = "ingot gemm plans 1\n";
constexpr absl::string_view kDevice = "device ", kLibrary = "library ", kChecksum = "crc32c ";
// Of kinds that have no algorithm.
constexpr std::pair<GemmPlan::Kind, absl::string_view> kWords[] = {
    {GemmPlan::Kind::kTiled, "tiled"}, {GemmPlan::Kind::kSm90, "sm90"}, {GemmPlan::Kind::kParts, "parts"}};

bool Aligned(const Tensor& t) { return reinterpret_cast<uintptr_t>(t.ptr) % 16 == 0; }

std::string ChecksumOf(absl::string_view text) { return absl::StrFormat("%08x", Crc32c(text.data(), text.size())); }

// "KEY MICROSECONDS WORKSPACE ALGORITHM": eight words in hexadecimal joined by commas, or a word.
std::string PlanLine(const std::string& key, const GemmPlan& plan) {
  std::string algorithm = absl::StrJoin(
      plan.algorithm, ",", [](std::string* out, uint64_t word) { absl::StrAppendFormat(out, "%x", word); });
  for (const auto& [kind, word] : kWords) {
    if (plan.kind == kind) algorithm = std::string(word);
  }
  return absl::StrFormat("%s %.17g %d %s\n", key, plan.microseconds, plan.workspace_bytes, algorithm);
}

bool ParseAlgorithm(absl::string_view text, GemmPlan& plan) {
  for (const auto& [kind, word] : kWords) {
    if (text != word) continue;
    plan.kind = kind;
    return true;
  }
  const std::vector<absl::string_view> words = absl::StrSplit(text, ',');
  if (words.size() != plan.algorithm.size()) return false;
  for (size_t i = 0; i < words.size(); ++i) {
    if (!absl::SimpleHexAtoi(words[i], &plan.algorithm[i])) return false;
  }
  return true;
}

std::optional<std::pair<std::string, GemmPlan>> ParsePlanLine(absl::string_view line) {
  const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
  GemmPlan plan;
  if (fields.size() != 4 || fields[0].empty() || !absl::SimpleAtod(fields[1], &plan.microseconds) ||
      !absl::SimpleAtoi(fields[2], &plan.workspace_bytes) || plan.workspace_bytes < 0 ||
      !ParseAlgorithm(fields[3], plan)) {
    return std::nullopt;
  }
  return std::pair(std::string(fields[0]), plan);
}

// The rest of a line that begins with `name`.
absl::StatusOr<std::string> Named(absl::string_view line, absl::string_view name, absl::string_view what) {
  if (absl::ConsumePrefix(&line, name)) return std::string(line);
  return absl::InvalidArgumentError(absl::StrCat(what, ": expected a line \"", name, "...\", found \"", line, "\""));
}

// The lines under the title, if the checksum at the end is theirs.
absl::StatusOr<std::vector<absl::string_view>> CheckedLines(absl::string_view text, absl::string_view what) {
  const size_t end = text.rfind(kChecksum);
  if (!absl::StartsWith(text, kTitle) || end == absl::string_view::npos ||
      text.substr(end) != absl::StrCat(kChecksum, ChecksumOf(text.substr(0, end)), "\n")) {
    return absl::InvalidArgumentError(absl::StrCat(what,
                                                   " is damaged: expected a table of matrix products that begins "
                                                   "with \"",
                                                   kTitle.substr(0, kTitle.size() - 1), "\" and ends with its CRC32C"));
  }
  std::vector<absl::string_view> lines =
      absl::StrSplit(text.substr(kTitle.size(), end - kTitle.size()), '\n', absl::SkipEmpty());
  if (lines.size() < 2) return absl::InvalidArgumentError(absl::StrCat(what, ": expected a device and a library"));
  return lines;
}

absl::Status BadLine(absl::string_view line, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(what, ": expected a product, its microseconds, workspace and algorithm, found \"", line, "\""));
}

}  // namespace

std::string PlanKey(const Gemm& gemm) {
  std::string key =
      absl::StrFormat("%s,%s,%c%c,%dx%dx%d", Name(gemm.a.dtype), Name(gemm.c.dtype), gemm.transpose_a ? 't' : 'n',
                      gemm.transpose_b ? 't' : 'n', gemm.M(), gemm.N(), gemm.K());
  if (gemm.beta != 0) key += ",accumulate";
  if (!gemm.bias.absent()) key += ",bias";
  if (gemm.epilogue == GemmEpilogue::kGelu) key += ",gelu";
  if (gemm.epilogue == GemmEpilogue::kGeluGradient) key += ",gelu_gradient";
  if (!gemm.a_sums.absent()) key += ",a_sums";
  if (IsAligned(gemm)) key += ",aligned";
  return key;
}

std::string GemmPlanTable::LineOf(const std::string& key, const GemmPlan& plan) { return PlanLine(key, plan); }

absl::StatusOr<GemmPlan> GemmPlanTable::ParseLine(absl::string_view line, absl::string_view what) {
  absl::ConsumeSuffix(&line, "\n");
  const std::optional<std::pair<std::string, GemmPlan>> plan = ParsePlanLine(line);
  return plan.has_value() ? absl::StatusOr<GemmPlan>(plan->second) : BadLine(line, what);
}

std::string PlanKey(const SwigluGemm& gemm) {
  return absl::StrFormat("swiglu,%dx%dx%d", gemm.x.dim(0), gemm.y.dim(1), gemm.x.dim(1));
}

bool IsAligned(const Gemm& gemm) {
  return Aligned(gemm.a) && Aligned(gemm.b) && Aligned(gemm.c) && Aligned(gemm.bias) && Aligned(gemm.aux);
}

std::string GemmPlanTable::ToText() const {
  std::string text = absl::StrCat(kTitle, kDevice, machine.device, "\n", kLibrary, machine.library, "\n");
  for (const auto& [key, plan] : plans) text += PlanLine(key, plan);
  return absl::StrCat(text, kChecksum, ChecksumOf(text), "\n");
}

absl::StatusOr<GemmPlanTable> GemmPlanTable::Parse(absl::string_view text, absl::string_view what) {
  INGOT_ASSIGN_OR_RETURN(const std::vector<absl::string_view> lines, CheckedLines(text, what));
  GemmPlanTable table;
  INGOT_ASSIGN_OR_RETURN(table.machine.device, Named(lines[0], kDevice, what));
  INGOT_ASSIGN_OR_RETURN(table.machine.library, Named(lines[1], kLibrary, what));
  for (size_t i = 2; i < lines.size(); ++i) {
    std::optional<std::pair<std::string, GemmPlan>> plan = ParsePlanLine(lines[i]);
    if (!plan.has_value() || !table.plans.insert(*std::move(plan)).second) return BadLine(lines[i], what);
  }
  return table;
}

GemmPlanStore& GemmPlanStore::OfProcess() {
  static GemmPlanStore* const store = new GemmPlanStore();  // outlives every thread
  return *store;
}

void GemmPlanStore::SetMachine(const GemmMachine& machine) {
  const std::lock_guard lock(mutex_);
  machine_ = machine;
}

std::optional<GemmMachine> GemmPlanStore::machine() const {
  const std::lock_guard lock(mutex_);
  return machine_;
}

std::optional<GemmPlan> GemmPlanStore::Find(const std::string& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = plans_.find(key);
  return found == plans_.end() ? std::nullopt : std::optional(found->second);
}

void GemmPlanStore::Add(const std::string& key, const GemmPlan& plan) {
  const std::lock_guard lock(mutex_);
  plans_.insert_or_assign(key, plan);
}

absl::StatusOr<GemmPlan> GemmPlanStore::FindOr(const std::string& key,
                                               const std::function<absl::StatusOr<GemmPlan>()>& search) {
  if (const std::optional<GemmPlan> known = Find(key); known.has_value()) return *known;
  GemmPlanPeers peers;
  {
    const std::lock_guard lock(mutex_);
    peers = peers_;
  }
  std::optional<std::string> theirs;
  if (peers.ask) {
    INGOT_ASSIGN_OR_RETURN(theirs, peers.ask(key));
  }
  GemmPlan plan;
  if (theirs.has_value()) {
    INGOT_ASSIGN_OR_RETURN(plan, GemmPlanTable::ParseLine(*theirs, "another rank's plan"));
  } else {
    INGOT_ASSIGN_OR_RETURN(plan, search());
    if (peers.tell) INGOT_RETURN_IF_ERROR(peers.tell(key, GemmPlanTable::LineOf(key, plan)));
  }
  Add(key, plan);
  return plan;
}

void GemmPlanStore::ShareWith(GemmPlanPeers peers) {
  const std::lock_guard lock(mutex_);
  peers_ = std::move(peers);
}

void GemmPlanStore::Adopt(const GemmPlanTable& table) {
  const std::lock_guard lock(mutex_);
  INGOT_CHECK(machine_ == table.machine, "plans of %s with %s on another machine", table.machine.device.c_str(),
              table.machine.library.c_str());
  plans_.insert(table.plans.begin(), table.plans.end());
}

GemmPlanTable GemmPlanStore::Table() const {
  const std::lock_guard lock(mutex_);
  return {machine_.value_or(GemmMachine{}), plans_};
}

}  // namespace ingot::cuda
