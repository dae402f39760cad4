#!/usr/bin/env bash
# Installs what the tests need and runs all of them, cheap ones first. Ends with `N passed, N failed` over everything
# and exits 1 if anything failed. Output of each step: build/test_logs/STEP.log.
#
#   JOBS=N          parallel compilers (default: all processors)
#   FUZZ_SECONDS=N  time for each fuzz target (default: 20)
#   INGOT_SHARED=D  folder with more corpora (default: ../shared); checks that need it say so and skip without it
set -uo pipefail

usage() {
  echo "usage: tools/test.sh [--quick]     --quick: only lint, the release build and its unit tests"
}

cd "$(dirname "$0")/.." || exit 1
quick=false
case ${1:-} in
  "") ;;
  --quick) quick=true ;;
  --help) usage; exit 0 ;;
  *) usage >&2; exit 2 ;;
esac

JOBS=${JOBS:-$(nproc)}
FUZZ_SECONDS=${FUZZ_SECONDS:-20}
export JOBS INGOT_SHARED=${INGOT_SHARED:-$(realpath -m ../shared)}
# Tests run side by side: a thread that waits must sleep, not spin.
export OMP_WAIT_POLICY=passive
export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1
export UBSAN_OPTIONS=print_stacktrace=1
LOGS=$PWD/build/test_logs
mkdir -p "$LOGS"
passed=0
failed=0
failures=()

# report NAME PASSED FAILED SECONDS: adds to the sums and prints one line; on a failure also the end of the log.
report() {
  passed=$((passed + $2))
  failed=$((failed + $3))
  printf '%-28s %4d passed %3d failed  %4d s\n' "$1" "$2" "$3" "$4"
  grep -E '^skipped ' "$LOGS/$1.log" | sed 's/^/    /'
  if [ "$3" -gt 0 ]; then
    failures+=("$1")
    grep -E '^FAILED |^[^ ]+:[0-9]+(:[0-9]+)?: ' "$LOGS/$1.log" | head -n 40 | sed 's/^/    /'
    tail -n 25 "$LOGS/$1.log" | sed 's/^/    | /'
  fi
}

# step NAME COMMAND...: one check; its exit status decides.
step() {
  local name=$1 start=$SECONDS
  shift
  if "$@" >"$LOGS/$name.log" 2>&1; then report "$name" 1 0 $((SECONDS - start)); return 0; fi
  report "$name" 0 1 $((SECONDS - start))
  return 1
}

