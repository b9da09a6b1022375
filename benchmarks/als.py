"""ALS beside the ALS of the package implicit, in turn in one process, on the same threads and rows.

P1: a random fifth of the rows is test; the share of test rows whose item is among the top K of all
items, those of train left out. ML-1M is split here (seed 0); ML-100K comes split.

Both are tuned here for each length of vectors: as many settings each, the highest product of both
shares on validation rows, a tenth of train by lot. implicit runs its own 15 iterations; its quality
after fewer is shown beside, and ours with its defaults (the best of about 40 settings on such rows of
ML-100K, MovieLens small and ML-1M together). EASE, popularity and item neighbours stand beside with
their defaults. A fit of ours starts from the table of interactions, one of implicit from the finished
sparse matrix.
"""

import math
import os
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", os.environ["OMP_NUM_THREADS"])

import numpy as np
import polars as pl
import scipy.sparse as sp
from common import parse_data, write
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray

import shortlist as sl
from shortlist.data.catalogue import Catalogue
from shortlist.data.snapshot import Snapshot
from shortlist.index.select import select_top_k
from shortlist.retrieval.dense import DenseRetriever

KS, DIMS, ROUNDS, BLOCK = (10, 100), (64, 128), 5, 1024
EQUAL = 0.995  # the standard error of a share of 200,000 rows is as large
THREADS = int(os.environ["OMP_NUM_THREADS"])
Scores: TypeAlias = Callable[[int, int], NDArray[np.float32]]
Settings: TypeAlias = dict[str, Any]
Model: TypeAlias = sl.retrieval.ALS | DenseRetriever


class Rows:
    """Train and held-out rows of one data set, as interactions and as matrices."""

    def __init__(self, train: pl.DataFrame, held: pl.DataFrame) -> None:
        ids = pl.concat([train["item_id"], held["item_id"]]).unique(maintain_order=True)
        self.train = sl.Interactions(train, Catalogue.of_ids(ids))
        self.matrix = sp.csr_matrix(self.train.liked_matrix())
        self.queries = Snapshot.of(self.train).queries(self.train.user_vocabulary.ids)
        self.users = self.train.user_vocabulary.rows(held["user_id"])  # -1: not in train
        self.items = self.train.item_vocabulary.rows(held["item_id"])

    def quality(self, scores: Scores) -> dict[str, float]:
        """P1, unseen; a row of someone who is not in train is a miss."""
        best = []
        for start in range(0, self.matrix.shape[0], BLOCK):
            stop = min(start + BLOCK, self.matrix.shape[0])
            block = scores(start, stop).astype(np.float32)
            seen = self.matrix[start:stop].tocoo()
            block[seen.row, seen.col] = -np.inf
            best.append(select_top_k(block, max(KS)).rows)
        hit = (np.concatenate(best)[self.users] == self.items[:, None]) & (
            self.users[:, None] >= 0
        )
        return {f"unseen@{k}": round(float(hit[:, :k].any(axis=1).mean()), 4) for k in KS}


