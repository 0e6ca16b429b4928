#!/bin/sh
# Everything that needs an NVIDIA card, in ten minutes, on a machine that has one, from anywhere:
#   tests/gpu/run.sh [PYTHON]        (else .venv/bin/python, else python3; it needs a CUDA build of torch)
# JSON files and one log are written to $OUT, else to ./gpu-results. Each part has its own time; one that fails or runs out
# of it doesn't stop the others. Ends with 0 when every part did.
set -u
cd "$(dirname "$0")/../.." || exit 1
python=${1:-.venv/bin/python}
[ -x "$python" ] || python=python3
out=${OUT:-gpu-results}
mkdir -p "$out"
out=$(cd "$out" && pwd)
export PYTHONUNBUFFERED=1 PYTORCH_CUDA_ALLOC_CONF="${PYTORCH_CUDA_ALLOC_CONF:-expandable_segments:True}"
export HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error TOKENIZERS_PARALLELISM=false
failed=0
: >"$out/log.txt"

part() { # part NAME SECONDS COMMAND...
  name=$1 limit=$2
  shift 2
  echo "== $name (at most $limit s)"
  timeout --kill-after=10 "$limit" "$@" >"$out/last.log" 2>&1
  status=$?
  { echo "== $name ended with $status"; cat "$out/last.log"; } >>"$out/log.txt"
  echo "   ended with $status"
  if [ "$status" -ne 0 ]; then
    failed=1
    tail -n 15 "$out/last.log"
  fi
  rm -f "$out/last.log"
}

part tests 130 "$python" -m pytest tests/gpu -m gpu -q -p no:cacheprovider --timeout 100
part recovery 45 "$python" -m tests.gpu.measure recovery --out "$out"
part peaks 210 "$python" -m tests.gpu.measure peaks --out "$out" --seconds 180
part fits 90 "$python" -m tests.gpu.measure fits --out "$out" --seconds 70
part answers 110 "$python" -m tests.gpu.measure answers --out "$out" --seconds 90 --workers "${WORKERS:-8}"
for file in "$out"/*.json; do
  [ -f "$file" ] && "$python" - "$file" <<'SHOW'
import json, sys
found = json.load(open(sys.argv[1]))
print(found["part"], json.dumps({k: v for k, v in found.items() if k not in ("runs", "part")}))
SHOW
done
exit $failed
