#!/usr/bin/env bash
# Builds the programs that tools/gpu_check.sh needs so that they run on another machine, and gathers them in
# build/portable/carry and carry.tar.xz: what Debian has as archives is linked in, what it has as shared libraries only lies
# in lib/ beside them. The C library, libgcc_s and everything of CUDA come from the target; kernels are for sm_80 and
# sm_90a.
#
#   JOBS=N          parallel compilers (default: all processors)
set -euo pipefail

cd "$(dirname "$0")/.."
JOBS=${JOBS:-$(nproc)}
PROGRAMS=(ingot tests/kernels/kernels_test tests/kernels/conformance_test tests/kernels/record_goldens)
CARRY=build/portable/carry

cmake --preset portable -DINGOT_TESTS=ON
cmake --build build/portable -j "$JOBS" --target "${PROGRAMS[@]##*/}"
rm -rf "$CARRY"
mkdir -p "$CARRY/lib"
for program in "${PROGRAMS[@]}"; do
  strip -o "$CARRY/${program##*/}" "build/portable/$program"
done
# `name => path`; what the target has itself stays out.
for program in "${PROGRAMS[@]}"; do
  ldd "build/portable/$program"
done | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u |
  grep -vE '/(libc|libm|libdl|libpthread|librt|libgcc_s)\.so' |
  while read -r library; do strip -o "$CARRY/lib/${library##*/}" "$(readlink -f "$library")"; done
git rev-parse HEAD >"$CARRY/commit" 2>/dev/null || echo unknown >"$CARRY/commit"
# OpenBLAS stands in two of the programs: the dictionary reaches from one to the other.
tar -C build/portable -c carry | xz --lzma2=preset=1,dict=128MiB >"$CARRY.tar.xz"
du -sh "$CARRY" "$CARRY.tar.xz"
