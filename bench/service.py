"""Load on the service of docs/serving.md: requests of mixed length, several at a time, some of them malformed.

python -m bench.service runs/ner/name

Writes `results/serving/service.json`: latencies, and the memory of the service before and after.
"""

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from recipe.hub.provenance import describe_hardware, find_commit
from recipe.inference.tagger import Tagger

PAGE = Path(__file__).parents[1] / "docs" / "serving.md"
RESULT = Path("results/serving/service.json")
SENTENCES = (
    "Mara Okello left Oslo on Monday to join the Norvik shipyard in Lima.",
    "The Danish engineers of Brightwater Energy met Teresa Lindqvist in Nairobi.",
    "Ferries sail at dawn.",
    "No.",
)
LENGTHS = (1, 2, 3, 8, 40)  # sentences in a text, in turn
MALFORMED: tuple[bytes, ...] = (
    b"",
    b"{",
    b"[]",
    b'{"text": 5}',
    b'{"words": "Oslo"}',
    b'{"text": "\xff"}',
    b'{"text": "\\ud800"}',
    json.dumps({"text": "Oslo " * 3000}).encode(),
    json.dumps({"text": "Oslo " * 40_000}).encode(),
)
EVERY = 20  # one request in so many is malformed


class Answer(NamedTuple):
    """The status and body of an answer, and the seconds it took."""

    status: int
    body: Any
    seconds: float


def read_service() -> str:
    """The program in docs/serving.md."""
    [program] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return program


@contextmanager
def run_service(model: str | Path) -> Iterator[tuple[str, int]]:
    """The service with a model, until the block ends: its address and process id."""
    with TemporaryDirectory() as folder, socket.socket() as free:
        (Path(folder) / "service.py").write_text(read_service(), encoding="utf-8")
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
        free.close()
        command = [sys.executable, "-m", "uvicorn", "service:app", "--port", str(port), "--log-level", "warning"]
        environment = os.environ | {"MODEL": str(Path(model).resolve())}
        environment["PYTHONPATH"] = os.pathsep.join([str(PAGE.parents[1]), environment.get("PYTHONPATH", "")])
        with subprocess.Popen(command, cwd=folder, env=environment) as process:
            try:
                _wait(process, port)
                yield f"http://localhost:{port}/tag", process.pid
            finally:
                process.terminate()


def _wait(process: subprocess.Popen, port: int, seconds: float = 120) -> None:
    """Wait until a port is open. Raises RuntimeError if the process ends before, or after `seconds`."""
    for _ in range(int(seconds * 10)):
        if process.poll() is not None:
            break
        with socket.socket() as probe:
            if not probe.connect_ex(("localhost", port)):
                return
        time.sleep(0.1)
    raise RuntimeError("the service did not start: see its output above")


def make_texts(count: int) -> list[str]:
    """Texts of mixed length."""
    sentences = cycle(SENTENCES)
    return [" ".join(islice(sentences, number)) for number in islice(cycle(LENGTHS), count)]


def make_bodies(texts: Sequence[str]) -> list[bytes]:
    """A request for each text, of which each `EVERY`-th is malformed instead."""
    bad = cycle(MALFORMED)
    return [json.dumps({"text": text}).encode() if (n + 1) % EVERY else next(bad) for n, text in enumerate(texts)]


def post(url: str, body: bytes) -> Answer:
    """Send a request."""
    started = time.perf_counter()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            status, content = response.status, json.load(response)
    except urllib.error.HTTPError as error:
        status, content = error.code, error.read().decode(errors="replace")
    return Answer(status, content, time.perf_counter() - started)


def post_all(url: str, bodies: Sequence[bytes], at_once: int = 16) -> list[Answer]:
    """Send requests, several at a time."""
    with ThreadPoolExecutor(at_once) as workers:
        return list(workers.map(lambda body: post(url, body), bodies))


def read_memory(process: int) -> float:
    """The resident memory of a process, in MB (Linux)."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1e3


def check(tagger: Tagger, texts: Sequence[str], answers: Sequence[Answer]) -> list[str]:
    """What is wrong with the answers: good requests must be answered as the tagger does, malformed ones with 4xx."""
    expected = {text: [[*entity[:4]] for entity in found] for text, found in zip(texts, tagger(texts), strict=True)}
    wrong = []
    for number, (text, answer) in enumerate(zip(texts, answers, strict=True), 1):
        if number % EVERY == 0:
            right = 400 <= answer.status < 500
        else:
            keys = ("start", "end", "text", "type")
            right = answer.status == 200 and expected[text] == [[one[key] for key in keys] for one in answer.body]
        if not right:
            wrong.append(f"request {number}: {answer.status} {str(answer.body)[:200]}")
    return wrong


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the folder of a run or of an export")
    parser.add_argument("--requests", type=int, default=1000)
    args = parser.parse_args()
    texts = make_texts(args.requests)
    with run_service(args.model) as (url, process):
        post_all(url, make_bodies(texts[:100]))  # warm-up
        before = read_memory(process)
        started = time.perf_counter()
        answers = post_all(url, make_bodies(texts))
        seconds, after = time.perf_counter() - started, read_memory(process)
    wrong = check(Tagger.load(args.model), texts, answers)
    if wrong:
        raise SystemExit("\n".join(wrong[:20]))
    good = [1000 * answer.seconds for number, answer in enumerate(answers, 1) if number % EVERY]
    result = {"model": "/".join(Path(args.model).parts[-3:]), "requests": args.requests, "at_once": 16}
    result |= {"malformed": args.requests // EVERY, "requests_per_second": round(args.requests / seconds, 1)}
    result |= {"p50_ms": round(statistics.median(good), 1), "p99_ms": round(statistics.quantiles(good, n=100)[98], 1)}
    result |= {
        "memory_before": before,
        "memory_after": after,
        "hardware": describe_hardware(0),
        "commit": find_commit(),
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
