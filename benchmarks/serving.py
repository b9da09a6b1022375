"""Requests a second and their latency, with the load generator on the same cores; a plain peer beside.

Needs wrk (Debian package ``wrk``) and, for the peer, FastAPI. Two stages: EASE, or ALS, proposes 200, boosted trees
rank them; one stage: two towers of ids, or ALS over histories. Random users of the bundled data, seen items excluded, nothing cached. The peer
is FastAPI on uvicorn with the exact top 10 of as many items by one product of vectors, which excludes nothing.
"""

import contextlib
import http.client
import importlib.util
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import write

import shortlist as sl

CONNECTIONS, SECONDS, STEADY = 64, 15, 300
SCRIPT = """
math.randomseed({seed})
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function()
  return wrk.format(nil, "/recommend", nil, '{{"user_id":"' .. math.random(1, 671) .. '","k":10,"explain":{explain}}}')
end
"""
PEER = """
import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

rng = np.random.default_rng(0)
users = rng.normal(size=(672, 64)).astype(np.float32)
items = rng.normal(size=(9066, 64)).astype(np.float32)
titles = [f"Item {n} (1999)" for n in range(9066)]
app = FastAPI()

class Asked(BaseModel):
    user_id: str
    k: int = 10

@app.get("/health/ready")
def ready() -> dict[str, str]:
    return {"status": "ready"}

@app.post("/recommend")
async def recommend(asked: Asked) -> dict[str, object]:
    scores = items @ users[int(asked.user_id)]
    some = np.argpartition(-scores, asked.k)[: asked.k]
    rows = some[np.argsort(-scores[some], kind="stable")]
    return {"recommendations": [
        {"rank": n, "item_id": str(row), "title": titles[row], "score": float(scores[row]), "source": "als"}
        for n, row in enumerate(rows, start=1)]}

uvicorn.run(app, port=PORT, log_level="error", access_log=False)
"""
PORT = 8971


def main() -> None:
    """Measure, print and keep."""
    if shutil.which("wrk") is None:
        print(
            "wrk is not installed (Debian package wrk); nothing was measured", file=sys.stderr
        )
        raise SystemExit(2)
    results: dict[str, Any] = {"connections": CONNECTIONS, "seconds": SECONDS}
    with tempfile.TemporaryDirectory() as folder:
        for name, bundle in _bundles(Path(folder)).items():
            command = _command(bundle)
            results[name] = _measured(
                command, Path(folder), steady=name.startswith("two stages")
            )
            if name == "two stages":
                results["two stages, two workers"] = _measured(
                    [*command, "--workers", "2"], Path(folder), steady=True
                )
        if importlib.util.find_spec("fastapi") is None:
            results["peer"] = "FastAPI is not installed"
        else:
            script = Path(folder) / "peer.py"
            script.write_text(PEER.replace("PORT", str(PORT)))
            results["peer"] = _measured(
                [sys.executable, str(script)], Path(folder), steady=False
            )
            results["one stage over peer, processor time"] = round(
                results["peer"]["processor ms a request"]
                / results["one stage"]["processor ms a request"],
                2,
            )
            results["one stage over peer, requests"] = round(
                results["one stage"]["requests a second"]
                / results["peer"]["requests a second"],
                2,
            )
    results["load of the machine before"] = LOAD
    write(
        "serving",
        "two stages: at least 1,000 requests/s, p99 under 80 ms; 300/s: p99 under 10 ms",
        results,
    )


def _bundles(folder: Path) -> dict[str, Path]:
    data = sl.datasets.movielens()
    made = {}
    for name, retriever, ranker in (
        ("two stages", sl.retrieval.EASE(), sl.ranking.Boosted()),
        ("two stages, ALS", sl.retrieval.ALS(), sl.ranking.Boosted()),
        (
            "one stage",  # what the peer does: a vector for each user, a product with all items
            sl.retrieval.TwoTower(dim=64, user=["user_id"], item=["item_id"], epochs=3),
            None,
        ),
        ("one stage, histories", sl.retrieval.ALS(), None),
    ):
        made[name] = folder / f"{name.replace(' ', '-').replace(',', '')}.bundle"
        sl.Recommender(retrieve=[retriever], rank=ranker).fit(data).save(made[name])
    return made


def _measured(command: list[str], folder: Path, *, steady: bool) -> dict[str, Any]:
    start = time.perf_counter()
    with _started(command) as process:
        ready = time.perf_counter() - start
        _wrk(folder, 2)
        before = _processor(process.pid)
        found = _wrk(folder, SECONDS)
        spent = _processor(process.pid) - before
        found["processor ms a request"] = round(1000 * spent / found["requests"], 3)
        found["seconds from start to ready"] = round(ready, 2)
        found["resident MB"] = resident(process.pid)
        if steady:
            found[f"at about {STEADY} requests a second"] = _wrk(folder, SECONDS, rate=STEADY)
            found["with reasons"] = _wrk(folder, SECONDS, explain=True)
    return found


@contextlib.contextmanager
def _started(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    if "shortlist" not in command:
        environment["OMP_NUM_THREADS"] = "1"  # as the service does for itself
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment) as process:
        try:
            while not _is_ready():
                if process.poll() is not None:
                    msg = f"{command} ended with {process.returncode}"
                    raise RuntimeError(msg)
                time.sleep(0.01)
            yield process
        finally:
            process.terminate()


def started(bundle: Path) -> contextlib.AbstractContextManager["subprocess.Popen[bytes]"]:
    """A service over a bundle, ready; it is told to stop at the end."""
    return _started(_command(bundle))


def _command(bundle: Path) -> list[str]:
    quiet = ["--port", str(PORT), "--no-access-log"]  # as the peer is run
    return [sys.executable, "-m", "shortlist", "serve", str(bundle), *quiet]


def _is_ready() -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=5)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False


def _wrk(
    folder: Path, seconds: int, *, rate: int | None = None, explain: bool = False
) -> dict[str, Any]:
    script = folder / "ask.lua"
    asked = {"explain": "true" if explain else "false"}
    written = SCRIPT.format(seed=random.randint(0, 10**9), **asked)
    if (
        rate is not None
    ):  # each connection thinks between its requests, on average for its share
        think = 2000 * CONNECTIONS // rate
        written += f"delay = function() return math.random(0, {think}) end\n"
    script.write_text(written)
    told = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(script),
         f"http://127.0.0.1:{PORT}/recommend"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", told)
    return {
        "requests": int(re.search(r"(\d+) requests in", told)[1]),  # type: ignore[index]
        "requests a second": float(re.search(r"Requests/sec: +([\d.]+)", told)[1]),  # type: ignore[index]
        "p50 ms": _milliseconds(told, "50"),
        "p99 ms": _milliseconds(told, "99"),
        "errors": int(wrong[1]) if wrong else 0,
    }


def _milliseconds(told: str, percent: str) -> float:
    found = re.search(rf" {percent}% +([\d.]+)(us|ms|s)", told)
    scale = {"us": 0.001, "ms": 1.0, "s": 1000.0}
    return round(float(found[1]) * scale[found[2]], 2)  # type: ignore[index]


def _processor(pid: int) -> float:
    ticks = 0
    for one in _family(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Megabytes that a process and its workers hold, what they share counted in each."""
    found = [
        re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{one}/status").read_text())
        for one in _family(pid)
    ]
    return sum(int(one[1]) for one in found if one) // 1024


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


LOAD = round(os.getloadavg()[0], 2)

if __name__ == "__main__":
    main()
