"""P3, the last item of every user: the next-item model beside popularity, EASE and EASE that forgets.

HR@10 and NDCG@10 over the whole catalogue, seen items left out, through ``Recommender`` and
``evaluate``, as users are served. ML-100K: the last row by time, ties in the order of the file; all rows
count as liked. ML-1M: ``leave_one_out.parquet``, history and validation item as train, the place as
time. Amazon Beauty: the last row by place.

The settings are the defaults of the class on all three (Beauty: one decay, since two do not fit into the
memory allowed). They were chosen on train rows alone, as the part ``validation`` shows: on ML-1M the
histories against the validation items; on ML-100K the rows before the last against what precedes them.
"""

import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from common import parse_data, write

import shortlist as sl
from shortlist.data.protocols import Retriever
from shortlist.retrieval import EASE, NextItem, Popularity

NDCG_GOALS = {"ml-100k": 0.112, "ml-1m": 0.173}
HIT_GOALS = {"ml-100k": 0.208}
K = 10


def ml_100k(data: Path) -> list[tuple[str, sl.Interactions, sl.Interactions]]:
    """The last row of each user as test; as validation, each of the three before it in turn."""
    rows = pl.read_parquet(data / "ml-100k/interactions.parquet")
    table, parts = sl.Interactions(rows), []
    for part in ("test", "validation 1", "validation 2", "validation 3"):
        split = sl.split.last_out(table)
        parts.append((part, split.train, split.test))
        table = split.train
    return parts


def ml_1m(data: Path) -> list[tuple[str, sl.Interactions, sl.Interactions]]:
    """The published leave-one-out split."""
    rows = pl.read_parquet(data / "ml-1m/leave_one_out.parquet")
    more = pl.col("history").list.concat("validation_item")
    return [
        ("test", *_exploded(rows, more, "test_item")),
        ("validation", *_exploded(rows, pl.col("history"), "validation_item")),
    ]


def beauty(data: Path) -> list[tuple[str, sl.Interactions, sl.Interactions]]:
    """The last row of each user."""
    rows = pl.read_parquet(data / "amazon-beauty-seq/interactions.parquet")
    split = sl.split.last_out(sl.Interactions(rows.rename({"seq": "timestamp"})))
    return [("test", split.train, split.test)]


def _exploded(
    rows: pl.DataFrame, history: pl.Expr, last: str
) -> tuple[sl.Interactions, sl.Interactions]:
    train = rows.select("user_id", history.alias("item_id"))
    train = train.with_columns(timestamp=pl.int_ranges(pl.col("item_id").list.len()))
    test = rows.select("user_id", pl.col(last).alias("item_id"))
    columns = ["item_id", "timestamp"]
    return sl.Interactions(train.explode(columns)), sl.Interactions(test)


def figures(
    model: Retriever, train: sl.Interactions, test: sl.Interactions
) -> dict[str, float | list[float]]:
    """Fit, serve and judge one retriever."""
    start = time.process_time()
    recommender = sl.Recommender(model).fit(train)
    fitted = time.process_time()
    report = sl.evaluate(recommender, test, k=K, baselines=False).reports[0]
    hit, ndcg = report[f"hit_rate@{K}"], report[f"ndcg@{K}"]
    return {
        "hit_rate@10": round(hit.value, 4),
        "ndcg@10": round(ndcg.value, 4),
        "ndcg@10 interval": [round(ndcg.low, 4), round(ndcg.high, 4)],
        "fit_cpu_seconds": round(fitted - start, 1),
        "evaluate_cpu_seconds": round(time.process_time() - fitted, 1),
    }


def family(name: str) -> Sequence[tuple[str, Retriever]]:
    """What is set beside what."""
    ours = NextItem(decays=(0.35,)) if name == "amazon-beauty" else NextItem()
    return (
        ("popularity", Popularity()),
        ("EASE", EASE()),
        ("EASE that forgets", EASE(decay=0.1)),
        ("next-item", ours),
    )


def main() -> None:
    """Every data set, every part, every retriever."""
    data = parse_data(__doc__ or "")
    results: dict[str, Any] = {}
    for name, parts in (("ml-100k", ml_100k), ("ml-1m", ml_1m), ("amazon-beauty", beauty)):
        found = {
            part: {label: figures(model, train, test) for label, model in family(name)}
            for part, train, test in parts(data)
        }
        if name == "ml-100k":
            found["validation mean"] = {
                label: {
                    metric: round(
                        float(
                            np.mean(
                                [found[f"validation {i}"][label][metric] for i in (1, 2, 3)]
                            )
                        ),
                        4,
                    )
                    for metric in ("hit_rate@10", "ndcg@10")
                }
                for label, _ in family(name)
            }
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        results[name] = {**found, "peak_gigabytes_so_far": round(peak, 1)}
        if name in NDCG_GOALS:
            best = found["test"]["next-item"]
            results[name]["reached"] = bool(
                best["ndcg@10"] >= NDCG_GOALS[name]
                and best["hit_rate@10"] >= HIT_GOALS.get(name, 0)
            )
    goals = f"NDCG@10 {NDCG_GOALS}, HR@10 {HIT_GOALS}"
    write(
        "next_item",
        f"P3, the last item of every user, default settings; goals {goals}",
        results,
    )


if __name__ == "__main__":
    main()
