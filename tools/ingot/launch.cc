// ingot launch: N ranks of one command on this machine. Rank 0 has the terminal; what the others say is prefixed.
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "distributed/control.h"
#include "distributed/exit_codes.h"
#include "tools/ingot/command.h"

namespace ingot {
namespace {

using Clock = std::chrono::steady_clock;

// The others hear of a rank's end by the control plane and leave by themselves; who does not is killed after this time.
// One that was killed before it met them is known here only.
constexpr std::chrono::milliseconds kGrace{5000}, kGraceAfterDeath{1500};
constexpr int kForwarded[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGHUP};

// Signals that have come, one byte each. A pipe and handlers, not a blocked mask: libraries' threads have masks of their
// own.
int signal_pipe[2] = {-1, -1};

void Note(int signal) {
  const int before = errno;
  const auto byte = static_cast<unsigned char>(signal);
  (void)!write(signal_pipe[1], &byte, 1);
  errno = before;
}

struct LaunchFlags {
  int64_t ranks = 1;
  std::vector<std::string> command;
};

struct Child {
  pid_t pid = -1;
  int output = -1;      // of ranks after the first
  std::string pending;  // the line that has begun
  std::optional<int> status;
};

absl::Status FromErrno(const char* what) { return absl::ErrnoToStatus(errno, what); }

std::string HowItEnded(int status) {
  return WIFSIGNALED(status) ? absl::StrCat("was killed by signal ", WTERMSIG(status))
                             : absl::StrCat("exited with ", WEXITSTATUS(status));
}

// As a shell reports it.
int CodeOf(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

class Launcher {
 public:
  explicit Launcher(const LaunchFlags& flags) : flags_(flags), children_(flags.ranks) {}

  // The exit code of the run.
  absl::StatusOr<int> Run();

 private:
  absl::Status Listen();
  absl::Status HandleSignals();
  absl::Status Start(int64_t rank);
  [[noreturn]] void BecomeRank(int64_t rank, int secret, int output) const;
  void Await();
  void Pass(Child& child, int64_t rank);
  void Reap();
  void SendToAll(int signal) const;
  bool AnyRuns() const;
  int FirstCause() const;

  const LaunchFlags& flags_;
  std::vector<Child> children_;
  std::vector<int64_t> ended_;  // ranks in the order of their ends
  const std::string secret_ = absl::BytesToHexString(RandomBytes(32));
  const std::string run_id_ = absl::BytesToHexString(RandomBytes(8));
  int listener_ = -1, port_ = 0;
  Clock::time_point give_up_ = Clock::time_point::max();  // on ranks that still run
  bool killed_ = false;
};

absl::StatusOr<int> Launcher::Run() {
  INGOT_RETURN_IF_ERROR(Listen());
  INGOT_RETURN_IF_ERROR(HandleSignals());
  for (int64_t rank = 0; rank < flags_.ranks; ++rank) INGOT_RETURN_IF_ERROR(Start(rank));
  close(listener_);
  while (AnyRuns()) {
    Await();
    if (!killed_ && Clock::now() > give_up_) {
      killed_ = true;
      SendToAll(SIGKILL);
    }
  }
  for (int64_t rank = 1; rank < flags_.ranks; ++rank) Pass(children_[rank], rank);  // what they said last
  return FirstCause();
}

// Rank 0 gets the socket: there is no moment in which another process could take the port.
absl::Status Launcher::Listen() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (listener_ < 0 || bind(listener_, generic, size) != 0 || listen(listener_, SOMAXCONN) != 0 ||
      getsockname(listener_, generic, &size) != 0) {
    return FromErrno("a port on the loopback interface for rank 0");
  }
  port_ = ntohs(address.sin_port);
  return absl::OkStatus();
}

absl::Status Launcher::HandleSignals() {
  if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0) return FromErrno("a pipe");
  struct sigaction action = {};
  action.sa_handler = Note;
  action.sa_flags = SA_RESTART;
  sigaction(SIGCHLD, &action, nullptr);
  for (const int signal : kForwarded) sigaction(signal, &action, nullptr);
  return absl::OkStatus();
}

absl::Status Launcher::Start(int64_t rank) {
  int secret[2], output[2] = {-1, -1};
  if (pipe2(secret, O_CLOEXEC) != 0 || (rank > 0 && pipe2(output, O_CLOEXEC) != 0)) return FromErrno("a pipe");
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid == 0) BecomeRank(rank, secret[0], output[1]);
  const bool told = pid > 0 && write(secret[1], secret_.data(), secret_.size()) == static_cast<ssize_t>(secret_.size());
  for (const int fd : {secret[0], secret[1], output[1]}) {
    if (fd >= 0) close(fd);
  }
  children_[rank].pid = pid;
  children_[rank].output = output[0];
  if (output[0] >= 0) fcntl(output[0], F_SETFL, O_NONBLOCK);
  if (told) return absl::OkStatus();
  const absl::Status status = FromErrno(absl::StrCat("starting rank ", rank).c_str());
  SendToAll(SIGKILL);
  return status;
}

