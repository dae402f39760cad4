#include "kernels/emulator/fiber.h"

#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>

#include "core/base/check.h"
#include "kernels/emulator/sanitizer.h"

namespace ingot::emulator {
namespace {

using boost::context::detail::transfer_t;

constexpr size_t kGuardBytes = 4096;

#ifdef INGOT_EMULATOR_ASAN
constexpr size_t kStackBytes = size_t{256} << 10;  // instrumented frames are several times as large

// Of the stack that is not a fiber's; learnt whenever that stack switches to a fiber.
const void* main_bottom = nullptr;
size_t main_bytes = 0;

void BeforeSwitch(Fiber& from, const Fiber& to) {
  __sanitizer_start_switch_fiber(&from.fake_stack, to.stack == nullptr ? main_bottom : to.stack,
                                 to.stack == nullptr ? main_bytes : kStackBytes);
}

void AfterSwitch(const Fiber& left, const Fiber& here) {
  const void* bottom = nullptr;
  size_t bytes = 0;
  __sanitizer_finish_switch_fiber(here.fake_stack, &bottom, &bytes);
  if (left.stack == nullptr) {
    main_bottom = bottom;
    main_bytes = bytes;
  }
}
#else
constexpr size_t kStackBytes = size_t{64} << 10;
void BeforeSwitch(const Fiber&, const Fiber&) {}
void AfterSwitch(const Fiber&, const Fiber&) {}
#endif

// What a switch hands over: who left, and to whom.
struct Passage {
  Fiber* left;
  Fiber* here;
};

void (*first_entry)();

void Enter(transfer_t transfer) {
  const Passage passage = *static_cast<Passage*>(transfer.data);
  passage.left->context = transfer.fctx;
  AfterSwitch(*passage.left, *passage.here);
  first_entry();
}

}  // namespace

void Create(Fiber& fiber, void (*entry)()) {
  void* const memory = mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  INGOT_CHECK(memory != MAP_FAILED, "no memory for the stack of an emulated thread");
  mprotect(memory, kGuardBytes, PROT_NONE);
  fiber.stack = static_cast<char*>(memory) + kGuardBytes;
  INGOT_CHECK(first_entry == nullptr || first_entry == entry, "all fibers have one entry");
  first_entry = entry;
  fiber.context = boost::context::detail::make_fcontext(fiber.stack + kStackBytes, kStackBytes, Enter);
}

void Switch(Fiber& from, Fiber& to) {
  Passage passage{&from, &to};
  BeforeSwitch(from, to);
  const transfer_t transfer = boost::context::detail::jump_fcontext(to.context, &passage);
  const Passage back = *static_cast<Passage*>(transfer.data);
  back.left->context = transfer.fctx;
  AfterSwitch(*back.left, from);
}

size_t StackBytes() { return kStackBytes; }

bool IsGuardOf(const Fiber& fiber, const void* address) {
  const char* const byte = static_cast<const char*>(address);
  return fiber.stack != nullptr && byte < fiber.stack && byte >= fiber.stack - kGuardBytes;
}

}  // namespace ingot::emulator
