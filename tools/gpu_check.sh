#!/usr/bin/env bash
# Checks and measures Ingot on a machine with a GPU, from programs that were built elsewhere (tools/portable_build.sh). To be
# run in the repository; needs bash and python3 only.
#
# usage: tools/gpu_check.sh [--programs DIR] [--results DIR] [--rehearse] [PART...]
#
#   environment   GPU, driver, power limit, clocks, libraries
#   conformance   instruction wrappers against the tables; records golden/, which belongs in tests/golden/h100
#   ops           every op against the reference at odd shapes, and against the CPU's at real ones
#   sanitizer     compute-sanitizer memcheck and racecheck over the tests of the ops
#   curve         200 steps of training, its loss beside the CPU's
#   ranks         two ranks on one GPU by NCCL, in each ZeRO stage: the weights of one rank
#   kernels       each op's speed as a share of a copy and of a product of the same run, products of fp8 beside bf16's
#   steps         whole steps of 524,288 tokens: GPT-2 124M, Qwen2.5 0.5B and 1.5B, the latter in fp8 too
#   pytorch       a compiled PyTorch step of the same shapes
#
# Without a PART all of them run, in this order; each runs alone too. Results: RESULTS/results.jsonl, a line a part;
# RESULTS/figures.jsonl, a line a measurement; RESULTS/summary.md, the tables; RESULTS/PART.log.
#
#   --programs DIR  default build/portable/carry, unpacked from build/portable/carry.tar.xz if it is not there
#   --results DIR   default build/gpu_check
#   --rehearse      on a machine without a GPU, with programs of an emulator build: small, no speeds; parts that need a GPU
#                   say so and are skipped
#   INGOT_CUBLASLT  the libcublasLt to use; default: that of python3's nvidia-cublas, else what ingot finds
#   INGOT_NCCL      the libnccl to use; default: that of python3's nvidia-nccl, else what ingot finds
#   TORCH_PYTHON    a python3 that has torch (default: python3)
# shellcheck disable=SC2317,SC2086  # parts are called by name; what stands without quotes is a number
set -uo pipefail

cd "$(dirname "$0")/.." || exit 1
PARTS=(environment conformance ops sanitizer curve ranks kernels steps pytorch)
PROGRAMS=build/portable/carry
RESULTS=build/gpu_check
TORCH_PYTHON=${TORCH_PYTHON:-python3}
rehearse=false
wanted=()

usage() {
  sed -n '2,/^# shellcheck/p' "$0" | sed '$d; s/^# \{0,1\}//'
}

while [ $# -gt 0 ]; do
  case $1 in
    --programs) PROGRAMS=$2; shift ;;
    --results) RESULTS=$2; shift ;;
    --rehearse) rehearse=true ;;
    --help) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *) wanted+=("$1") ;;
  esac
  shift