# checks NAME COMMAND...: a script of several checks whose last line is `N passed, N failed`.
checks() {
  local name=$1 start=$SECONDS status sum
  shift
  "$@" >"$LOGS/$name.log" 2>&1
  status=$?
  sum=$(tail -n 1 "$LOGS/$name.log" | sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p')
  # A script that died before its sum, or that exits badly without naming a failure, is a failure itself.
  if [ -z "$sum" ] || { [ $status -ne 0 ] && [ "${sum#* }" = 0 ]; }; then sum="${sum%% *} 1"; fi
  # shellcheck disable=SC2086
  set -- $sum
  if [ $# -lt 2 ]; then set -- 0 1; fi
  report "$name" "$1" "$2" $((SECONDS - start))
}

skip() {
  echo "skipped $1: $2"
}

# junit ATTRIBUTE FILE: a count at the head of ctest's JUnit file.
junit() {
  grep -oE -m1 "[[:space:]]$1=\"[0-9]*\"" "$2" | tr -dc '0-9'
}

# unit_tests PRESET: the tests that ctest finds in that build.
unit_tests() {
  local name=unit_tests_$1 start=$SECONDS xml=$LOGS/unit_tests_$1.xml
  rm -f "$xml"
  ctest --test-dir "build/$1" -j "$JOBS" --output-on-failure --no-tests=error --output-junit "$xml" \
    >"$LOGS/$name.log" 2>&1
  if [ ! -s "$xml" ]; then report "$name" 0 1 $((SECONDS - start)); return; fi
  local tests failures_here skipped disabled
  tests=$(junit tests "$xml") failures_here=$(junit failures "$xml")
  skipped=$(junit skipped "$xml") disabled=$(junit disabled "$xml")
  report "$name" $((tests - failures_here - skipped - disabled)) "$failures_here" $((SECONDS - start))
  if [ "$skipped" -gt 0 ]; then
    # GoogleTest prints `FILE:LINE: Skipped` and the reason below it.
    echo "    skipped $skipped of $tests, for these reasons:"
    grep -A1 ': Skipped$' "$xml" | grep -vE ': Skipped$|^--$' | sort | uniq -c | head -n 8 | sed 's/^/    /'
  fi
}

configure_and_build() {  # PRESET TARGET... (all when none), with what stands in CONFIGURE_FLAGS
  local preset=$1
  shift
  # shellcheck disable=SC2086
  cmake --preset "$preset" ${CONFIGURE_FLAGS:-} && cmake --build "build/$preset" -j "$JOBS" ${1:+--target "$@"}
}

python_environment() {
  local stamp=.venv/requirements.sum wanted
  wanted=$(sha256sum tests/downstream/requirements.txt)
  if [ -f $stamp ] && [ "$(cat $stamp)" = "$wanted" ]; then return 0; fi
  rm -rf .venv
  "$PYTHON" -m venv .venv || return 1
  # torch by itself and first: what comes after accepts the build that is there instead of choosing another.
  .venv/bin/pip install --quiet "$(grep '^torch==' tests/downstream/requirements.txt)" || return 1
  .venv/bin/pip install --quiet -r tests/downstream/requirements.txt || return 1
  echo "$wanted" >$stamp
}

nccl_test() {  # NCCL's library in real processes; only the build with CUDA has it
  cmake --build build/cuda -j "$JOBS" --target nccl_test && build/cuda/tests/distributed/nccl/nccl_test
}

fuzz_one() {  # TARGET: seeds are read, new finds go to the build folder
  local found=build/fuzz/found/$1 memory=2048
  # A damaged Parquet page may say that it has up to 2 GiB, compressed and not, before Apache's library finds out.
  if [ "$1" = parquet_fuzz ]; then memory=4608; fi
  mkdir -p "$found"
  "build/fuzz/tests/fuzz/$1" -max_total_time="$FUZZ_SECONDS" -timeout=10 -rss_limit_mb=$memory -print_final_stats=1 \
    -artifact_prefix="build/fuzz/$1-" "$found" "tests/fuzz/corpus/${1%_fuzz}"
}

fuzzing() {
  # The first run needs the build alone; each target is then a check of its own.
  step build_fuzz configure_and_build fuzz fuzz_targets || return
  local target
  for target in build/fuzz/tests/fuzz/*_fuzz; do
    if [ -x "$target" ]; then step "$(basename "$target")" fuzz_one "$(basename "$target")"; fi
  done
}

finish() {
  if [ ${#failures[@]} -gt 0 ]; then echo "failed: ${failures[*]} (logs: $LOGS)"; fi
  echo "took $((SECONDS / 60)) min $((SECONDS % 60)) s"
  echo "$passed passed, $failed failed"
  exit $((failed > 0))
}

step install tools/install_dependencies.sh --tests --parquet || finish
# The system's own Python where there is one: a version manager's may lack parts.
PYTHON=/usr/bin/python3
[ -x $PYTHON ] || PYTHON=python3

checks lint "$PYTHON" tools/lint.py
checks include_ladder "$PYTHON" tests/include_ladder_test.py
CONFIGURE_FLAGS=-DINGOT_TESTS=ON step build_release configure_and_build release || finish
checks headers "$PYTHON" tests/include_ladder_test.py --headers build/release
unit_tests release
if $quick; then finish; fi

INGOT=$PWD/build/release/ingot
for script in tests/end_to_end/*_check.py; do
  checks "$(basename "$script" .py)" "$PYTHON" "$script" --ingot "$INGOT"
done
if step python_environment python_environment; then
  checks downstream tests/downstream/run.sh "$INGOT"
fi
# Arrow's own allocator would hide from the sanitizer what is read outside of a page.
if step build_asan configure_and_build asan; then ARROW_DEFAULT_MEMORY_POOL=system unit_tests asan; fi
if step build_coverage configure_and_build coverage kernels_test emulator_test; then
  checks kernel_coverage "$PYTHON" tools/kernel_coverage.py
fi
if step build_race configure_and_build race kernels_test emulator_test; then unit_tests race; fi
CONFIGURE_FLAGS=-DINGOT_TESTS=OFF step build_clang configure_and_build clang
fuzzing
if command -v nvcc >/dev/null; then
  step cuda_libraries tools/install_dependencies.sh --cuda
  if CONFIGURE_FLAGS=-DINGOT_TESTS=ON step build_cuda configure_and_build cuda ingot; then
    checks ptxas_budget "$PYTHON" tools/ptxas_budget.py
    step nccl_test nccl_test
  fi
  if step build_portable tools/portable_build.sh; then checks portable "$PYTHON" tools/portable_check.py; fi
else
  skip build_cuda "no nvcc on the PATH"
fi
finish
