#include "distributed/flight_record.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"

namespace ingot {
namespace {

constexpr char kMagic[8] = {'I', 'N', 'G', 'T', 'F', 'L', 'T', '1'};
constexpr size_t kHeaderBytes = 4096;
constexpr uint32_t kMaxCapacity = 1u << 20;

// The layout of docs/flight_record.md: little-endian, no gaps between the fields.
struct Header {
  char magic[8];
  uint32_t version, entry_bytes;
  uint32_t rank, ranks, pid, capacity;
  char host[64];
  char boot_id[40];
  int64_t start_unix, start_monotonic;  // nanoseconds
  uint64_t attempt;
  std::atomic<uint64_t> next;  // entries begun
  std::atomic<uint32_t> ended;
  int32_t exit_code;
  char note[256];
};
static_assert(sizeof(Header) <= kHeaderBytes && offsetof(Header, next) == 160 && offsetof(Header, note) == 176);

struct Slot {
  std::atomic<uint64_t> number;  // index + 1, stored last; 0: none or being written
  int64_t monotonic;             // nanoseconds
  uint32_t step;
  uint16_t micro;
  uint8_t phase, op, state, unused[3];
  uint32_t bucket;
  uint64_t bytes, sequence;
  uint64_t spare[2];
};
static_assert(sizeof(Slot) == 64 && offsetof(Slot, sequence) == 40);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

std::atomic<FlightRecord*> current{nullptr};

int64_t Nanoseconds(clockid_t clock) {
  timespec time = {};
  clock_gettime(clock, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

template <size_t N>
void Copy(char (&to)[N], const std::string& from) {
  const size_t size = std::min(from.size(), N - 1);
  std::memcpy(to, from.data(), size);
  to[size] = '\0';
}

template <size_t N>
std::string Text(const char (&from)[N]) {
  return std::string(from, strnlen(from, N));
}

std::string BootId() {
  std::string id(36, '\0');  // a file of /proc has no size to go by
  const int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  if (file < 0) return "";
  const ssize_t got = read(file, id.data(), id.size());
  close(file);
  id.resize(static_cast<size_t>(std::max<ssize_t>(got, 0)));
  return id;
}

Slot* SlotsOf(void* memory) { return reinterpret_cast<Slot*>(static_cast<char*>(memory) + kHeaderBytes); }

void WriteHeader(Header& header, int64_t rank, int64_t ranks, uint32_t capacity) {
  char host[64] = {};
  gethostname(host, sizeof(host) - 1);
  Copy(header.host, host);
  Copy(header.boot_id, BootId());
  header.version = 1;
  header.entry_bytes = sizeof(Slot);
  header.rank = static_cast<uint32_t>(rank);
  header.ranks = static_cast<uint32_t>(ranks);
  header.pid = static_cast<uint32_t>(getpid());
  header.capacity = capacity;
  header.start_unix = Nanoseconds(CLOCK_REALTIME);
  header.start_monotonic = Nanoseconds(CLOCK_MONOTONIC);
  std::memcpy(header.magic, kMagic, sizeof(kMagic));  // last: a header with it is whole
}

// A new file of `bytes` zeros, its blocks allocated.
absl::StatusOr<void*> MapNewFile(const std::string& path, size_t bytes) {
  const auto failed = [&](const char* what) {
    return absl::ErrnoToStatus(errno, absl::StrCat(path, ": ", what, " failed"));
  };
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return failed("open for writing");
  void* memory = MAP_FAILED;
  absl::Status status;
  if (const int error = posix_fallocate(file, 0, static_cast<off_t>(bytes)); error != 0) {
    errno = error;
    status = failed("allocating");
  } else if (memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0); memory == MAP_FAILED) {
    status = failed("mmap");
  }
  close(file);
  if (!status.ok()) {
    unlink(path.c_str());
    return status;
  }
  return memory;
}

FlightEvent EventOf(const Slot& slot) {
  return {.step = slot.step,
          .micro = slot.micro,
          .phase = static_cast<Phase>(slot.phase),
          .op = static_cast<FlightOp>(slot.op),
          .state = static_cast<FlightState>(slot.state),
          .bucket = slot.bucket,
          .bytes = slot.bytes,
          .sequence = slot.sequence};
}

}  // namespace

const char* Name(FlightOp op) {
  static constexpr const char* kNames[] = {"phase", "exchange", "deadline", "stop"};
  const auto index = static_cast<size_t>(op);
  return index < std::size(kNames) ? kNames[index] : "?";
}

std::string FlightDirectory(const std::string& run_directory) { return JoinPath(run_directory, "flight"); }

std::string FlightPath(const std::string& run_directory, int64_t rank) {
  return JoinPath(FlightDirectory(run_directory), absl::StrFormat("rank-%05d.bin", rank));
}

absl::StatusOr<std::unique_ptr<FlightRecord>> FlightRecord::Create(const std::string& run_directory, int64_t rank,
                                                                   int64_t ranks, uint32_t capacity) {
  const std::string path = FlightPath(run_directory, rank);
  INGOT_RETURN_IF_ERROR(CreateDirectories(FlightDirectory(run_directory)));
  // Not there at the first start.
  rename(path.c_str(), absl::StrCat(path.substr(0, path.size() - 4), ".previous.bin").c_str());
  const size_t bytes = kHeaderBytes + capacity * sizeof(Slot);
  INGOT_ASSIGN_OR_RETURN(void* memory, MapNewFile(path, bytes));
  WriteHeader(*static_cast<Header*>(memory), rank, ranks, capacity);
  std::unique_ptr<FlightRecord> record(new FlightRecord(memory, bytes));
  current = record.get();
  return record;
}

FlightRecord::~FlightRecord() {
  FlightRecord* self = this;
  current.compare_exchange_strong(self, nullptr);
  munmap(memory_, bytes_);
}

void FlightRecord::Add(const FlightEvent& event) {
  Header& header = *static_cast<Header*>(memory_);
  const uint64_t index = header.next.fetch_add(1, std::memory_order_relaxed);
  Slot& slot = SlotsOf(memory_)[index % header.capacity];
  slot.number.store(0, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  slot.monotonic = Nanoseconds(CLOCK_MONOTONIC);
  slot.step = event.step;
  slot.micro = event.micro;
  slot.phase = static_cast<uint8_t>(event.phase);
  slot.op = static_cast<uint8_t>(event.op);
  slot.state = static_cast<uint8_t>(event.state);
  slot.bucket = event.bucket;
  slot.bytes = event.bytes;
  slot.sequence = event.sequence;
  slot.number.store(index + 1, std::memory_order_release);
}

void FlightRecord::SetAttempt(uint64_t attempt) { static_cast<Header*>(memory_)->attempt = attempt; }

void FlightRecord::End(int exit_code, const std::string& note) {
  if (ended_.exchange(true)) return;
  Header& header = *static_cast<Header*>(memory_);
  header.exit_code = exit_code;
  Copy(header.note, note);
  header.ended.store(1, std::memory_order_release);
}

void FlightRecord::EndCurrent(int exit_code, const std::string& note) {
  if (FlightRecord* record = current; record != nullptr) record->End(exit_code, note);
}

absl::StatusOr<FlightFile> ReadFlightFile(const std::string& path) {
  // A copy: the process may still be writing.
  INGOT_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kHeaderBytes + kMaxCapacity * sizeof(Slot)));
  const auto refused = [&](const std::string& why) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a flight record: ", why));
  };
  if (bytes.size() < kHeaderBytes) return refused(absl::StrCat("it has ", bytes.size(), " bytes"));
  // Aligned, and with all of its slots.
  std::vector<uint64_t> words((bytes.size() + 7) / 8);
  std::memcpy(words.data(), bytes.data(), bytes.size());
  const Header& header = *reinterpret_cast<const Header*>(words.data());
  if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0) return refused("it does not begin with INGTFLT1");
  if (header.version != 1 || header.entry_bytes != sizeof(Slot)) {
    return refused(absl::StrCat("expected version 1 with entries of 64 bytes, found ", header.version, " and ",
                                header.entry_bytes));
  }
  if (header.capacity == 0 || (bytes.size() - kHeaderBytes) / sizeof(Slot) < header.capacity) {
    return refused(absl::StrCat("it is cut off: ", bytes.size(), " bytes for ", header.capacity, " entries"));
  }
  FlightFile file = {.rank = header.rank,
                     .ranks = header.ranks,
                     .pid = header.pid,
                     .attempt = header.attempt,
                     .host = Text(header.host),
                     .boot_id = Text(header.boot_id),
                     .start_unix_nanoseconds = header.start_unix,
                     .ended = header.ended != 0,
                     .exit_code = header.exit_code,
                     .note = Text(header.note),
                     .entries = {}};
  const Slot* slots = reinterpret_cast<const Slot*>(words.data() + kHeaderBytes / 8);
  for (uint32_t i = 0; i < header.capacity; ++i) {
    const uint64_t number = slots[i].number;
    if (number == 0 || (number - 1) % header.capacity != i) continue;
    const uint64_t since_start =
        static_cast<uint64_t>(slots[i].monotonic) - static_cast<uint64_t>(header.start_monotonic);
    file.entries.push_back(
        {number - 1, static_cast<int64_t>(static_cast<uint64_t>(header.start_unix) + since_start), EventOf(slots[i])});
  }
  std::sort(file.entries.begin(), file.entries.end(), [](const auto& a, const auto& b) { return a.index < b.index; });
  return file;
}

}  // namespace ingot
