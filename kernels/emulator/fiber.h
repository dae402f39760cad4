#pragma once
// A fiber: a stack and the place on it where its run was left. Switches are direct, from one fiber to any other.
#include <cstddef>

namespace ingot::emulator {

struct Fiber {
  void* context = nullptr;  // of boost.context, while the fiber does not run
  char* stack = nullptr;    // lowest byte, above a guard page; null for the stack that the process began on
  void* fake_stack = nullptr;
};

// A stack on which `entry` will run at the first switch to the fiber; it must never return. Stacks are kept for ever.
void Create(Fiber& fiber, void (*entry)());

// Leaves `from`, which runs, and goes on with `to`. Returns when somebody switches back to `from`.
void Switch(Fiber& from, Fiber& to);

size_t StackBytes();

// The fiber whose stack holds `address`, or that guards it, is one whose stack has run over.
bool IsGuardOf(const Fiber& fiber, const void* address);

}  // namespace ingot::emulator
