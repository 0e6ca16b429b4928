#!/bin/sh
# Everything that needs an NVIDIA card, from anywhere, on a machine that has one. All parts take up to thirteen minutes, and on an
# H200 five shapes of "peaks" take more than the part has: name parts, and give SHAPES, LENGTHS, and TESTS, PEAKS and SPEED (seconds).
#   tests/gpu/run.sh [PYTHON [PART...]]   (else .venv/bin/python, else python3; it needs a CUDA build of torch)
# Parts, in this order unless others are named: imports tests peaks speed recovery fits context answers. And: look offload streamed.
# JSON files and one log are written to $OUT, else to ./gpu-results. Each part has its own time; one that fails or runs out
# of it doesn't stop the others, but when imports fails nothing else is tried. Ends with 0 when every part did.
set -u
cd "$(dirname "$0")/../.." || exit 1
python=${1:-.venv/bin/python}
[ $# -gt 0 ] && shift
command -v "$python" >/dev/null || python=python3
[ $# -gt 0 ] || set -- imports tests peaks speed recovery fits context answers
out=${OUT:-gpu-results}
mkdir -p "$out"
out=$(cd "$out" && pwd)
export PYTHONUNBUFFERED=1 PYTORCH_CUDA_ALLOC_CONF="${PYTORCH_CUDA_ALLOC_CONF:-expandable_segments:True}"
export HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 USE_HUB_KERNELS=0 TRANSFORMERS_VERBOSITY=error TOKENIZERS_PARALLELISM=false
failed=0
: >"$out/log.txt"

part() { # part NAME SECONDS COMMAND...
  name=$1 limit=$2
  shift 2
  echo "== $name (at most $limit s)"
  began=$(date +%s)
  timeout --kill-after=10 "$limit" "$@" >"$out/last.log" 2>&1
  status=$?
  { echo "== $name ended with $status"; cat "$out/last.log"; } >>"$out/log.txt"
  echo "   ended with $status after $(($(date +%s) - began)) s"
  if [ "$status" -ne 0 ]; then
    failed=1
    tail -n 25 "$out/last.log"
  elif [ "$name" = imports ]; then
    cat "$out/last.log"
  fi
  rm -f "$out/last.log"
  [ "$name" != imports ] || [ "$status" -eq 0 ] || exit 1
}

measure() { # measure PART SECONDS [OPTION...]: begins nothing new 15 seconds before its time is over
  name=$1 seconds=$2
  shift 2
  part "$name" "$seconds" "$python" -m tests.gpu.measure "$name" --out "$out" --seconds $((seconds - 15)) "$@"
}

for wanted in "$@"; do
  case $wanted in
    imports) part imports 110 "$python" -m tests.gpu.imports ;;
    # addopts would leave these tests out, and insist on plug-ins that they don't need
    tests) part tests 120 "$python" -m pytest tests/gpu/test_cuda.py -o addopts= -m gpu -raP -q -p no:cacheprovider --timeout 60 ;;
    peaks) measure peaks "${PEAKS:-160}" --shapes ${SHAPES:-0.5B 1.2B 1.7B 3B 8B} --lengths ${LENGTHS:-512 2048 4096 8192} ;;
    look) measure look 60 ;;
    speed) measure speed "${SPEED:-130}" ;;
    recovery) measure recovery 40 ;;
    fits) measure fits 75 ;;
    context) measure context 90 ;;
    offload) measure context 150 --offload ;;
    streamed) measure streamed "${STREAMED:-110}" ;;
    answers) measure answers 110 --workers "${WORKERS:-8}" ;;
    *) echo "no part called $wanted"; failed=1 ;;
  esac
done
for file in "$out"/*.json; do
  [ -f "$file" ] && "$python" - "$file" <<'SHOW'
import json, sys
found = json.load(open(sys.argv[1]))
print(found["part"], json.dumps({k: v for k, v in found.items() if k not in ("runs", "part", "fullest")}))
SHOW
done
exit $failed
