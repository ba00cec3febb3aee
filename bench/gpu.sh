#!/usr/bin/env bash
# Tests and benchmark on a machine with one GPU, in at most ten minutes, without a network:
#     OUT=folder [WHEELS=folder] [TOKENIZER=folder] [DATA=folder of CoNLL-2003] [TEXT="news/*.txt"] bench/gpu.sh
# WHEELS: packages that the machine's Python lacks (its torch is used). Without DATA and TEXT, the embedded corpus is
# repeated. Leaves `tests.log`, `bench.log` and the tables in OUT.
set -uo pipefail
cd "$(dirname "$0")/.."
: "${OUT:?set OUT to a folder}" "${WHEELS:=}" "${TOKENIZER:=minilm-l6}" "${DATA:=}" "${TEXT:=}" "${ONLY:=}" "${TESTS:=tests/gpu}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
if [ -n "$WHEELS" ]; then
    python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$work/site" "$WHEELS"/*.whl || exit
    export PYTHONPATH="$work/site:$PWD"
else
    export PYTHONPATH="$PWD"
fi
export TORCHINDUCTOR_COMPILE_THREADS=4 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false TORCHINDUCTOR_CACHE_DIR="$work/inductor" PYTHONUNBUFFERED=1
if [ -z "$DATA" ]; then
    DATA="$work/data" TEXT="$work/data/train.txt"
    mkdir "$DATA"
    for split in train dev test; do
        for _ in $(seq 30); do cat "data/newswire-mini/$split.conll"; echo; done > "$DATA/$split.txt"
    done
fi
status=0
if [ -n "$TESTS" ]; then
    parallel="$(python3 -c 'import xdist' 2>/dev/null && echo '-n 8')"
    timeout 240 python3 -m pytest $TESTS -m gpu -rA $parallel > "$OUT/tests.log" 2>&1 || status=$?
    tail -n 60 "$OUT/tests.log"
fi
python3 -m bench.gpu --data_dir "$DATA" --text "$TEXT" --tokenizer "$TOKENIZER" --output "$OUT" \
    ${ONLY:+--only $ONLY} 2>&1 | tee "$OUT/bench.log" || status=$?
exit $status
