#include "distributed/rendezvous.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "distributed/sibling_ranks.h"

namespace ingot {
namespace {

constexpr size_t kLeastSecret = 16, kMostSecret = 4096;
constexpr char kTitle[] = "ingot rendezvous 1";

absl::Status SecretError(const std::string& why) {
  return WithExitCode(absl::PermissionDeniedError(why), ExitCode::kSecret);
}

std::string Value(const Environment& environment, const char* name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

// Up to kMostSecret bytes of an open file, which is closed.
std::string ReadAll(int fd) {
  std::string text;
  char buffer[512];
  for (ssize_t got; text.size() < kMostSecret && (got = read(fd, buffer, sizeof(buffer))) != 0;) {
    if (got < 0 && errno != EINTR) break;
    if (got > 0) text.append(buffer, static_cast<size_t>(got));
  }
  close(fd);
  return text;
}

// The contents of a file that nobody else may have read or written.
absl::StatusOr<std::string> ReadPrivateFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat(path, ": cannot open"));
  struct stat about {};
  const bool known = fstat(fd, &about) == 0;
  std::string text = ReadAll(fd);
  if (!known || !S_ISREG(about.st_mode) || about.st_uid != geteuid() || (about.st_mode & 077) != 0) {
    return SecretError(
        absl::StrCat(path, ": expected a file of this user with mode 0600; others may know what it holds"));
  }
  return text;
}

struct Interface {
  std::string name, address;  // IPv4
  bool loopback = false;
};

// Those that are up.
absl::StatusOr<std::vector<Interface>> Interfaces() {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return absl::ErrnoToStatus(errno, "the network interfaces of this machine");
  std::vector<Interface> interfaces;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET || (entry->ifa_flags & IFF_UP) == 0)
      continue;
    char text[INET_ADDRSTRLEN] = "";
    inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in*>(entry->ifa_addr)->sin_addr, text, sizeof(text));
    interfaces.push_back({entry->ifa_name, text, (entry->ifa_flags & IFF_LOOPBACK) != 0});
  }
  freeifaddrs(list);
  return interfaces;
}

// The IPv4 address of the network interface `name`, or of the first one that is up and leads outside.
absl::StatusOr<std::string> AddressOfInterface(const std::string& name) {
  INGOT_ASSIGN_OR_RETURN(const std::vector<Interface> interfaces, Interfaces());
  std::string known;
  for (const Interface& interface : interfaces) {
    if (name.empty() ? !interface.loopback : name == interface.name) return interface.address;
    absl::StrAppend(&known, known.empty() ? "" : ", ", interface.name);
  }
  return absl::NotFoundError(
      absl::StrCat("no network interface ", name, " with an IPv4 address is up; there are: ", known));
}

struct HostPort {
  std::string address;  // IPv4
  int port = 0;
};

absl::StatusOr<HostPort> Resolve(const std::string& coordinator) {
  const std::vector<std::string> parts = absl::StrSplit(coordinator, ':');
  int port = 0;
  if (parts.size() != 2 || parts[0].empty() || !absl::SimpleAtoi(parts[1], &port) || port < 1 || port > 65535) {
    return WithExitCode(absl::InvalidArgumentError(
                            absl::StrCat("the coordinator's address: expected HOST:PORT, found \"", coordinator, "\"")),
                        ExitCode::kUsage);
  }
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  if (const int error = getaddrinfo(parts[0].c_str(), nullptr, &hints, &found); error != 0) {
    return absl::NotFoundError(absl::StrCat("the coordinator's address ", parts[0], ": ", gai_strerror(error)));
  }
  char text[INET_ADDRSTRLEN] = "";
  inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in*>(found->ai_addr)->sin_addr, text, sizeof(text));
  freeaddrinfo(found);
  return HostPort{text, port};
}

// Each rank has a socket to each other one, rank 0 two. Systems commonly allow a process 1,024 open files until it asks.
absl::Status AllowSockets(int64_t ranks) {
  constexpr rlim_t kOtherFiles = 256;
  const rlim_t wanted = 2 * static_cast<rlim_t>(ranks) + kOtherFiles;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return absl::OkStatus();
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  if (limit.rlim_cur == wanted && setrlimit(RLIMIT_NOFILE, &limit) == 0) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(ranks, " ranks: expected room for ", wanted,
                                                   " open files, found a limit of ", limit.rlim_max,
                                                   "; raise it (ulimit -n)"));
}

