"""The retrieval tutorial: two towers on who saw what, as written there and by default here."""

import time

from example_data import tutorial

import shortlist as sl

train, test = tutorial()  # 80/20 by lot
print(train)

as_there = sl.retrieval.TwoTower(
    dim=32,
    user=["user_id"],
    item=["item_id"],
    optimizer="adagrad",
    learning_rate=0.1,
    batch_size=8192,
    epochs=3,
    dropout=0.0,
    weight_decay=0.0,
    unknown_share=0.0,  # from here on: what this library would add
    logq=False,
    mask_repeats=False,
)
by_default = sl.retrieval.TwoTower(epochs=8)

for name, towers in (("tutorial", as_there), ("default", by_default)):
    start = time.perf_counter()
    rec = sl.Recommender(towers).fit(train)
    seconds = time.perf_counter() - start
    curve = ", ".join(f"{epoch.loss:.2f}" for epoch in towers.epochs_run)
    print(f"\n{name}: fitted in {seconds:.1f} s; loss by epoch {curve}")
    for label, keep_seen in (("raw", True), ("unseen", False)):
        told = sl.evaluate(rec, test, k=(10, 100), keep_seen=keep_seen, baselines=False)
        report = told.reports[0]
        print(f"{label:>7} @10 {report['row_accuracy@10']}, @100 {report['row_accuracy@100']}")

print("\nfor user 42:", *rec.recommend("42", k=3)["title"], sep="\n  ")
