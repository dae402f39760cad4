#!/usr/bin/env bash
# From text to a small language model of your own in a few minutes, on a CPU:
#   tools/quickstart.sh [TEXT...]     TEXT: .txt, .jsonl (also .gz, .zst) or .parquet files, or folders of them
# Installs what it needs, builds, trains a tokenizer, builds shards, pre-trains, evaluates, and generates a sample.
# Without TEXT it takes a synthetic corpus whose entropy is known, so that you see how near the model comes to the best
# possible loss. Everything lands in a new folder runs/quickstart-DATE.
#
#   MINUTES=N  length of the training (default: 4)
#   RUNS=DIR   where the new folder goes (default: runs)
set -euo pipefail

fail() {
  echo "quickstart: $*" >&2
  exit 1
}

headline() {
  printf '\n== %s\n' "$*"
}

MINUTES=${MINUTES:-4}
RUNS=$(realpath -m "${RUNS:-$(dirname "$0")/../runs}")
inputs=()
for text in "$@"; do
  case $text in
    --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "quickstart: unknown option $text; try --help" >&2; exit 2 ;;
  esac
  [ -e "$text" ] || fail "$text: no such file or folder"
  inputs+=("$(realpath "$text")")
done
cd "$(dirname "$0")/.."

# Apache's library only for those who have such files.
parquet=()
if [ ${#inputs[@]} -gt 0 ] && [ -n "$(find -L "${inputs[@]}" -name '*.parquet' -print -quit)" ]; then
  parquet=(--parquet)
fi

headline "Packages"
tools/install_dependencies.sh "${parquet[@]}"
echo "all there"

headline "Build (some minutes the first time)"
if [ ! -f build/release/build.ninja ]; then
  cmake --preset release -DINGOT_TESTS=OFF >/dev/null
elif [ ${#parquet[@]} -gt 0 ] && [ ! -f build/release/libingot_parquet.so ]; then
  cmake --preset release >/dev/null
fi
cmake --build build/release --target ingot
ingot=$PWD/build/release/ingot

mkdir -p "$RUNS" && [ -w "$RUNS" ] || fail "cannot write into $RUNS"
run=$RUNS/quickstart-$(date +%Y%m%d-%H%M%S)
while ! mkdir "$run" 2>/dev/null; do run=$run-b; done  # another call in the same second

# json_number FIELD: its value in the JSON on standard input.
json_number() {
  sed -n "s/.*\"$1\": *\([-+0-9.eE]*\).*/\1/p" | tail -n 1
}

floor=
if [ ${#inputs[@]} = 0 ]; then
  headline "Sample corpus"
  inputs=("$run/sample.jsonl")
  floor=$("$ingot" sample-corpus --output "$run/sample.jsonl" --bytes 12000000 --seed 1 --json |
    json_number entropy_bits_per_byte)
  echo "$run/sample.jsonl: its exact entropy is $floor bits per byte; no model can do better"
fi

# Sizes follow the text: more text bears a larger vocabulary and a larger model. Compressed files count threefold.
bytes=$(find "${inputs[@]}" -type f -printf '%s %f\n' |
  awk '{ sum += $1 * ($2 ~ /\.(gz|zst)$/ ? 3 : 1) } END { printf "%d", sum }')
context=256
if [ "$bytes" -lt 60000 ]; then
  vocabulary=400 layers=2 channels=64 heads=2 context=64
elif [ "$bytes" -lt 300000 ]; then
  vocabulary=512 layers=4 channels=96 heads=3
elif [ "$bytes" -lt 3000000 ]; then
  vocabulary=1024 layers=4 channels=128 heads=4
elif [ "$bytes" -lt 50000000 ]; then
  vocabulary=2048 layers=4 channels=192 heads=6
else
  vocabulary=8192 layers=6 channels=256 heads=8
fi

learning_rate=3e-3
if [ -n "$floor" ]; then  # a small, regular language: configs/tiny_sample.textproto was tuned on it
  vocabulary=1024 layers=3 channels=128 heads=4 learning_rate=6e-3
fi

# train_tokenizer SIZE: fails with the reason in tokenizer.log.
train_tokenizer() {
  "$ingot" tokenizer train --input "${inputs[@]}" --vocab-size "$1" --output "$run/tokenizer" 2>"$run/tokenizer.log"
}

headline "Tokenizer: $vocabulary tokens"
if ! train_tokenizer $vocabulary; then
  # A text that repeats itself bears fewer tokens than its size suggests; then it gets as many as it bears.
  most=$(sed -n 's/.*supports at most \([0-9]*\).*/\1/p' "$run/tokenizer.log")
  if [ -z "$most" ] || ! train_tokenizer "$most"; then
    cat "$run/tokenizer.log" >&2
    exit 1
  fi
fi

headline "Token shards"
"$ingot" data build --input "${inputs[@]}" --tokenizer "$run/tokenizer" --output "$run/data" \
  --validation-fraction 0.05 | tee "$run/data.log"
tokens=$(awk '$1 == "training" { print $2 }' "$run/data.log")

cat >"$run/config.textproto" <<CONFIG
# Made by tools/quickstart.sh; every field is explained in configs/ingot.proto.
model {
  architecture: llama
  layers: $layers
  channels: $channels
  heads: $heads
  feed_forward: $((channels * 8 / 3 / 32 * 32))
}
data { path: "$run/data" sequence_length: $context }
training { steps: 20 micro_batch: 4 seed: 1 }
optimizer { learning_rate: $learning_rate }
schedule { kind: cosine warmup_steps: 10 }
validation { every: 100 tokens: 32768 }
checkpoint { every: 200 keep_last: 2 }
CONFIG

headline "Pre-training: about $MINUTES minutes"
# A trial of 20 steps tells this machine's speed; the length of the run follows from it.
"$ingot" train --config "$run/config.textproto" --set validation.tokens=2048 --output "$run/trial" >/dev/null
speed=$(sed -n 's/.*"tokens_per_second": *\([0-9.eE+]*\).*/\1/p' "$run/trial/metrics.jsonl" |
  awk 'NR > 1 { seconds += 1 / $1 } END { print (NR - 1) / seconds }')  # the first step still warms up
rm -r "$run/trial"
steps=$(awk -v speed="$speed" -v minutes="$MINUTES" -v tokens="$tokens" -v step=$((4 * context)) 'BEGIN {
  steps = 0.9 * speed * minutes * 60 / step    # a tenth of the time is for validation and checkpoints
  most = 12 * tokens / step                    # more passes over the same text only learn it by heart
  if (steps > most) steps = most
  printf "%d", steps < 100 ? 100 : steps
}')
sed -i -e "s/steps: 20 /steps: $steps /" -e "s/warmup_steps: 10 /warmup_steps: $((steps / 20)) /" \
  -e "s/every: 100 /every: $((steps / 8 + 1)) /" "$run/config.textproto"
"$ingot" train --config "$run/config.textproto" --output "$run/run"
checkpoint=$(find "$run/run/checkpoints" -maxdepth 1 -name 'step-*' | sort | tail -n 1)

headline "Evaluation on text that was not trained on"
figures=$("$ingot" eval --checkpoint "$checkpoint" --data "$run/data" --json)
bits=$(json_number bits_per_byte <<<"$figures")
printf 'validation: loss %.4f, %.4f bits per byte\n' "$(json_number loss <<<"$figures")" "$bits"
if [ -n "$floor" ]; then
  awk -v bits="$bits" -v floor="$floor" 'BEGIN {
    printf "floor: %.4f bits per byte (entropy of the sample language); the model is %.1f %% above it\n",
           floor, 100 * (bits / floor - 1) }'
fi

headline "A sample"
"$ingot" generate --checkpoint "$checkpoint" --prompt "The" --max-tokens 120 --temperature 0.8 --seed 1

headline "What you have now"
cat <<EOT
In $run:
  run/checkpoints/${checkpoint##*/}  the model: AutoModelForCausalLM.from_pretrained(...) of transformers opens it
  run/metrics.jsonl          the curves, also as TensorBoard events beside it
  tokenizer, data            tokenizer and token shards
  config.textproto           what was trained, and how

Next:
  build/release/ingot generate --checkpoint $checkpoint --prompt "Once"
  build/release/ingot train --config $run/config.textproto --output $run/run --set training.steps=$((steps * 2))
  build/release/ingot export --checkpoint $checkpoint --format hf --dtype bf16 --output runs/my-model
  larger models: configs/*.textproto; every setting: configs/ingot.proto; the whole picture: docs/architecture.md
EOT
