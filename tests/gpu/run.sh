#!/bin/sh
# Run what needs an NVIDIA card, on a machine that has one, from anywhere. Needs a CUDA build of torch in the Python
# that is used: the first argument, else .venv/bin/python, else python3. Numbers are printed as JSON lines.
set -eu
cd "$(dirname "$0")/../.."
python=${1:-.venv/bin/python}
[ -x "$python" ] || python=python3
exec "$python" -m pytest tests/gpu -m gpu -s -q -p no:cacheprovider
