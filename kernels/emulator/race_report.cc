#include "kernels/emulator/race_report.h"

#include <link.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <set>
#include <utility>
#include <vector>

#include "kernels/emulator/options.h"

namespace ingot::emulator::race {
namespace {

constexpr uint64_t kIsSite = uint64_t{1} << 63;
constexpr size_t kReportedPairs = 4;

std::vector<Site>& Sites() {
  static auto& sites = *new std::vector<Site>;
  return sites;
}

// Where the program itself was loaded.
uint64_t LoadAddress() {
  uint64_t address = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* result) {
        *static_cast<uint64_t*>(result) = info->dlpi_addr;
        return 1;  // the first is the program
      },
      &address);
  return address;
}

}  // namespace

uint64_t PlaceOf(const Site& site) {
  std::vector<Site>& sites = Sites();
  for (size_t i = 0; i < sites.size(); ++i) {
    if (sites[i].file == site.file && sites[i].line == site.line) return kIsSite | i;
  }
  sites.push_back(site);
  return kIsSite | (sites.size() - 1);
}

std::string TextOf(uint64_t place) {
  if ((place & kIsSite) != 0) {
    const Site& site = Sites()[place & ~kIsSite];
    return std::string(site.file) + ":" + std::to_string(site.line);
  }
  std::array<char, 64> address{};
  // The hook's return address lies behind the access.
  std::snprintf(address.data(), address.size(), "0x%llx", static_cast<unsigned long long>(place - LoadAddress() - 1));
  std::string text;
  const std::string command =
      "addr2line -e /proc/" + std::to_string(getpid()) + "/exe " + address.data() + " 2>/dev/null";
  if (FILE* const pipe = popen(command.c_str(), "r"); pipe != nullptr) {
    std::array<char, 512> line{};
    if (std::fgets(line.data(), line.size(), pipe) != nullptr) text = line.data();
    pclose(pipe);
  }
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.empty() || text[0] == '?' ? std::string("code at ") + address.data() : text;
}

void ReportRace(const std::string& what, uint64_t first, uint64_t second) {
  ++CurrentCounters().races;
  static auto& told = *new std::set<std::pair<uint64_t, uint64_t>>;
  if (told.size() >= kReportedPairs || !told.insert({first, second}).second) return;
  std::fprintf(stderr, "emulator: race (%s\n    %s\n    %s\n", what.c_str(), TextOf(first).c_str(),
               TextOf(second).c_str());
}

}  // namespace ingot::emulator::race
