"""The exported ONNX file: time of one answer and of many, size, and quality beside the bundle's.

The job is that of the TensorFlow Recommenders tutorials on their own rows (ML-100K, 80,000 of them):
a retriever of two towers of ids, dim 32, and a ranker of pairs of user and title. One thread.
"""

import os
import subprocess
import sys

os.environ["OMP_NUM_THREADS"] = "1"

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from common import parse_data, write
from numpy.typing import NDArray
from tutorial_job import tutorial_tower

import shortlist as sl
from shortlist.export import Report, Settings, export
from shortlist.export.running import File

KS = (10, 100)
TFRS = {"one user, compiled, ms": [0.43, 0.56], "943 users, compiled, ms": 11}
Texts = NDArray[Any]


def median_us(run: Callable[[], object], *, seconds: float = 3.0) -> dict[str, float]:
    """Medians of the runs that fit into some seconds, after a few that are not counted, and the fastest.

    The processor's time is what a quiet machine's clock would show: there is one thread.
    """
    for _ in range(5):
        run()
    taken: list[tuple[float, float]] = []
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop:
        start, used = time.perf_counter(), time.process_time()
        run()
        taken.append((time.perf_counter() - start, time.process_time() - used))
    wall, cpu = np.median(taken, axis=0) * 1e6
    fastest = min(one for one, _ in taken) * 1e6
    return {
        "us": round(float(wall), 1),
        "us of the processor": round(float(cpu), 1),
        "fastest us": round(fastest, 1),
    }


def asked(users: list[str], k: int) -> dict[str, Texts]:
    """The inputs for known users."""
    nothing = np.empty((len(users), 0), object)
    return {
        "user_id": np.array(users, object),
        "history": nothing,
        "exclude": nothing,
        "k": np.array([k], np.int64),
    }


def accuracy(lists: list[list[str]], users: list[str], test: pl.DataFrame) -> dict[str, float]:
    """P1: share of the test rows whose item is among the user's top K, seen items left out."""
    place = {user: number for number, user in enumerate(users)}
    found = {}
    for k in KS:
        tops = [set(line[:k]) for line in lists]
        hits = [
            item in tops[place[user]]
            for user, item in test.select("user_id", "item_id").iter_rows()
        ]
        found[f"unseen@{k}"] = round(sum(hits) / len(hits), 4)
    return found


def of_bundle(bundle: Path, users: list[str]) -> list[list[str]]:
    """The bundle's top 100 of each user."""
    table = sl.load(bundle).recommend(users=users, k=max(KS))
    lines = dict(table.group_by("user_id").agg("item_id").iter_rows())
    return [list(map(str, lines[user])) for user in users]


def of_file(path: Path, users: list[str]) -> list[list[str]]:
    """The file's top 100 of each user."""
    ids: list[list[str]] = File(path).ask(**asked(users, max(KS)))["item_ids"].tolist()
    return ids


def told(report: Report) -> dict[str, Any]:
    """Size, parity and loss."""
    kept: dict[str, Any] = {"kB": round(report.size / 1e3), "parity": str(report.parity)}
    return kept | {name: round(lost, 5) for name, lost in report.loss.items()}


def retriever(
    name: str, part: Any, train: sl.Interactions, test: pl.DataFrame, home: Path
) -> dict[str, Any]:
    """One retriever in three kinds of weights."""
    bundle = home / f"{name}.bundle"
    sl.Recommender(part).fit(train).save(bundle)
    users = test["user_id"].unique(maintain_order=True).to_list()
    everyone = train.user_vocabulary.ids.cast(str).to_list()
    found: dict[str, Any] = {"bundle": accuracy(of_bundle(bundle, users), users, test)}
    for weights in ("float32", "float16", "int8"):
        out = home / f"{name}-{weights}.onnx"
        report = export(bundle, out, settings=Settings(weights=weights))
        p1 = accuracy(of_file(out, users), users, test)
        lost = {k: round(1 - p1[k] / found["bundle"][k], 4) for k in p1}
        file = File(out)
        one, many = asked(everyone[41:42], 10), asked(everyone, 10)
        found[weights] = told(report) | {
            "P1": p1,
            "P1 lost": lost,
            "one user": median_us(lambda: file.ask(**one)),  # noqa: B023
            f"{len(everyone)} users": median_us(lambda: file.ask(**many)),  # noqa: B023
        }
    return found