done
[ ${#wanted[@]} -gt 0 ] || wanted=("${PARTS[@]}")
INGOT=$PROGRAMS/ingot
mkdir -p "$RESULTS"
if [ ! -e "$INGOT" ] && [ -e "$PROGRAMS.tar.xz" ]; then
  python3 -m tarfile -e "$PROGRAMS.tar.xz" "$(dirname "$PROGRAMS")"
fi
if [ ! -x "$INGOT" ]; then
  echo "no ingot in $PROGRAMS; build it: tools/portable_build.sh" >&2
  exit 2
fi

# Ends a part that cannot run here. $1: why.
skip_part() {
  echo "skipped: $1"
  exit 77
}

needs_gpu() {
  if $rehearse; then skip_part "a rehearsal has no GPU"; fi
}

# figures NAME COMMAND...: keeps the JSON object that a command prints.
figures() {
  local name=$1
  shift
  "$@" >"$RESULTS/$name.json" && cat "$RESULTS/$name.json"
}

part_environment() {
  "$INGOT" info || return
  figures environment "$INGOT" info --json || return
  cat "$PROGRAMS/commit" 2>/dev/null || git rev-parse HEAD
  needs_gpu
  local fields=name,driver_version,power.limit,power.max_limit,clocks.max.sm,clocks.max.mem,clocks.sm,clocks.mem
  nvidia-smi --query-gpu=$fields,temperature.gpu,ecc.mode.current,clocks_throttle_reasons.active --format=csv |
    tee "$RESULTS/nvidia_smi.csv"
}

part_conformance() {
  mkdir -p "$RESULTS/golden"
  # Recorded first: these are worth most if the machine goes away.
  "$PROGRAMS/record_goldens" "$RESULTS/golden" || return
  cat "$RESULTS/golden/device.txt"
  "$PROGRAMS/conformance_test" --gtest_brief=1 --gtest_filter='*Instruction*:Conformance*:*Wgmma*:*TensorCopies*'
}

part_ops() {
  local filter='*' status=0
  if $rehearse; then filter='FillTest.*:Shapes/Matmul.*:CountUnequal.*'; fi
  "$PROGRAMS/kernels_test" --gtest_brief=1 --gtest_filter="$filter" || status=1
  figures ops_bf16 "$INGOT" bench kernels --device cuda --check --json || status=1
  if ! $rehearse; then figures ops_fp32 "$INGOT" bench kernels --device cuda --precision fp32 --check --json || status=1; fi
  return $status
}

# Our own product, since a search for plans under the sanitizer takes long and would test another's kernels.
part_sanitizer() {
  needs_gpu
  command -v compute-sanitizer >/dev/null || skip_part "no compute-sanitizer on the PATH"
  local status=0 tool
  for tool in memcheck racecheck; do
    INGOT_GEMM=tiled timeout 900 compute-sanitizer --tool "$tool" --error-exitcode 9 \
      "$PROGRAMS/kernels_test" --gtest_brief=1 --gtest_filter='-*Threads*:*Death*:Blas*:*Schedules*' || status=1
  done
  return $status
}

# train DEVICE STEPS SETTING...: the tiny preset on the sample corpus.
train() {
  local device=$1 steps=$2
  shift 2
  "$INGOT" train --config configs/tiny_sample.textproto --device "$device" --output "$work/$device" \
    --set data.path="$work/data" --set training.steps="$steps" --set training.seed=7 --set validation.every=0 "$@" \
    >"$work/$device.log" || return
  cp "$work/$device/metrics.jsonl" "$RESULTS/curve_$device.jsonl"
}

# A model for the emulator.
smaller=(--set data.sequence_length=32 --set training.micro_batch=1 --set training.tokens_per_step=32
  --set model.layers=1 --set model.channels=64 --set model.heads=1 --set model.feed_forward=64)
$rehearse || smaller=()

# tokens FOLDER BYTES: of the sample corpus, in FOLDER/data.
tokens() {
  work=$1
  rm -rf "$work"
  mkdir -p "$work"
  "$INGOT" sample-corpus --output "$work/corpus.txt" --bytes "$2" --seed 1 >/dev/null &&
    "$INGOT" tokenizer train --input "$work/corpus.txt" --vocab-size 512 --output "$work/tokenizer" >/dev/null &&
    "$INGOT" data build --input "$work/corpus.txt" --tokenizer "$work/tokenizer" --output "$work/data" >/dev/null
}

part_curve() {
  local steps=200 bytes=4000000
  if $rehearse; then steps=3 bytes=200000; fi
  tokens "$RESULTS/curve" $bytes && train cuda $steps "${smaller[@]}" && train cpu $steps "${smaller[@]}" || return
  python3 tools/gpu_report.py curve "$RESULTS"
}

# weights RANKS ZERO SETTING...: what that many ranks have trained in 4 steps of 4 micro-batches, as checksums.
weights() {
  local ranks=$1 zero=$2 run=$work/ranks_$1_zero_$2 rank pids=() status=0
  shift 2
  for ((rank = 0; rank < ranks; rank++)); do
    # Ranks that share a GPU are refused by NCCL, unless they seem to be of several hosts.
    NCCL_HOSTID=host-$rank CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES:-0} \
      INGOT_RANK=$rank INGOT_LOCAL_RANK=$rank INGOT_WORLD_SIZE=$ranks INGOT_LOCAL_SIZE=$ranks \
      "$INGOT" train --config configs/tiny_sample.textproto --device cuda --output "$run" \
      --set data.path="$work/data" --set training.steps=4 --set validation.every=0 --set parallel.zero="$zero" "$@" \
      >"$run.$rank.log" 2>&1 &
    pids+=($!)
  done
  for rank in "${!pids[@]}"; do
    wait "${pids[rank]}" && continue
    status=1
    tail -n 5 "$run.$rank.log" >&2
  done
  if [ "$ranks" -gt 1 ] && ! $rehearse && ! grep -q '^data plane: NCCL' "$run.0.log"; then
    echo "not by NCCL: $(grep '^data plane' "$run.0.log")" >&2
    status=1
  fi
  (cd "$run"/checkpoints/*4 && sha256sum ./*.safetensors) && return $status
}

part_ranks() {
  local micro_batches=(--set training.micro_batch=1 --set training.tokens_per_step=1024) zero status=0 alone found
  if $rehearse; then micro_batches=(--set training.tokens_per_step=128); fi
  tokens "$RESULTS/ranks" 200000 || return
  alone=$(weights 1 1 "${smaller[@]}" "${micro_batches[@]}") || return
  echo "$alone"
  for zero in 0 1 2 3; do
    found=$(weights 2 $zero "${smaller[@]}" "${micro_batches[@]}") && [ "$found" = "$alone" ] && continue
    echo "zero $zero: $found"
    status=1
  done
  return $status
}

part_kernels() {
  figures predictions "$INGOT" bench kernels --predict --json >/dev/null || return
  needs_gpu
  figures kernels "$INGOT" bench kernels --device cuda --json
}

# step NAME CONFIG MICRO_BATCH MICRO_BATCHES OPTION...
step() {
  local name=$1 config=$2 micro_batch=$3 micro_batches=$4
  shift 4
  figures "step_$name" "$INGOT" bench step --config "configs/$config.textproto" --device cuda \
    --micro-batch "$micro_batch" --micro-batches "$micro_batches" --sequence-length 1024 --repeat 10 --json "$@"
}

part_steps() {
  if $rehearse; then
    local precision
    for precision in bf16 fp8; do
      figures step_tiny_$precision "$INGOT" bench step --config configs/tiny_sample.textproto --device cuda \
        --micro-batch 1 --micro-batches 2 --sequence-length 16 --repeat 1 --set model.vocabulary=64 \
        --set precision.compute=$precision --json || return
    done
    return
  fi
  local status=0
  nvidia-smi --query-gpu=timestamp,clocks.sm,power.draw,temperature.gpu,clocks_throttle_reasons.active --format=csv \
    -lms 500 >"$RESULTS/clocks.csv" 2>/dev/null &
  local sampler=$!
  step gpt2_124m gpt2_124m 64 8 || status=1
  step qwen2_5_0_5b qwen2_5_0_5b 16 32 || status=1
  step qwen2_5_1_5b qwen2_5_1_5b 16 32 || status=1
  local fp8=(--set precision.compute=fp8) head=(--set precision.fp8_head=true)
  step qwen2_5_0_5b_fp8 qwen2_5_0_5b 16 32 "${fp8[@]}" || status=1
  step qwen2_5_0_5b_fp8_head qwen2_5_0_5b 16 32 "${fp8[@]}" "${head[@]}" || status=1
  step qwen2_5_1_5b_fp8 qwen2_5_1_5b 16 32 "${fp8[@]}" || status=1
  step qwen2_5_1_5b_fp8_head qwen2_5_1_5b 16 32 "${fp8[@]}" "${head[@]}" || status=1
  kill $sampler
  return $status
}

part_pytorch() {
  needs_gpu
  "$TORCH_PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null ||
    skip_part "$TORCH_PYTHON has no torch with CUDA"
  local status=0 shape
  for shape in gpt2_124m qwen2_5_0_5b qwen2_5_1_5b; do
    figures "pytorch_$shape" "$TORCH_PYTHON" tools/bench_pytorch_step.py --shape $shape || status=1
  done
  return $status
}

# python3's nvidia-cublas and nvidia-nccl lie where no loader looks. $1: a library's name.
of_python() {
  "$TORCH_PYTHON" -c 'import glob, nvidia, sys
for folder in nvidia.__path__:
    print(*glob.glob(folder + "/**/" + sys.argv[1], recursive=True), sep="\n")' "$1" 2>/dev/null | grep . | head -n 1
}
if [ -z "${INGOT_CUBLASLT:-}" ]; then
  major=$("$INGOT" info --json | sed -n 's/.*CUDA runtime \([0-9]*\).*/\1/p')
  if found=$(of_python "libcublasLt.so.$major"); then export INGOT_CUBLASLT=$found; fi
fi
if [ -z "${INGOT_NCCL:-}" ] && found=$(of_python libnccl.so.2); then export INGOT_NCCL=$found; fi

failed=0
for part in "${wanted[@]}"; do
  if ! declare -F "part_$part" >/dev/null; then
    echo "there is no part \"$part\"; the parts: ${PARTS[*]}" >&2
    exit 2
  fi
  start=$SECONDS
  ("part_$part") >"$RESULTS/$part.log" 2>&1
  case $? in
    0) outcome=passed ;;
    77) outcome=skipped ;;
    *) outcome=failed failed=$((failed + 1)) ;;
  esac
  printf '{"part": "%s", "outcome": "%s", "seconds": %d}\n' "$part" $outcome $((SECONDS - start)) \
    >>"$RESULTS/results.jsonl"
  echo "$part: $outcome, $((SECONDS - start)) s"
  case $outcome in
    failed) tail -n 15 "$RESULTS/$part.log" | sed 's/^/  | /' ;;
    skipped) grep '^skipped: ' "$RESULTS/$part.log" | sed 's/^/  /' ;;
  esac
done
python3 tools/gpu_report.py tables "$RESULTS" || failed=$((failed + 1))
echo "results: $RESULTS/summary.md"
exit $((failed > 0))
