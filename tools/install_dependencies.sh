#!/usr/bin/env bash
# Installs the Debian 12 packages that Ingot is built from; with --tests also those its tests need, with --cuda a CUDA
# toolkit where one is on offer, and cuBLASLt and NCCL where the toolkit has none: NVIDIA's Python packages, 430 and
# 200 MB to fetch, into build/cuda_libraries; with --parquet Apache's Parquet library, which Debian does not have: out of
# its Python package, 55 MB to fetch, into build/parquet_libraries. Installs only what is missing. Where there is no apt
# it names what is missing and exits 1.
set -euo pipefail

usage() {
  echo "usage: tools/install_dependencies.sh [--tests] [--cuda] [--parquet]"
}

# PACKAGE=PROBE: a program on the PATH (bin:) or a header that the compiler finds (inc:). Probes serve systems without
# apt; with apt the package database is asked.
BUILD_PACKAGES=(
  build-essential=bin:g++
  cmake=bin:cmake
  ninja-build=bin:ninja
  ccache=none
  libabsl-dev=inc:absl/status/statusor.h
  protobuf-compiler=bin:protoc
  libprotobuf-dev=inc:google/protobuf/message.h
  libopenblas-openmp-dev=lib:openblas
  libdnnl-dev=inc:dnnl.hpp
  libcli11-dev=inc:CLI/CLI.hpp
  nlohmann-json3-dev=inc:nlohmann/json_fwd.hpp
  libsimdjson-dev=inc:simdjson.h
  libzstd-dev=inc:zstd.h
  zlib1g-dev=inc:zlib.h
  libboost-context-dev=inc:boost/context/fiber.hpp
  libgloo-dev=inc:gloo/context.h
)
TEST_PACKAGES=(
  libgtest-dev=inc:gtest/gtest.h
  libgmock-dev=inc:gmock/gmock.h
  libpcre2-dev=lib:pcre2-8
  strace=bin:strace
  clang=bin:clang++
  clang-format=bin:clang-format
  clang-tidy=bin:clang-tidy
  libclang-rt-14-dev=none
  libomp-dev=none
  python3=bin:python3
  python3-venv=none
  universal-ctags=bin:ctags
  ca-certificates=none
)
# A Slurm of two nodes on this machine and mpirun, for one check that says so and skips without them.
OPTIONAL_TEST_PACKAGES=(slurmctld slurmd slurm-client munge openmpi-bin)

# True where PROBE (see above) finds what it looks for; `none` is never missed.
probe_holds() {
  case $1 in
    bin:*) command -v "${1#bin:}" >/dev/null ;;
    inc:*) command -v g++ >/dev/null && echo "#include <${1#inc:}>" | g++ -std=c++20 -E -x c++ - >/dev/null 2>&1 ;;
    lib:*) command -v g++ >/dev/null && [ "$(g++ -print-file-name="lib${1#lib:}.so")" != "lib${1#lib:}.so" ] ;;
    *) true ;;
  esac
}

installed_by_apt() {
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Prints the wanted packages that are not there.
missing_packages() {
  local entry package
  for entry in "$@"; do
    package=${entry%%=*}
    if command -v apt-get >/dev/null; then
      installed_by_apt "$package" || echo "$package"
    else
      probe_holds "${entry#*=}" || echo "$package"
    fi
  done
}

# Runs apt-get as root: directly, or through sudo.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    env DEBIAN_FRONTEND=noninteractive "$@"
  else
    sudo env DEBIAN_FRONTEND=noninteractive "$@"
  fi
}

install_packages() {
  if ! command -v apt-get >/dev/null; then
    echo "There is no apt here. Install what these Debian 12 packages hold, then run this again:" >&2
    printf '  %s\n' "$@" >&2
    exit 1
  fi
  if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
    echo "These packages are missing; install them as root: apt-get install $*" >&2
    exit 1
  fi
  local log
  log=$(mktemp)
  echo "installing $# packages: $*"
  # A stale or partly unreachable index is no reason to stop: what counts is whether the packages install.
  as_root apt-get update -qq >"$log" 2>&1 || true
  if ! as_root apt-get install -y -qq --no-install-recommends "$@" >>"$log" 2>&1; then
    tail -n 25 "$log" >&2
    echo "apt-get could not install: $* (full log: $log)" >&2
    exit 1
  fi
  rm -f "$log"
}

# Where there is apt and it may be run; without these packages checks skip.
install_optional_packages() {
  command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || command -v sudo >/dev/null; } || return 0
  local missing
  missing=$(missing_packages "$@")
  # In a shell of its own: install_packages exits where it fails.
  # shellcheck disable=SC2086
  [ -z "$missing" ] || (install_packages $missing) || echo "going on without: $missing"
}