def ranker(train: sl.Interactions, home: Path) -> dict[str, Any]:
    """Pairs of user and title, as in the tutorial: 943 users, 1,664 titles, dim 32, layers 256 and 64."""
    network = sl.ranking.RatingNetwork(dim=32, layers=(256, 64), epochs=3)
    bundle = home / "ranker.bundle"
    sl.Recommender(sl.retrieval.Popularity(), rank=network).fit(train).save(bundle)
    titles = train.item_vocabulary.ids.to_list()
    users = train.user_vocabulary.ids.cast(str).to_list()
    found: dict[str, Any] = {"users": len(users), "titles": len(titles)}
    for weights in ("float32", "float16", "int8"):
        out = home / f"ranker-{weights}.onnx"
        report = export(bundle, out, settings=Settings(part="ranker", weights=weights))
        file = File(out)
        one = {
            "user_id": np.array(users[41:42], object),
            "item_id": np.array(titles[:1], object),
        }
        pairs = {
            "user_id": np.array(users[41:42] * len(titles), object),
            "item_id": np.array(titles, object),
        }
        found[weights] = told(report) | {
            "one pair": median_us(lambda: file.ask(**one)),  # noqa: B023
            f"{len(titles)} pairs": median_us(lambda: file.ask(**pairs)),  # noqa: B023
        }
    return found


def large(home: Path, *, items: int = 100_000, users: int = 5_000) -> dict[str, Any]:
    """A made-up catalogue of the largest size that the graph itself searches; ALS, dim 64."""
    rng = np.random.default_rng(0)
    drawn = (items * rng.random(4 * items) ** 3).astype(np.int64)
    taken = np.concatenate([np.arange(items), drawn])  # everything once, the first ones often
    rows = pl.DataFrame({"user_id": rng.integers(0, users, len(taken)), "item_id": taken})
    bundle, out = home / "large.bundle", home / "large.onnx"
    sl.Recommender(sl.retrieval.ALS(dim=64)).fit(sl.read(rows.unique())).save(bundle)
    found = told(export(bundle, out))
    file = File(out)
    for count in (1, 64):
        feed = asked([str(user) for user in range(count)], 10)
        found[f"{count} users"] = median_us(lambda: file.ask(**feed))  # noqa: B023
    code = (
        "import re, sys, onnxruntime\n"
        "def peak(): return int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
        "before = peak()\n"
        "session = onnxruntime.InferenceSession(sys.argv[1])\n"
        "print((peak() - before) // 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(out)], check=True, capture_output=True, text=True
    )
    return found | {"MB that opening it takes": int(done.stdout)}


def main() -> None:
    """Fit, export, ask."""
    data = parse_data(__doc__ or "")
    rows = pl.read_parquet(data / "splits/ml100k_train.parquet").with_columns(
        pl.col("user_id").cast(pl.String), pl.col("movie_id").cast(pl.String)
    )
    films = data / "splits/ml100k_movies.parquet"
    train = sl.read(rows.select("user_id", "movie_id", "user_rating", "timestamp"), items=films)
    test = pl.read_parquet(data / "splits/ml100k_test.parquet").select(
        pl.col("user_id").cast(pl.String), item_id=pl.col("movie_id").cast(pl.String)
    )
    titles = sl.read(
        rows.select("user_id", "user_rating", "timestamp", item_id="movie_title"),
        items=pl.read_parquet(films).select(item_id="movie_title").unique(maintain_order=True),
    )
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        results = {
            "retriever: two towers of ids, dim 32": retriever(
                "towers", tutorial_tower(), train, test, home
            ),
            "retriever: EASE": retriever("ease", sl.retrieval.EASE(), train, test, home),
            "ranker": ranker(titles, home),
            "retriever: ALS, 100,000 items, dim 64": large(home),
            "TFRS on another day, same machine": TFRS,
        }
    write("export", "one ONNX file answers as the bundle does, small and quick", results)


if __name__ == "__main__":
    main()