bool IsLoopback(const std::string& address) { return absl::StartsWith(address, "127."); }

}  // namespace

absl::StatusOr<std::string> ReadSecret(const Environment& environment) {
  const std::string descriptor = Value(environment, "INGOT_SECRET_FD"), file = Value(environment, "INGOT_SECRET_FILE");
  std::string secret;
  if (!descriptor.empty()) {
    int fd = -1;
    if (!absl::SimpleAtoi(descriptor, &fd) || fcntl(fd, F_GETFD) < 0) {
      return SecretError(absl::StrCat("INGOT_SECRET_FD: expected an open descriptor, found ", descriptor));
    }
    secret = ReadAll(fd);
  } else if (!file.empty()) {
    INGOT_ASSIGN_OR_RETURN(secret, ReadPrivateFile(file));
  } else {
    return std::string();
  }
  if (secret.size() >= kLeastSecret) return secret;
  return SecretError(
      absl::StrCat("the ranks' secret: expected at least ", kLeastSecret, " bytes, found ", secret.size()));
}

std::string InterfaceOfAddress(const std::string& address) {
  const absl::StatusOr<std::vector<Interface>> interfaces = Interfaces();
  for (size_t i = 0; interfaces.ok() && i < interfaces->size(); ++i) {
    if ((*interfaces)[i].address == address) return (*interfaces)[i].name;
  }
  return "";
}

absl::Status WriteMeeting(const std::string& run_directory, const Meeting& meeting) {
  const std::string path = JoinPath(run_directory, kRendezvousFile), temporary = path + ".tmp";
  const std::string text = absl::StrCat(kTitle, "\n", meeting.address, "\n", meeting.port, "\n", meeting.run_id, "\n",
                                        absl::BytesToHexString(meeting.secret), "\n");
  unlink(temporary.c_str());
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat(temporary, ": cannot create"));
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(fd) == 0;
  const int error = errno;
  close(fd);
  if (!written) return absl::ErrnoToStatus(error, absl::StrCat(temporary, ": cannot write"));
  if (rename(temporary.c_str(), path.c_str()) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, absl::StrCat(path, ": cannot rename"));
}

absl::StatusOr<Meeting> ReadMeeting(const std::string& run_directory) {
  const std::string path = JoinPath(run_directory, kRendezvousFile);
  INGOT_ASSIGN_OR_RETURN(const std::string text, ReadPrivateFile(path));
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  Meeting meeting;
  const bool fits = lines.size() == 6 && lines[0] == kTitle && absl::SimpleAtoi(lines[2], &meeting.port) &&
                    meeting.port > 0 && meeting.port < 65536 && lines[4].size() == 64 &&
                    lines[4].find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!fits) return absl::InvalidArgumentError(absl::StrCat(path, ": not what rank 0 writes"));
  meeting.address = lines[1];
  meeting.run_id = lines[3];
  meeting.secret = absl::HexStringToBytes(lines[4]);
  return meeting;
}

ControlPlane::ControlPlane(const RendezvousOptions& options)
    : rank_(options.launch.rank), size_(options.launch.size), deadlines_(options.deadlines) {}

ControlPlane::~ControlPlane() {
  if (client_ != nullptr) client_->Leave();
}

absl::StatusOr<std::unique_ptr<ControlPlane>> ControlPlane::Join(const RendezvousOptions& options) {
  std::unique_ptr<ControlPlane> plane(new ControlPlane(options));
  if (plane->size_ > 1) INGOT_RETURN_IF_ERROR(plane->Connect(options));
  return plane;
}

