#!/usr/bin/env bash
# What a GPU shows: correctness first, then figures, most important first, each step under a time limit of its
# own, 11 minutes together.
#   [STEPS="equality ask …"] benchmarks/gpu.sh OUT [--tiny]
# JSON of each step lies in OUT; STEPS chooses some of them; --tiny runs all but the encoders on a CPU.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:?"usage: benchmarks/gpu.sh OUT [--tiny]"}; mkdir -p "$out"
python=${PYTHON:-python3}
status=0 ran=0 patience=1 small=() ways=() talk=(--full --device cuda)
if [ "${2:-}" = --tiny ]; then
  patience=4 small=(--device cpu --tiny --steps 3 --batch-size 2)
  ways=(--device cpu --ways mmca "4 bits" stopped texts)
  talk=(--tiny)
fi
step() { # seconds, name, command…
  local limit=$(($1 * patience)) name=$2; shift 2
  [[ -z ${STEPS:-} || " $STEPS " == *" $name "* ]] || return 0
  ran=$((ran + 1))
  echo "== $name"; local started=$SECONDS
  timeout --kill-after=5 "$limit" "$@" --json "$out/$name.json" || { echo "== $name ended with status $?"; status=1; }
  echo "== $name took $((SECONDS - started)) s"
}
train() { # seconds, name, options…
  local limit=$1 name=$2; shift 2
  step "$limit" "$name" "$python" benchmarks/decoder_gpu.py "$@" ${small[@]+"${small[@]}"}
}
step 80 equality "$python" benchmarks/device_equality.py ${ways[@]+"${ways[@]}"}
train 130 packed --prediction
train 130 assistant --pipeline vqa2-assistant --steps 5
step 50 ask "$python" benchmarks/ask.py "${talk[@]}"
[ ${#small[@]} = 0 ] && step 55 encoders "$python" benchmarks/encoders.py --videos 8
train 70 released --pipeline lmm-vqa-released --steps 5 --batch-size 64
train 70 plain --way plain --steps 3
train 70 4bit --way 4bit --steps 4
[ "$ran" != 0 ] || { echo "no step is called $STEPS"; status=2; }
exit $status
