"""Deeper towers, and a cross network (DCN-v2), full and low-rank, in the rating model."""

import time

from example_data import tutorial

import shortlist as sl

train, test = tutorial()
inner = sl.split.random(train, test=0.1, seed=42)  # chooses when to stop

common = {
    "item": ["item_id", "genres"],
    "layers": (64,),
    "epochs": 4,
    "batch_size": 4096,
    "learning_rate": 0.01,
}
networks = {
    "no cross layer": {},
    "two cross layers": {"cross_layers": 2},
    "two of rank 8": {"cross_layers": 2, "cross_rank": 8},
}
recs = []
for name, extra in networks.items():
    start = time.perf_counter()
    network = sl.ranking.RatingNetwork(**common, **extra)
    rec = sl.Recommender(sl.retrieval.Popularity(), rank=network, name=name)
    recs.append(rec.fit(inner.train, validate=inner.test))
    print(f"{name}: {time.perf_counter() - start:.1f} s")
print(sl.compare(recs, test, k=[10], metric="rmse", baselines=False))

towers = [
    sl.Recommender(
        sl.retrieval.TwoTower(
            dim=32, epochs=4, batch_size=4096, learning_rate=0.01, layers=layers
        ),
        name=f"towers {layers}",
    )
    for layers in ((), (64,))
]
print(
    sl.compare(
        [t.fit(train) for t in towers],
        test,
        k=[100],
        metric="row_accuracy@100",
        baselines=False,
    )
)
