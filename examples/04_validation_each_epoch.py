"""The 64-dim variant: titles as keys, 80/20 then 90/10 of each user's rows, validated each epoch."""

from example_data import films

import shortlist as sl

data = films()
titled = data.table.join(data.catalogue.table.select("item_id", "title"), on="item_id")
data = sl.read(titled.drop("item_id").drop_nulls("title"), columns={"item_id": "title"})
parts = sl.split.per_user(data, test=0.2, validation=0.08, seed=42)  # a tenth of the 80 %

towers = sl.retrieval.TwoTower(dim=64, epochs=8, patience=2)
rec = sl.Recommender(towers).fit(parts.train, validate=parts.validation)
for epoch in towers.epochs_run:
    print(
        f"epoch {epoch.number}: loss {epoch.loss:.3f}, validation recall@100 {epoch.validation:.4f}"
    )
print("kept epoch", towers.chosen_epoch)

for label, keep_seen in (("raw", True), ("unseen", False)):
    told = sl.evaluate(rec, parts.test, k=(1, 5, 10), keep_seen=keep_seen, baselines=False)
    for k in (1, 5, 10):
        print(f"{label} @{k}: {told.reports[0][f'row_accuracy@{k}']}")
print("for user 42:", *rec.recommend("42", k=3)["item_id"], sep="\n  ")  # titles are the ids