// A process group of its own: a terminal's Ctrl-C goes to the launcher, which passes it on once.
void Launcher::BecomeRank(int64_t rank, int secret, int output) const {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const auto set = [](const char* name, int64_t value) { setenv(name, std::to_string(value).c_str(), 1); };
  set("INGOT_RANK", rank);
  set("INGOT_WORLD_SIZE", flags_.ranks);
  set("INGOT_LOCAL_RANK", rank);
  set("INGOT_LOCAL_SIZE", flags_.ranks);
  set("INGOT_SECRET_FD", secret);
  setenv("INGOT_COORDINATOR", absl::StrCat("127.0.0.1:", port_).c_str(), 1);
  setenv("INGOT_RUN_ID", run_id_.c_str(), 1);
  fcntl(secret, F_SETFD, 0);
  unsetenv("INGOT_LISTEN_FD");
  if (rank == 0) {
    set("INGOT_LISTEN_FD", listener_);
    fcntl(listener_, F_SETFD, 0);
  } else {
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
  }
  cpu_set_t mine;
  if (sched_getaffinity(0, sizeof(mine), &mine) == 0 && std::getenv("OMP_NUM_THREADS") == nullptr) {
    set("OMP_NUM_THREADS", std::max<int64_t>(CPU_COUNT(&mine) / flags_.ranks, 1));
  }
  std::vector<char*> arguments = {const_cast<char*>("ingot")};
  for (const std::string& argument : flags_.command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  execv("/proc/self/exe", arguments.data());
  _exit(127);
}

// Until something happens, or a moment has passed.
void Launcher::Await() {
  std::vector<pollfd> polled = {{signal_pipe[0], POLLIN, 0}};
  for (const Child& child : children_) polled.push_back({child.output, POLLIN, 0});  // -1: not looked at
  poll(polled.data(), polled.size(), 100);
  for (int64_t rank = 0; rank < flags_.ranks; ++rank) {
    if (polled[rank + 1].revents != 0) Pass(children_[rank], rank);
  }
  for (unsigned char signal; read(signal_pipe[0], &signal, 1) == 1;) {
    if (signal != SIGCHLD) SendToAll(signal);
  }
  Reap();
}

// Whole lines of what a rank said, each with its rank.
void Launcher::Pass(Child& child, int64_t rank) {
  char buffer[4096];
  ssize_t got = 0;
  while (child.output >= 0 && (got = read(child.output, buffer, sizeof(buffer))) > 0) child.pending.append(buffer, got);
  const bool over = got == 0 && child.output >= 0;
  if (over && !child.pending.empty() && child.pending.back() != '\n') child.pending += '\n';
  for (size_t end; (end = child.pending.find('\n')) != std::string::npos; child.pending.erase(0, end + 1)) {
    std::fprintf(stderr, "[rank %lld] %s\n", static_cast<long long>(rank), child.pending.substr(0, end).c_str());
  }
  if (over) close(std::exchange(child.output, -1));
}

void Launcher::Reap() {
  int status = 0;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    const auto child = std::find_if(children_.begin(), children_.end(), [pid](const Child& c) { return c.pid == pid; });
    if (child == children_.end()) continue;
    child->status = status;
    ended_.push_back(child - children_.begin());
    if (CodeOf(status) == 0) continue;
    give_up_ = std::min(give_up_, Clock::now() + (WIFSIGNALED(status) ? kGraceAfterDeath : kGrace));
  }
}

void Launcher::SendToAll(int signal) const {
  for (const Child& child : children_) {
    if (child.pid > 0 && !child.status.has_value()) kill(child.pid, signal);
  }
}

bool Launcher::AnyRuns() const {
  return std::any_of(children_.begin(), children_.end(), [](const Child& child) { return !child.status.has_value(); });
}

// A rank that was killed is the cause of the others' ends. Else all leave with the code of the verdict, and one that has
// another code left before it heard it.
int Launcher::FirstCause() const {
  const auto by_signal = [this](int64_t rank) {
    return WIFSIGNALED(*children_[rank].status) && !(killed_ && WTERMSIG(*children_[rank].status) == SIGKILL);
  };
  const auto of_its_own = [this](int64_t rank) {
    const int code = CodeOf(*children_[rank].status);
    return code != 0 && code != static_cast<int>(ExitCode::kPeer) && code != 128 + SIGKILL;
  };
  const auto any = [this](int64_t rank) { return CodeOf(*children_[rank].status) != 0; };
  auto cause = std::find_if(ended_.begin(), ended_.end(), by_signal);
  if (cause == ended_.end()) cause = std::find_if(ended_.begin(), ended_.end(), of_its_own);
  if (cause == ended_.end()) cause = std::find_if(ended_.begin(), ended_.end(), any);
  if (cause == ended_.end()) return 0;
  std::string others;
  for (const int64_t rank : ended_) {
    if (rank == *cause || !any(rank)) continue;
    absl::StrAppend(&others, others.empty() ? "; then rank " : ", rank ", rank, " ",
                    HowItEnded(*children_[rank].status));
  }
  const int status = *children_[*cause].status;
  std::fprintf(stderr, "ingot launch: rank %lld %s%s\n", static_cast<long long>(*cause), HowItEnded(status).c_str(),
               others.c_str());
  return CodeOf(status);
}

}  // namespace

void AddLaunchCommand(CLI::App& app) {
  CLI::App* command = app.add_subcommand("launch", "Starts ranks of one command on this machine");
  auto flags = std::make_shared<LaunchFlags>();
  command->add_option("--nproc", flags->ranks, "Ranks to start")->required()->check(CLI::Range(1, 1024));
  command->add_option("command", flags->command, "-- train …: what each of them runs")->required();
  command->footer(
      "Signals TERM, INT, USR1, USR2 and HUP are passed on to all ranks. When one ends with an error, so do the "
      "others. "
      "Exit code: that of the rank that was the first cause (docs/distributed.md), 128 + N if it died by signal N. "
      "OMP_NUM_THREADS, unless set, becomes this rank's share of the processors.");
  command->callback([flags] {
    int code = 0;
    RunCommand([&]() -> absl::Status {
      INGOT_ASSIGN_OR_RETURN(code, Launcher(*flags).Run());
      return absl::OkStatus();
    });
    if (code != 0) std::exit(code);
  });
}

}  // namespace ingot
