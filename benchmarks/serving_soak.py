"""Hours of work in minutes: a steady load with a tenth of writes, and a hot swap every minute.

Nothing may fail, no acknowledged event may be lost, and memory must not grow. ``--rate`` requests a second
for ``--minutes``; a good rate is 70 % of what ``serving.py`` printed for this machine.
"""

import argparse
import asyncio
import json
import random
import re
import tempfile
import time
from pathlib import Path
from typing import Any

from common import write

import serving
import shortlist as sl
from shortlist.serving.sqlite import SqliteStore

CONNECTIONS, WARM_SECONDS, SWAP_SECONDS = 32, 60, 60


def main() -> None:
    """Run, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="not used: the bundled data is")
    parser.add_argument("--rate", type=int, default=300)
    parser.add_argument("--minutes", type=float, default=30)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "movies.bundle"
        recommender = sl.Recommender(
            retrieve=[sl.retrieval.EASE()], rank=sl.ranking.Boosted()
        ).fit(sl.datasets.movielens())
        recommender.save(bundle)
        with serving.started(bundle) as process:
            soak = Soak(given.rate, process.pid)
            asyncio.run(soak.run(60 * given.minutes, recommender, bundle))
        store = SqliteStore(Path(folder) / "movies.state")
        kept = {one.event_id for one in store.events_after(0)}
        store.close()
    soak.told["lost events"] = len(soak.acknowledged - kept)
    soak.told["acknowledged events"] = len(soak.acknowledged)
    write("serving_soak", "no error, no lost event, memory grows by less than 3 %", soak.told)


class Soak:
    """The load, and what came of it."""

    def __init__(self, rate: int, pid: int) -> None:
        self.rate, self.pid = rate, pid
        self.acknowledged: set[str] = set()
        self.errors = self.requests = self.swaps = 0
        self.told: dict[str, Any] = {}

    async def run(self, seconds: float, recommender: sl.Recommender, bundle: Path) -> None:
        """Ask for so many seconds, and swap meanwhile."""
        self._free: asyncio.Queue[Any] = asyncio.Queue()
        for _ in range(CONNECTIONS):
            self._free.put_nowait(await asyncio.open_connection("127.0.0.1", serving.PORT))
        swapping = asyncio.create_task(self._swap(recommender, bundle))
        start, tasks, sizes = time.monotonic(), set(), []
        while (gone := time.monotonic() - start) < seconds:
            due = start + self.requests / self.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(self._one(self.requests))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            self.requests += 1
            if self.requests % (10 * self.rate) == 0:
                sizes.append((gone, serving.resident(self.pid)))
        await asyncio.gather(*tasks)
        swapping.cancel()
        warm = min(WARM_SECONDS, seconds / 3)
        after = sorted(size for at, size in sizes if at >= warm)
        half = [size for at, size in sizes if warm <= at < (warm + seconds) / 2]
        rest = [size for at, size in sizes if at >= (warm + seconds) / 2]
        self.told = {
            "minutes": round(seconds / 60, 1),
            "requests": self.requests,
            "requests a second": self.rate,
            "errors": self.errors,
            "swaps": self.swaps,
            "resident MB, first and second half": [_mean(half), _mean(rest)],
            "growth, percent": round(100 * (_mean(rest) / max(_mean(half), 1) - 1), 2),
            "most resident MB": after[-1] if after else None,
        }

    async def _one(self, number: int) -> None:
        user = random.randint(1, 671)
        if number % 10:
            path, body = "/recommend", {"user_id": str(user), "k": 10}
        else:
            event = {
                "event": "watch",
                "user_id": str(user),
                "item_id": str(random.randint(1, 2000)),
            }
            path, body = "/events", {"events": [{**event, "event_id": f"e{number}"}]}
        reader, writer = await self._free.get()
        content = json.dumps(body).encode()
        writer.write(
            f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"content-length: {len(content)}\r\n\r\n".encode()
            + content
        )
        head = await reader.readuntil(b"\r\n\r\n")
        found = re.search(rb"content-length: (\d+)", head)
        told = await reader.readexactly(int(found[1]) if found else 0)
        self._free.put_nowait((reader, writer))
        if not head.startswith(b"HTTP/1.1 200"):
            self.errors += 1
        elif path == "/events" and json.loads(told)["accepted"]:
            self.acknowledged.add(f"e{number}")

    async def _swap(self, recommender: sl.Recommender, bundle: Path) -> None:
        while True:  # a new version; the service watches the folder
            await asyncio.sleep(SWAP_SECONDS)
            await asyncio.to_thread(recommender.save, bundle)
            self.swaps += 1


def _mean(sizes: list[int]) -> int:
    return round(sum(sizes) / max(len(sizes), 1))


if __name__ == "__main__":
    main()