def by_lot(rows: pl.DataFrame, share: float, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The others, and a share of the rows."""
    held = pl.Series(np.random.default_rng(seed).random(len(rows)) < share)
    return rows.filter(~held), rows.filter(held)


def of_implicit(model: AlternatingLeastSquares) -> Scores:
    """Its scores of the users start to stop."""
    return lambda start, stop: model.user_factors[start:stop] @ model.item_factors.T


def of_ours(model: Model, rows: Rows) -> Scores:
    """Our scores of the users start to stop."""
    return lambda start, stop: model.score_all(rows.queries.slice(start, stop))


def timed(fit: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    fit()
    return time.perf_counter() - wall, time.process_time() - cpu


def medians(seconds: list[tuple[float, float]]) -> dict[str, float]:
    """Of the rounds."""
    wall, cpu = (statistics.median(column) for column in zip(*seconds, strict=True))
    return {"seconds": round(wall, 3), "cpu_seconds": round(cpu, 3)}


def fitted_implicit(rows: Rows, **settings: Any) -> tuple[Any, tuple[float, float]]:
    """The peer, fitted, and its seconds."""
    model = AlternatingLeastSquares(num_threads=THREADS, random_state=0, **settings)
    return model, timed(lambda: model.fit(rows.matrix, show_progress=False))


def fitted_ours(model: Model, rows: Rows) -> tuple[Model, tuple[float, float]]:
    """Ours, fitted from the bare table, and its seconds."""
    bare = sl.Interactions(rows.train.table, rows.train.catalogue)
    return model, timed(lambda: model.fit(bare))


def tuned(dim: int, train: pl.DataFrame) -> tuple[Settings, Settings]:
    """The settings of ours and of the peer with the highest product of both shares on a tenth of train."""
    rows = Rows(*by_lot(train, 0.1, 1))
    ours: dict[float, Settings] = {}
    theirs: dict[float, Settings] = {}
    for unobserved, (l2, scaling) in product(
        (0.5, 1.0), ((0.7, 0.5), (0.9, 0.5), (0.16, 0.75))
    ):
        mine: Settings = {"dim": dim, "unobserved": unobserved, "l2": l2, "scaling": scaling}
        model, _ = fitted_ours(sl.retrieval.ALS(**mine), rows)
        ours[math.prod(rows.quality(of_ours(model, rows)).values())] = mine
    for strength, alpha in ((10, 1), (10, 2), (30, 4), (60, 8), (90, 8), (150, 16)):
        peers: Settings = {"factors": dim, "regularization": strength, "alpha": alpha}
        peer, _ = fitted_implicit(rows, **peers)
        theirs[math.prod(rows.quality(of_implicit(peer)).values())] = peers
    return ours[max(ours)], theirs[max(theirs)]


def in_turn(dim: int, rows: Rows) -> dict[str, Any]:
    """Time and quality of both at one length of vectors."""
    settings = tuned(dim, rows.train.table)
    mine, theirs = [], []
    for _ in range(ROUNDS):
        ours, seconds = fitted_ours(sl.retrieval.ALS(**settings[0]), rows)
        mine.append(seconds)
        peer, seconds = fitted_implicit(rows, **settings[1])
        theirs.append(seconds)
    qualities = rows.quality(of_ours(ours, rows)), rows.quality(of_implicit(peer))
    ratios = [
        statistics.median(m[kind] / t[kind] for m, t in zip(mine, theirs, strict=True))
        for kind in (0, 1)
    ]
    return {
        "als": medians(mine) | qualities[0] | {"settings": settings[0]},
        "implicit": medians(theirs) | qualities[1] | {"settings": settings[1]},
        "time_ratio": round(ratios[0], 2),
        "cpu_ratio": round(ratios[1], 2),
        "quality_ratio": round(
            math.prod(qualities[0].values()) / math.prod(qualities[1].values()), 4
        ),
    }


def figures(rows: Rows) -> dict[str, Any]:
    """Both in turn, both stopped early, and the others."""
    results = {f"dim {dim}": in_turn(dim, rows) for dim in DIMS}
    for epochs in (1, 2, 3):
        ours, seconds = fitted_ours(sl.retrieval.ALS(epochs=epochs), rows)
        quality = rows.quality(of_ours(ours, rows))
        results[f"als by default, {epochs} epochs"] = medians([seconds]) | quality
    settings = results[f"dim {DIMS[0]}"]["implicit"]["settings"]
    for iterations in (3, 5, 8):
        peer, seconds = fitted_implicit(rows, **settings, iterations=iterations)
        quality = rows.quality(of_implicit(peer))
        results[f"implicit of dim {DIMS[0]}, {iterations} iterations"] = (
            medians([seconds]) | quality
        )
    return results | dict(beside(rows))


def beside(rows: Rows) -> Iterator[tuple[str, dict[str, float]]]:
    """EASE, popularity and neighbours."""
    others: dict[str, DenseRetriever] = {
        "neighbours, cosine": sl.retrieval.Neighbours(),
        "neighbours, bm25": sl.retrieval.Neighbours(weighting="bm25"),
        "ease": sl.retrieval.EASE(),
        "popularity": sl.retrieval.Popularity(),
    }
    for name, model in others.items():
        fitted, seconds = fitted_ours(model, rows)
        yield name, medians([seconds]) | rows.quality(of_ours(fitted, rows))


def columns(path: Path, item: str) -> pl.DataFrame:
    """Users and items of a file."""
    return pl.read_parquet(path).select("user_id", pl.col(item).alias("item_id"))


def main() -> None:
    """ML-1M, then ML-100K."""
    data = parse_data(__doc__ or "")
    parts = [
        columns(data / f"splits/ml100k_{part}.parquet", "movie_id")
        for part in ("train", "test")
    ]
    large = by_lot(columns(data / "ml-1m/interactions.parquet", "item_id"), 0.2, 0)
    results: dict[str, Any] = {"threads": THREADS, "ml-1m": figures(Rows(*large))}
    results["ml-100k"] = figures(Rows(*parts))
    pairs = [results["ml-1m"][f"dim {dim}"] for dim in DIMS]
    results["reached"] = all(
        pair["quality_ratio"] >= EQUAL and pair["time_ratio"] <= 1 for pair in pairs
    )
    write("als", "ML-1M: at equal or better P1 quality, no slower than implicit's ALS", results)


if __name__ == "__main__":
    main()
