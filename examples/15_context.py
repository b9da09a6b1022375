"""Context at query time: the tower reads when somebody asks, bucketed and normalised."""

from dataclasses import replace

import numpy as np
from example_data import films

import shortlist as sl
from shortlist.metrics.intervals import Ratio, bootstrap, paired

parts = sl.split.latest(films(), test=0.2)  # each user's own last fifth
train, test = parts.train, parts.test.subset(np.arange(0, len(parts.test), 2))
fast = {"dim": 32, "epochs": 5, "batch_size": 2048, "learning_rate": 0.006}
plain = sl.Recommender(sl.retrieval.TwoTower(**fast)).fit(train)
timed = sl.retrieval.TwoTower(
    **fast, context=[sl.Bucket("timestamp", 30), sl.Number("timestamp")]
)
timed = sl.Recommender(timed).fit(train)


def hits(rec: sl.Recommender, k: int, *, keep_seen: bool, at_row_time: bool) -> np.ndarray:
    # one question for each test row, at that row's own time
    queries = rec.snapshot.queries(test.table["user_id"])
    if at_row_time:
        queries = replace(queries, context=test.table.select("timestamp"))
    found = rec.answer(queries, k, keep_seen=keep_seen).top.rows
    wanted = rec.snapshot.item_vocabulary.rows(test.table["item_id"])
    return (found == wanted[:, None]).any(axis=1)


def per_user(hit: np.ndarray) -> Ratio:
    return Ratio(
        np.bincount(test.user_rows, hit.astype(float)),
        np.bincount(test.user_rows).astype(float),
    )


rng = np.random.default_rng(42)
for label, keep_seen in (("raw", True), ("unseen", False)):
    without = per_user(hits(plain, 100, keep_seen=keep_seen, at_row_time=False))
    at_time = per_user(hits(timed, 100, keep_seen=keep_seen, at_row_time=True))
    no_time = per_user(hits(timed, 100, keep_seen=keep_seen, at_row_time=False))
    print(f"{label} @100: ids alone {bootstrap([without], rng)[0]}")
    print(f"  asked with the time, more than ids alone: {paired([at_time], [without], rng)[0]}")
    print(f"  the same model asked without it: {paired([no_time], [without], rng)[0]}")

times = train.table["timestamp"]
for name, when in (("first", times.min()), ("last", times.max())):
    found = timed.recommend("42", context={"timestamp": when}, k=3)
    print(f"user 42 asking on the {name} day:", *found["title"], sep="\n  ")
