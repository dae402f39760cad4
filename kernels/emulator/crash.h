#pragma once

namespace ingot::emulator {

// Lets a memory fault inside a kernel name block, thread and the last place where the thread waited. Once a process;
// does nothing under AddressSanitizer, which tells more.
void ReportCrashes();

}  // namespace ingot::emulator
