"""The sequence tower's quality against minutes: next item over the whole catalogue, seen items left out.

ML-1M by the published SASRec split (``ml-1m/leave_one_out.parquet``), ML-100K by last-out (ties keep the
row order of the file). The number of epochs is the one with the best NDCG@10 on the validation item, of
a tower trained on what came before it; the figure is that of a tower trained as long on history and
validation item, for the test item. The curve on the test items is printed, and chooses nothing. Minutes
are of the processor, without the judging. Published, on a GPU (Petrov & Macdonald, RecSys 2023): HR@10 /
NDCG@10 of SASRec .239 / .126, of gSASRec .300 / .173.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from common import write

from shortlist.data.catalogue import Catalogue
from shortlist.data.eligible import Eligible
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import State
from shortlist.data.snapshot import Snapshot
from shortlist.errors import TrainingError
from shortlist.retrieval import SequenceTower
from shortlist.training.sequence import SequenceArrays, train_sequence
from shortlist.training.settings import SequenceSettings

K = 10
PUBLISHED = {"SASRec": (0.239, 0.126), "gSASRec": (0.300, 0.173)}
Curve = list[dict[str, float]]


def published_split(data: Path) -> pl.DataFrame:
    """ML-1M: (user_id, items), the validation item second to last, the test item last."""
    table = pl.read_parquet(data / "ml-1m/leave_one_out.parquet")
    tail = pl.concat_list("validation_item", "test_item")
    return table.select("user_id", items=pl.col("history").list.concat(tail))


def last_out(data: Path) -> pl.DataFrame:
    """ML-100K: (user_id, items) in the order of time."""
    table = pl.read_parquet(data / "ml-100k/interactions.parquet")
    table = table.sort("timestamp", maintain_order=True)
    return table.group_by("user_id", maintain_order=True).agg(items="item_id")


def rows(histories: pl.DataFrame, without: int) -> Interactions:
    """Everything but the last items of each user; the place serves as time."""
    table = histories.with_columns(
        items=pl.col("items").list.head(pl.col("items").list.len() - without)
    )
    table = table.with_columns(timestamp=pl.int_ranges(pl.col("items").list.len()))
    table = table.explode("items", "timestamp").rename({"items": "item_id"})
    every = histories["items"].explode().unique(maintain_order=True)
    return Interactions(table, Catalogue.of_ids(every))


def judge_of(
    train: Interactions, told: pl.Series
) -> Callable[[SequenceTower], dict[str, float]]:
    """HR and NDCG of the item that each user takes next."""
    snapshot = Snapshot.of(train)
    queries = snapshot.queries(snapshot.user_vocabulary.ids)
    seen = Eligible.of(len(queries), excluded=(queries.history_rows, queries.offsets))
    wanted = snapshot.item_vocabulary.rows(told)[:, None]

    def judge(model: SequenceTower) -> dict[str, float]:
        place = np.nonzero(model.retrieve(queries, K, seen).rows == wanted)[1]
        return {
            "hr@10": round(len(place) / len(queries), 4),
            "ndcg@10": round(float((1 / np.log2(place + 2)).sum()) / len(queries), 4),
        }

    return judge


def curve_of(
    model: SequenceTower, train: Interactions, told: pl.Series, minutes: float
) -> tuple[SequenceTower, Curve]:
    """Train, judging after every epoch; stops when the minutes are up."""
    judge, curve, judging = judge_of(train, told), [], 0.0
    began = time.process_time()
    latest: list[SequenceTower] = []

    def after_epoch(arrays: SequenceArrays) -> float:
        nonlocal judging
        paused = time.process_time()
        spent = (paused - began - judging) / 60
        if spent > minutes and curve:
            msg = "the minutes are up"
            raise TrainingError(msg)
        latest[:] = [answering(model, arrays)]
        curve.append({"epoch": len(curve) + 1, "minutes": round(spent, 2)} | judge(latest[0]))
        print(curve[-1], flush=True)
        judging += time.process_time() - paused
        return float(len(curve))  # nothing is chosen here

    train_sequence(model, train, after_epoch)
    return latest[0], curve


def answering(model: SequenceTower, arrays: SequenceArrays) -> SequenceTower:
    """The tower as it would be loaded from a bundle."""
    settings = {field.name: getattr(model, field.name) for field in fields(SequenceSettings)}
    config = {"settings": settings, "epochs": [], "chosen_epoch": None}
    graphs = {"history": arrays.graph}
    return SequenceTower.from_state(State(config, {"item_vectors": arrays.items}, graphs))


def milliseconds(model: SequenceTower, train: Interactions) -> float:
    """Median time of one question, alone: encode and top 10."""
    snapshot = Snapshot.of(train)
    queries = snapshot.queries(snapshot.user_vocabulary.ids[:200])
    each = [queries.slice(i, i + 1) for i in range(len(queries))]
    taken = []
    for query in each:
        began = time.perf_counter()
        model.retrieve(query, K)
        taken.append(time.perf_counter() - began)
    return round(1000 * float(np.median(taken)), 3)


def main() -> None:
    """Both data sets, within the minutes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument(
        "--minutes", type=float, default=20, help="of training, for each fit on ML-1M"
    )
    given = parser.parse_args()
    results: dict[str, Any] = {"published": PUBLISHED}
    for name, read, share in (("ml-100k", last_out, 0.2), ("ml-1m", published_split, 1.0)):
        histories = read(given.data)
        histories = histories.filter(pl.col("items").list.len() >= 3)
        told = histories["items"].list
        model = SequenceTower(epochs=200)
        budget = share * given.minutes
        _, tuning = curve_of(model, rows(histories, 2), told.get(-2), budget)
        best = max(tuning, key=lambda line: line["ndcg@10"])
        train = rows(histories, 1)
        final, test = curve_of(
            SequenceTower(epochs=int(best["epoch"])), train, told.get(-1), 10 * budget
        )
        results[name] = {
            "settings": repr(model),
            "validation": tuning,
            "test": test,
            "figure": test[-1],
            "milliseconds_per_query": milliseconds(final, train),
        }
        write(
            "sequence_curve",
            f"HR@10 and NDCG@10 of the next item; published {PUBLISHED}",
            results,
        )


if __name__ == "__main__":
    main()
