#!/bin/bash
# The full-size checks of the gpu device, on a machine with a GPU, node, and python3 with torch, transformers and safetensors:
#
#   tools/gpu-checks.sh                                                               every step in order
#   tools/gpu-checks.sh synth-cut cut & tools/gpu-checks.sh synth truth full; wait    the slow reference beside the rest
#
# synth-cut 2.1 GB, two layers of gpt-oss-20b's shape, random weights    synth 12 GB, all its layers, routers that decide
# cut-truth, truth  transformers' logits of them in float32
# shallow, full     gpu against those, prompts of 1, 17, 300 and 5000        cut  gpu against our reference, prompts of 1 and 17
#
# Through 24 layers with routers of random weights, hence undecided, errors of 1e-4 in activations become other experts' answers
# (1e-2 to 3e-1 in the logits) at some rows: to compare such a checkpoint, give `--precision exact` and read the column `half`.
#
# Files go to $CHECKS (/tmp/minerva-checks) and are kept; $PYTHON and $DEVICE (gpu) name others. Exit code 1 if a step fails.
cd "$(dirname "$0")/.." || exit 2
files=${CHECKS:-/tmp/minerva-checks} device=${DEVICE:-gpu} summary=""
mkdir -p "$files"
export PYTHONUNBUFFERED=1

step() { # limit in seconds, command
  local start=$SECONDS status=0
  echo "== $name: ${*:2}"
  timeout "$@" || status=$?
  summary+=$(printf '%-10s %4d s  %s' "$name" $((SECONDS - start)) "$([ $status = 0 ] && echo ok || echo "FAILED ($status)")")$'\n'
}

for name in ${*:-synth-cut cut-truth shallow synth truth full cut}; do
  case $name in
    synth-cut) rm -rf "$files/cut" && step 60 node dist/bundle/cli/main.js synth --preset gpt-oss-20b --layers 2 --out "$files/cut" ;;
    cut-truth) step 90 "${PYTHON:-python3}" tools/reference/full_logits.py "$files/cut" --out "$files/cut-truth.safetensors" ;;
    shallow) step 90 node tools/compare-logits.mjs "$files/cut" --device "$device" --truth "$files/cut-truth.safetensors" ;;
    synth) rm -rf "$files/full" && step 180 node dist/bundle/cli/main.js synth --preset gpt-oss-20b --routers decided --out "$files/full" ;;
    truth) step 180 "${PYTHON:-python3}" tools/reference/full_logits.py "$files/full" --out "$files/truth.safetensors" ;;
    full) step 180 node tools/compare-logits.mjs "$files/full" --device "$device" --truth "$files/truth.safetensors" ;;
    cut) step 240 node tools/compare-logits.mjs "$files/cut" --device "$device" --against reference --lengths 1,17 ;;
    *) echo "no step $name" && exit 2 ;;
  esac
done
printf '\n%s' "$summary"
[[ $summary != *FAILED* ]]
