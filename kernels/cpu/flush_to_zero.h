#pragma once

namespace ingot {

// Makes the calling thread and the OpenMP threads treat denormal numbers as 0, reading and writing: they would slow
// some loops (AdamW's second moments of rows that get no gradient) several times. Threads made later inherit it. Called
// once by a program before its first op, so that every op of a run computes with the same setting and the same bits.
void SetFlushToZero();

}  // namespace ingot
