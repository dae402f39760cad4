#pragma once
// The machine's roof, measured when asked for: shares of speed are quoted against it, in the same run.

namespace ingot {

// FLOP/s of the matrix product of this build (its library, its panels) on all threads: the best of several products of
// 2,048 x 2,048 matrices. Takes about a quarter of a second on two cores.
double MeasureSgemmPeak();

// Bytes/s, read and written together, of copying between two arrays larger than caches on all threads: the best of
// several. Takes about a quarter of a second.
double MeasureCopyBandwidth();

}  // namespace ingot