# The version of an nvcc on the PATH as MAJOR * 100 + MINOR, or 0.
nvcc_version() {
  local release=""
  command -v nvcc >/dev/null && release=$(nvcc --version | sed -n 's/.*release \([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
  # shellcheck disable=SC2086
  set -- $release
  echo $((${1:-0} * 100 + ${2:-0}))
}

# CUDA 12.8 or newer is not part of Debian: it comes from a package source of its maker that the machine's owner adds.
install_cuda() {
  [ "$(nvcc_version)" -ge 1208 ] && return
  local version
  for version in 13-1 13-0 12-9 12-8; do
    if command -v apt-cache >/dev/null && apt-cache show "cuda-nvcc-$version" >/dev/null 2>&1; then
      install_packages "cuda-nvcc-$version" "cuda-cudart-dev-$version" "libcublas-dev-$version"
      echo "CUDA lies in /usr/local/cuda-${version/-/.}; put its bin folder on the PATH"
      return
    fi
  done
  echo "No CUDA toolkit 12.8 or newer found: no nvcc on the PATH, and no package source offers one. Install the" >&2
  echo "toolkit from its maker's site, put nvcc on the PATH, then run this again." >&2
  exit 1
}

# The toolkit's folder: that of the nvcc on the PATH.
toolkit() {
  dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")"
}

# take_python_package PACKAGE==VERSION FOLDER: the files of a Python package, unpacked into FOLDER/package_files.
take_python_package() {
  local python=/usr/bin/python3
  [ -x $python ] || python=python3
  echo "taking $1 into $2"
  mkdir -p "$2"
  rm -rf "$2/venv" "$2/package_files"
  $python -m venv "$2/venv"
  "$2/venv/bin/python" -m pip install --quiet --no-deps --no-compile --target "$2/package_files" "$1"
  rm -rf "$2/venv"
}

# take_cuda_package PACKAGE==VERSION STAMP: NVIDIA's Python package into build/cuda_libraries; STAMP is a file there. Those
# of CUDA 13 and of CUDA 12 have names of their own; other packages with CUDA's libraries could stand beside them here.
take_cuda_package() {
  local target=build/cuda_libraries
  [ -f "$target/$2" ] && [ "$(cat "$target/$2")" = "$1" ] && return
  take_python_package "$1" $target
  mkdir -p $target/nvidia
  cp -rf $target/package_files/nvidia/. $target/nvidia/
  rm -rf $target/package_files
  echo "$1" >"$target/$2"
}

# Headers and libraries of cuBLASLt and NCCL for the toolkit's major version, where the toolkit has none.
install_cuda_libraries() {
  local cublas=nvidia-cublas==13.1.0.3 nccl=nvidia-nccl-cu13==2.28.9
  if [ "$(nvcc_version)" -lt 1300 ]; then
    cublas=nvidia-cublas-cu12==12.8.4.1
    nccl=nvidia-nccl-cu12==2.28.9
  fi
  [ -e "$(toolkit)/include/cublasLt.h" ] || take_cuda_package $cublas package
  [ -e "$(toolkit)/include/nccl.h" ] || [ -e /usr/include/nccl.h ] || take_cuda_package $nccl nccl_package
}

# Parquet's and Arrow's headers and libraries. The version is that of tests/downstream/requirements.txt, whose writer the
# tests read.
install_parquet() {
  local target=build/parquet_libraries package
  package=$(grep '^pyarrow==' tests/downstream/requirements.txt)
  [ -f $target/package ] && [ "$(cat $target/package)" = "$package" ] && return
  rm -rf $target
  take_python_package "$package" $target
  mkdir $target/lib
  mv $target/package_files/pyarrow/lib{arrow,parquet}.so.* $target/lib/
  mv $target/package_files/pyarrow/include $target/include
  mv $target/package_files/pyarrow-*.dist-info/licenses $target/licenses
  rm -rf $target/package_files
  echo "$package" >$target/package
}

wanted=("${BUILD_PACKAGES[@]}")
optional=()
cuda=false
parquet=false
for argument in "$@"; do
  case $argument in
    --tests) wanted+=("${TEST_PACKAGES[@]}"); optional+=("${OPTIONAL_TEST_PACKAGES[@]}") ;;
    --cuda) cuda=true ;;
    --parquet) parquet=true; wanted+=(python3=bin:python3 python3-venv=none ca-certificates=none) ;;
    --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done

missing=$(missing_packages "${wanted[@]}")
if [ -n "$missing" ]; then
  # shellcheck disable=SC2086
  install_packages $missing
fi
if [ ${#optional[@]} -gt 0 ]; then install_optional_packages "${optional[@]}"; fi
cd "$(dirname "$0")/.."
if $parquet; then install_parquet; fi
if $cuda; then
  install_cuda
  # nvcc may have come just now, to where it is not on the PATH yet.
  if command -v nvcc >/dev/null; then install_cuda_libraries; fi
fi
