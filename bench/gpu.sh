#!/usr/bin/env bash
# Benchmark and tests on a machine with one GPU, in at most ten minutes, without a network:
#     OUT=folder [WHEELS=folder] [TOKENIZER=folder] [DATA=folder of CoNLL-2003] [TEXT="news/*.txt"] bench/gpu.sh
# WHEELS: packages that the machine's Python lacks; its torch is used. Without DATA, the embedded corpus is repeated.
# ONLY="mlm-bert-base ..." measures some tables; COMMIT names the code where there is no git.
# Leaves the tables, `bench.log` and `tests.log` in OUT, also if the time runs out.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
: "${OUT:?set OUT to a folder}" "${WHEELS=}" "${TOKENIZER=minilm-l6}" "${DATA=}" "${TEXT=}" "${ONLY=}"
python="${PYTHON:-python3}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
export PYTHONPATH="$PWD"
if [ -n "$WHEELS" ]; then
    "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$work/site" \
        "$WHEELS"/*.whl || exit
    export PYTHONPATH="$work/site:$PWD"
fi
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false PYTHONUNBUFFERED=1
export TORCHINDUCTOR_CACHE_DIR="$work/inductor" TORCHINDUCTOR_COMPILE_THREADS=4
if [ -z "$DATA" ]; then
    DATA="$work/data"
    mkdir "$DATA"
    for split in train dev test; do
        for _ in $(seq 30); do cat "data/newswire-mini/$split.conll"; echo; done > "$DATA/$split.txt"
    done
fi
status=0
# shellcheck disable=SC2086  # ONLY is a list
timeout 400 "$python" -m bench.gpu --data_dir "$DATA" --text "${TEXT:-$DATA/train.txt}" --tokenizer "$TOKENIZER" \
    --output "$OUT" ${ONLY:+--only $ONLY} > "$OUT/bench.log" 2>&1 || status=$?
tail -n 20 "$OUT/bench.log"
parallel="$("$python" -c 'import xdist' 2>/dev/null && echo '-n 8')"
# shellcheck disable=SC2086
timeout 170 "$python" -m pytest tests/gpu -m gpu -rA $parallel > "$OUT/tests.log" 2>&1 || status=$?
tail -n 40 "$OUT/tests.log"
exit $status
