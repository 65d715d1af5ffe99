#!/usr/bin/env bash
# What a GPU shows, in under 8 minutes: correctness first, then figures, each step under a time limit of its own.
#   benchmarks/gpu.sh OUT [--tiny]      JSON of each step lies in OUT; --tiny runs all but the encoders on a CPU
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:?"usage: benchmarks/gpu.sh OUT [--tiny]"}; mkdir -p "$out"
python=${PYTHON:-python3}
status=0
step() { # seconds, name, command…
  local limit=$1 name=$2; shift 2
  echo "== $name"; local started=$SECONDS
  timeout --kill-after=5 "$limit" "$@" || { echo "== $name ended with status $?"; status=1; }
  echo "== $name took $((SECONDS - started)) s"
}
if [ "${2:-}" = --tiny ]; then
  step 120 equality "$python" benchmarks/device_equality.py --device cpu --json "$out/equality.json"
  step 120 decoder "$python" benchmarks/decoder_gpu.py --device cpu --tiny --json "$out/decoder.json"
  exit $status
fi
step 75 equality "$python" benchmarks/device_equality.py --json "$out/equality.json"
step 150 decoder "$python" benchmarks/decoder_gpu.py --tokens 4096 --most-videos 4 --ways segments plain "segments, layers recomputed" "segments, compiled" --json "$out/decoder.json"
step 110 encoders "$python" benchmarks/encoders.py --videos 32 --json "$out/encoders.json"
exit $status