absl::Status ControlPlane::Connect(const RendezvousOptions& options) {
  const Launch& launch = options.launch;
  // Two of each machine, so that one sees the other.
  std::optional<SiblingRanks> siblings;
  if (launch.local_rank <= 1) siblings.emplace(launch);
  INGOT_RETURN_IF_ERROR(AllowSockets(size_));
  INGOT_ASSIGN_OR_RETURN(const std::string secret, ReadSecret(options.environment));
  Meeting meeting = {.address = "127.0.0.1", .port = 0, .secret = secret, .run_id = launch.run_id};
  bool by_file = launch.coordinator.empty();
  if (!by_file) {
    INGOT_ASSIGN_OR_RETURN(const HostPort where, Resolve(launch.coordinator));
    by_file = secret.empty() && !IsLoopback(where.address) && !options.insecure_network;
    meeting.address = where.address;
    meeting.port = where.port;
  }
  if (by_file) {
    meeting.address = "127.0.0.1";
    meeting.port = 0;
    if (launch.local_size != launch.size) {
      INGOT_ASSIGN_OR_RETURN(meeting.address, AddressOfInterface(options.interface));
    }
    meeting.secret = RandomBytes(32);
    absl::StrAppend(&meeting.run_id, "/", absl::BytesToHexString(RandomBytes(8)));
  }
  if (rank_ == 0) {
    int listener = -1;
    if (!absl::SimpleAtoi(Value(options.environment, "INGOT_LISTEN_FD"), &listener) || listener <= 2) listener = -1;
    INGOT_ASSIGN_OR_RETURN(server_, ControlServer::Start({.address = meeting.address,
                                                          .port = meeting.port,
                                                          .listener = listener,
                                                          .secret = meeting.secret,
                                                          .run_id = meeting.run_id,
                                                          .size = size_,
                                                          .deadlines = deadlines_}));
    meeting.port = server_->port();
    if (by_file) {
      INGOT_RETURN_IF_ERROR(CreateDirectories(options.run_directory));
      INGOT_RETURN_IF_ERROR(WriteMeeting(options.run_directory, meeting));
    }
  }
  const auto where = [meeting, reads = by_file && rank_ > 0, directory = options.run_directory]() {
    return reads ? ReadMeeting(directory) : absl::StatusOr<Meeting>(meeting);
  };
  INGOT_ASSIGN_OR_RETURN(client_, ControlClient::Connect({.meeting = where,
                                                          .rank = rank_,
                                                          .size = size_,
                                                          .source = Name(launch.source),
                                                          .deadlines = deadlines_,
                                                          .on_verdict = options.on_verdict}));
  local_address_ = client_->local_address();
  std::optional<SiblingWatch> watch;
  if (siblings.has_value()) {
    watch.emplace(*std::move(siblings),
                  [this](const SiblingRanks::Sibling& ended) { client_->TellEnded(ended.rank, ended.pid); });
  }
  INGOT_RETURN_IF_ERROR(client_->Gather("start", "", deadlines_.present).status());
  if (rank_ == 0 && by_file) unlink(JoinPath(options.run_directory, kRendezvousFile).c_str());
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ControlPlane::Gather(const std::string& name, const std::string& blob) {
  return Gather(name, blob, deadlines_.gather);
}

absl::StatusOr<std::vector<std::string>> ControlPlane::Gather(const std::string& name, const std::string& blob,
                                                              std::chrono::milliseconds limit) {
  if (client_ == nullptr) return std::vector<std::string>{blob};
  return client_->Gather(name, blob, limit);
}

absl::Status ControlPlane::Compare(const std::vector<ComparedField>& fields) {
  return client_ == nullptr ? absl::OkStatus() : client_->Compare(fields);
}

absl::Status ControlPlane::Put(const std::string& key, const std::string& value) {
  return client_ == nullptr ? absl::OkStatus() : client_->Put(key, value);
}

absl::StatusOr<std::string> ControlPlane::Get(const std::string& key) {
  if (client_ == nullptr) return absl::NotFoundError(absl::StrCat(key, ": there is one rank"));
  return client_->Get(key, deadlines_.gather);
}

absl::StatusOr<std::optional<std::string>> ControlPlane::Claim(const std::string& key) {
  if (client_ == nullptr) return std::nullopt;
  return client_->Claim(key, deadlines_.gather);
}

void ControlPlane::Report(const RankProgress& progress) {
  if (client_ != nullptr) client_->Report(progress);
}

void ControlPlane::Fail(ExitCode code, const std::string& text) {
  if (client_ != nullptr) client_->Fail(code, text);
}

void ControlPlane::Stuck(const std::string& text) {
  if (client_ != nullptr) client_->Stuck(text);
}

void ControlPlane::Leave() {
  if (client_ != nullptr) client_->Leave();
}

std::optional<Verdict> ControlPlane::WaitForVerdict(std::chrono::milliseconds limit) {
  return client_ == nullptr ? std::nullopt : client_->WaitForVerdict(limit);
}

}  // namespace ingot
