"""Does the service stay as it is under load for long? No error, no lost event, no growth of memory.

Reads and writes (one in ten) arrive at 70 % of the rate that the same client reached before, on the same
cores. Every minute ``shortlist refresh`` trains on the events, publishes, and the service takes the new
version. At the end, every acknowledged event must be in the store. ``--minutes`` says how long.
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from common import write

import shortlist as sl

PORT, CONNECTIONS, WRITES, LOAD = 8973, 32, 0.1, 0.7
CALIBRATION_SECONDS, SWAP_SECONDS, SAMPLE_SECONDS = 15, 60, 5


class Client:
    """Keeps connections busy, and counts.

    Args:
        items: ids that events are about.
    """

    def __init__(self, items: list[str]) -> None:
        self.items, self.random = items, random.Random(0)
        self.seconds: list[float] = []
        self.acknowledged: list[str] = []
        self.errors: dict[str, int] = {}
        self.sent = 0

    async def run(self, seconds: float, rate: float | None) -> float:
        """Ask for some time, as fast as it goes or at a rate; how many answers a second came."""
        until, before, start = time.perf_counter() + seconds, self.sent, time.perf_counter()
        tasks = [self._lane(n, until, rate) for n in range(CONNECTIONS)]
        await asyncio.gather(*tasks)
        return (self.sent - before) / (time.perf_counter() - start)

    async def _lane(self, lane: int, until: float, rate: float | None) -> None:
        pause = 0.0 if rate is None else CONNECTIONS / rate
        due = time.perf_counter() + pause * lane / CONNECTIONS
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        while due < until and time.perf_counter() < until:
            if pause:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
            start = time.perf_counter()
            try:
                await self._one(reader, writer)
            except (OSError, ValueError, asyncio.IncompleteReadError) as error:
                self._failed(type(error).__name__)
                reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
            self.seconds.append(time.perf_counter() - start)
            due = max(due + pause, time.perf_counter() - 1)  # no burst after a long stop
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        user, event_id = str(self.random.randint(1, 671)), None
        path, body = "/recommend", {"user_id": user, "k": 10}
        if self.random.random() < WRITES:
            event_id = f"{self.random.getrandbits(96):x}"
            item = self.random.choice(self.items)
            event = {"event": "watch", "user_id": user, "item_id": item, "event_id": event_id}
            path, body = "/events", {"events": [event]}
        content = json.dumps(body).encode()
        writer.write(
            b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%s" % (path.encode(), len(content), content)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
        self.sent += 1
        if (status := head.split(b" ", 2)[1]) != b"200":
            self._failed(f"{path} {status.decode()}")
        elif event_id is not None:
            self.acknowledged.append(event_id)

    def _failed(self, what: str) -> None:
        self.errors[what] = self.errors.get(what, 0) + 1


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="not used: the data is bundled")
    parser.add_argument("--minutes", type=float, default=30.0)
    minutes = parser.parse_args().minutes
    data = sl.datasets.movielens()
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "movies.bundle"
        made = sl.Recommender([sl.retrieval.EASE()], rank=sl.ranking.Boosted())
        made.fit(data).save(bundle)
        items = data.catalogue.table["item_id"].cast(str).to_list()
        first = _megabytes(bundle)
        server = subprocess.Popen(
            [sys.executable, "-m", "shortlist", "serve", str(bundle), "--port", str(PORT), "--no-access-log"],
            stderr=(Path(folder) / "log").open("wb"),
        )  # fmt: skip
        try:
            results = asyncio.run(_soaked(server, bundle, items, minutes * 60))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
        results |= _kept(bundle, results.pop("acknowledged"))
        log = [json.loads(line) for line in (Path(folder) / "log").read_text().splitlines()]
        results["log_errors"] = sum(line.get("level") == "error" for line in log)
        results["swaps"] = sum(line["event"] == "reloaded" for line in log)
        results["exit_code"] = server.returncode
        # the rows learned from grow, and so does what is mapped
        results["bundle_mb_first_and_last"] = [first, _megabytes(bundle)]
    claim = "Under 70 % load with 10 % writes, trained again and swapped about every minute: errors, lost events, growth of memory"
    write("serving_soak", claim, results)


async def _soaked(
    server: "subprocess.Popen[bytes]", bundle: Path, items: list[str], seconds: float
) -> dict[str, Any]:
    await _ready()
    client = Client(items)
    reached = await client.run(CALIBRATION_SECONDS, None)
    client.seconds.clear()
    memory: list[tuple[float, int, int]] = []
    stop = asyncio.Event()
    beside = [
        asyncio.create_task(_sampled(server.pid, memory, stop)),
        asyncio.create_task(_refreshed(bundle, stop)),
    ]
    rate = await client.run(seconds, LOAD * reached)
    stop.set()
    _, refreshes = await asyncio.gather(*beside)
    ordered = sorted(client.seconds)
    return {
        "minutes": seconds / 60,
        "requests_per_second_reached_before": round(reached),
        "requests_per_second": round(rate),
        "requests": client.sent,
        "errors": client.errors,
        "milliseconds_p50": round(1000 * ordered[len(ordered) // 2], 2),
        "milliseconds_p99": round(1000 * ordered[int(len(ordered) * 0.99)], 2),
        "milliseconds_most": round(1000 * ordered[-1], 2),
        "refreshes": refreshes,
        "growth_percent": _growth([total for _, total, _ in memory]),
        "anonymous_growth_percent": _growth([anonymous for _, _, anonymous in memory]),
        "resident_mb_and_anonymous_by_minute": _by_minute(memory),
        "acknowledged": client.acknowledged,
    }


async def _ready() -> None:
    for _ in range(600):
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=5)
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == 200:
                return
        await asyncio.sleep(0.1)
    msg = "the service did not start"
    raise SystemExit(msg)


async def _sampled(pid: int, memory: list[tuple[float, int, int]], stop: asyncio.Event) -> None:
    start = time.perf_counter()
    while not stop.is_set():
        told = dict(
            line.split(":", 1)
            for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
            if line.startswith(("VmRSS", "RssAnon"))
        )
        total, anonymous = (int(told[name].split()[0]) for name in ("VmRSS", "RssAnon"))
        memory.append((time.perf_counter() - start, total, anonymous))
        if len(memory) % 12 == 0:
            print(f"{total / 1024:.1f} MB, {anonymous / 1024:.1f} anonymous", file=sys.stderr)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), SAMPLE_SECONDS)


async def _refreshed(bundle: Path, stop: asyncio.Event) -> int:
    count, due = 0, time.perf_counter()
    while True:
        due = max(due + SWAP_SECONDS, time.perf_counter())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), due - time.perf_counter())
        if stop.is_set():
            return count
        words = [
            "refresh",
            str(bundle),
            "--force",
            "--held-back",
            "0.0001",
            "--keep",
            "3",
        ]  # unjudged: one fit
        made = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "shortlist", *words,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=lambda: os.nice(10),
        )  # fmt: skip
        count += await made.wait() == 0


def _growth(samples: list[int]) -> float:
    # the first fifth fills what is filled once (caches, the first swaps): from the second to the last
    fifth = max(1, len(samples) // 5)
    first, last = median(samples[fifth : 2 * fifth]), median(samples[-fifth:])
    return round(100 * (last / first - 1), 2)


def _by_minute(memory: list[tuple[float, int, int]]) -> list[list[float]]:
    last = {
        int(seconds // 60): [round(total / 1024, 1), round(anonymous / 1024, 1)]
        for seconds, total, anonymous in memory
    }
    return [last[minute] for minute in sorted(last)]


def _megabytes(bundle: Path) -> float:
    version = (bundle / "CURRENT").read_text("ascii").split()[0]
    files = (bundle / "versions" / version).rglob("*")
    return round(sum(one.stat().st_size for one in files if one.is_file()) / 2**20, 1)


def _kept(bundle: Path, acknowledged: list[str]) -> dict[str, int]:
    db = sqlite3.connect(bundle.with_name("movies.state") / "events.sqlite")
    there = {row[0] for row in db.execute("SELECT event_id FROM events")}
    db.close()
    return {
        "events_acknowledged": len(acknowledged),
        "events_lost": len(set(acknowledged) - there),
    }


if __name__ == "__main__":
    main()
