#include "distributed/flight_diagnosis.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "distributed/exit_codes.h"

namespace ingot {
namespace {

constexpr int64_t kQuiet = 60'000'000'000;  // nanoseconds without an entry after which a run counts as not moving

using Entry = FlightFile::Entry;

std::string RankText(const RankEvidence& rank) {
  return absl::StrCat("rank ", rank.file.rank, " (", rank.file.host, ", pid ", rank.file.pid, ")");
}

bool LeftWell(const FlightFile& file) {
  return file.ended && (file.exit_code == 0 || file.exit_code == static_cast<int>(ExitCode::kSaved));
}
bool LeftForAnother(const FlightFile& file) {
  return file.ended && file.exit_code == static_cast<int>(ExitCode::kPeer);
}

const Entry* LastEntry(const RankEvidence& rank) {
  return rank.file.entries.empty() ? nullptr : &rank.file.entries.back();
}

int64_t LastTime(const RankEvidence& rank) {
  return rank.file.entries.empty() ? rank.file.start_unix_nanoseconds : rank.file.entries.back().unix_nanoseconds;
}

// Number of the last exchange that the rank came to, and whether it came out of it.
struct ExchangeState {
  uint64_t entered = 0;
  bool done = true;
  FlightEvent event;
};
ExchangeState LastExchange(const RankEvidence& rank) {
  ExchangeState state;
  for (const Entry& entry : rank.file.entries) {
    if (entry.event.op != FlightOp::kExchange || entry.event.sequence < state.entered) continue;
    state = {entry.event.sequence, entry.event.state == FlightState::kDone, entry.event};
  }
  return state;
}

// "step 57, reduce, exchange 812 of 4096 bytes".
std::string PlaceText(const RankEvidence& rank) {
  const Entry* last = LastEntry(rank);
  if (last == nullptr) return "before its first entry";
  std::string place = absl::StrCat("step ", last->event.step, ", ", Name(last->event.phase));
  const ExchangeState exchange = LastExchange(rank);
  if (!exchange.done) {
    absl::StrAppend(&place, ", in exchange ", exchange.entered, " of ", exchange.event.bytes, " bytes");
  }
  return place;
}

std::string SecondsText(int64_t nanoseconds) {
  return absl::StrFormat("%.1f s", static_cast<double>(nanoseconds) / 1e9);
}

std::string Line(const RankEvidence& rank, int64_t now) {
  static constexpr const char* kStates[] = {"process unknown", "process gone", "process running", "process stopped"};
  const std::string end = rank.file.ended ? absl::StrCat("left with exit code ", rank.file.exit_code)
                                          : kStates[static_cast<size_t>(rank.process)];
  return absl::StrCat(RankText(rank), ": ", PlaceText(rank), ", ", SecondsText(now - LastTime(rank)), " ago; ", end,
                      rank.file.note.empty() ? "" : ": ", rank.file.note);
}

std::vector<const RankEvidence*> Where(const std::vector<RankEvidence>& all, auto holds) {
  std::vector<const RankEvidence*> found;
  for (const RankEvidence& rank : all) {
    if (holds(rank)) found.push_back(&rank);
  }
  std::sort(found.begin(), found.end(), [](const auto* a, const auto* b) { return LastTime(*a) < LastTime(*b); });
  return found;
}

std::vector<int64_t> Numbers(const std::vector<const RankEvidence*>& ranks) {
  std::vector<int64_t> numbers;
  for (const RankEvidence* rank : ranks) numbers.push_back(rank->file.rank);
  return numbers;
}

// Gradients and weights are exchanged by a thread of their own while a step goes on: which of its phases that falls into
// is chance.
Phase PartOfStep(Phase phase) { return phase == Phase::kData || phase == Phase::kCompute ? Phase::kReduce : phase; }

// The first exchange at which two ranks did different things.
std::optional<Diagnosis> FindDivergence(const std::vector<RankEvidence>& all) {
  std::map<uint64_t, std::vector<std::pair<const RankEvidence*, FlightEvent>>> by_sequence;
  for (const RankEvidence& rank : all) {
    for (const Entry& entry : rank.file.entries) {
      if (entry.event.op != FlightOp::kExchange || entry.event.state != FlightState::kEntered) continue;
      by_sequence[entry.event.sequence].push_back({&rank, entry.event});
    }
  }
  const auto key = [](const FlightEvent& event) {
    return std::make_tuple(event.step, PartOfStep(event.phase), event.bucket);
  };
  for (const auto& [sequence, events] : by_sequence) {
    std::map<std::tuple<uint32_t, Phase, uint32_t>, std::vector<const RankEvidence*>> groups;
    for (const auto& [rank, event] : events) groups[key(event)].push_back(rank);
    if (groups.size() < 2) continue;
    const auto odd = std::min_element(groups.begin(), groups.end(),
                                      [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
    const auto other = odd == groups.begin() ? std::next(odd) : groups.begin();
    const auto text = [](const auto& group) {
      return absl::StrCat("step ", std::get<0>(group.first), ", ", Name(std::get<1>(group.first)), ", bucket ",
                          std::get<2>(group.first));
    };
    return Diagnosis{
        .kind = Diagnosis::Kind::kDiverged,
        .culprits = Numbers(odd->second),
        .finding = absl::StrCat("exchange ", sequence, " was ", text(*odd), " on ", RankText(*odd->second.front()),
                                " and ", text(*other), " on ", RankText(*other->second.front())),
        .advice =
            "The ranks do not run the same program on the same data and configuration, or one of "
            "them computed other numbers: compare the versions of ingot, and report a defect if "
            "they are the same.",
        .ranks = {}};
  }
  return std::nullopt;
}

std::optional<Diagnosis> FindFailed(const std::vector<RankEvidence>& all) {
  const auto failed = Where(
      all, [](const auto& rank) { return rank.file.ended && !LeftWell(rank.file) && !LeftForAnother(rank.file); });
  if (failed.empty()) return std::nullopt;
  const RankEvidence& first = *failed.front();
  return Diagnosis{.kind = Diagnosis::Kind::kFailed,
                   .culprits = Numbers(failed),
                   .finding = absl::StrCat(RankText(first), " left with exit code ", first.file.exit_code, " in ",
                                           PlaceText(first), ": ", first.file.note),
                   .advice = "Do what its message says, then start the same command again.",
                   .ranks = {}};
}

std::optional<Diagnosis> FindDead(const std::vector<RankEvidence>& all) {
  const auto dead = Where(all, [&all](const auto& rank) {
    if (rank.file.ended) return false;
    // On another machine: gone, if the others left on account of somebody.
    const bool others_left = std::any_of(all.begin(), all.end(), [](const auto& r) { return LeftForAnother(r.file); });
    return rank.process == ProcessState::kGone || (rank.process == ProcessState::kUnknown && others_left);
  });
  if (dead.empty()) return std::nullopt;
  const RankEvidence& first = *dead.front();
  const bool everybody = dead.size() == all.size() && all.size() > 1;
  return Diagnosis{
      .kind = Diagnosis::Kind::kDied,
      .culprits = Numbers(dead),
      .finding =
          absl::StrCat(everybody ? "all ranks died; first " : "", RankText(first), " died in ", PlaceText(first)),
      .advice = absl::StrCat("It was killed from outside or crashed: look in the system's log of ", first.file.host,
                             " (dmesg: out of memory, a GPU that fell off) and in the job's output; then "
                             "start the same command again."),
      .ranks = {}};
}

std::optional<Diagnosis> FindStopped(const std::vector<RankEvidence>& all) {
  const auto stopped =
      Where(all, [](const auto& rank) { return !rank.file.ended && rank.process == ProcessState::kStopped; });
  if (stopped.empty()) return std::nullopt;
  const RankEvidence& first = *stopped.front();
  return Diagnosis{
      .kind = Diagnosis::Kind::kStopped,
      .culprits = Numbers(stopped),
      .finding = absl::StrCat(RankText(first), " is stopped by a signal in ", PlaceText(first)),
      .advice = absl::StrCat("kill -CONT ", first.file.pid, " lets it go on; kill it if the others have left."),
      .ranks = {}};
}

// Somebody has not come to the exchange that the furthest ranks wait in.
std::optional<Diagnosis> FindMissingInExchange(const std::vector<RankEvidence>& all) {
  uint64_t furthest = 0;
  for (const RankEvidence& rank : all) furthest = std::max(furthest, LastExchange(rank).entered);
  const auto behind =
      Where(all, [&](const auto& rank) { return !LeftWell(rank.file) && LastExchange(rank).entered < furthest; });
  if (behind.empty()) return std::nullopt;
  const RankEvidence& first = *behind.front();
  return Diagnosis{
      .kind = Diagnosis::Kind::kHung,
      .culprits = Numbers(behind),
      .finding = absl::StrCat(RankText(first), " hangs in ", PlaceText(first), " and has not come to exchange ",
                              LastExchange(first).entered + 1, ", where others wait"),
      .advice = absl::StrCat("Look at that process (gdb -p ", first.file.pid, ", /proc/", first.file.pid,
                             "/stack) and at its disk and GPU; end it and start the same command again, "
                             "on another node if it happens twice."),
      .ranks = {}};
}

Diagnosis Alike(const std::vector<RankEvidence>& all) {
  const auto quiet = Where(all, [](const auto& rank) { return !LeftWell(rank.file); });
  const RankEvidence& first = *quiet.front();
  if (all.size() > 1 && !LastExchange(first).done) {
    return {
        .kind = Diagnosis::Kind::kNetwork,
        .culprits = {},
        .finding = absl::StrCat("all ranks are in exchange ", LastExchange(first).entered, " and none came out of it"),
        .advice =
            "The network between the nodes does not deliver: look at its links, then start the same command "
            "again.",
        .ranks = {}};
  }
  return {.kind = Diagnosis::Kind::kHung,
          .culprits = {first.file.rank},
          .finding = absl::StrCat(RankText(first), " hangs in ", PlaceText(first)),
          .advice = "Look at its disk and its device; end it and start the same command again.",
          .ranks = {}};
}

Diagnosis Judged(const std::vector<RankEvidence>& all, int64_t now) {
  const auto holds_for_all = [&all](auto holds) { return std::all_of(all.begin(), all.end(), holds); };
  if (holds_for_all([](const auto& rank) { return LeftWell(rank.file); })) {
    return {.kind = Diagnosis::Kind::kFinished,
            .culprits = {},
            .finding = all.front().file.exit_code == 0 ? "the run is finished" : "the run was stopped and has saved",
            .advice = all.front().file.exit_code == 0 ? "Nothing." : "Start the same command again to go on.",
            .ranks = {}};
  }
  if (const auto found = FindDivergence(all)) return *found;
  if (const auto found = FindFailed(all)) return *found;
  if (const auto found = FindDead(all)) return *found;
  if (const auto found = FindStopped(all)) return *found;
  if (static_cast<int64_t>(all.size()) < all.front().file.ranks) {
    return {.kind = Diagnosis::Kind::kIncomplete,
            .culprits = {},
            .finding = absl::StrCat("of ", all.front().file.ranks, " ranks only ", all.size(), " left a record"),
            .advice = "The others never started, or their RUN_DIR is another directory: it must be on a shared disk.",
            .ranks = {}};
  }
  const bool moving = std::any_of(all.begin(), all.end(), [now](const auto& r) { return now - LastTime(r) < kQuiet; });
  if (moving && holds_for_all([](const auto& rank) { return !rank.file.ended; })) {
    return {.kind = Diagnosis::Kind::kRunning,
            .culprits = {},
            .finding = "the run is under way",
            .advice = "Nothing.",
            .ranks = {}};
  }
  if (const auto found = FindMissingInExchange(all)) return *found;
  return Alike(all);
}

}  // namespace

const char* Name(Diagnosis::Kind kind) {
  static constexpr const char* kNames[] = {"finished", "running", "diverged", "failed",    "died",
                                           "stopped",  "hung",    "network",  "incomplete"};
  return kNames[static_cast<size_t>(kind)];
}

Diagnosis Diagnose(const std::vector<RankEvidence>& all, int64_t now) {
  Diagnosis diagnosis = Judged(all, now);
  for (const RankEvidence& rank : all) diagnosis.ranks.push_back(Line(rank, now));
  return diagnosis;
}

}  // namespace ingot
