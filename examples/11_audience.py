"""Who to tell of an item: the users most likely to take it, without those who have it."""

import numpy as np
import polars as pl
from example_data import many_people

import shortlist as sl
from shortlist.metrics.intervals import Ratio, bootstrap, paired

parts = sl.split.random(many_people(), test=0.2, seed=42)
rec = sl.Recommender(sl.retrieval.EASE()).fit(parts.train)
k = min(1000, rec.snapshot.n_users // 6)
print(f"{k} of {rec.snapshot.n_users} users are told")
print("of Toy Story, first of all:", *rec.audience("Toy Story (1995)", k=5)["user_id"])

# how many of those who did take an item later were told, item by item, beside the most active users
train, test = parts.train, parts.test
later = test.table.group_by("item_id").agg("user_id").sort("item_id")
later = later.filter(pl.col("user_id").list.len() >= 10)
told = rec.audience(items=later["item_id"], k=k)  # one pass over the users for all items
told_of = dict(told.group_by("item_id").agg("user_id").iter_rows())
busiest = np.argsort(-np.bincount(train.user_rows), kind="stable")
ours, active, takers = [], [], []
for item, users in later.iter_rows():
    has = train.user_rows[train.item_rows == train.item_vocabulary.row(item)]
    left = busiest[~np.isin(busiest, has)][:k]  # without those who have it
    ours.append(len({*told_of[item]} & {*users}))
    active.append(len({*train.user_vocabulary.decode(left)} & {*users}))
    takers.append(len(users))

found, plain = (
    Ratio(np.array(hits, float), np.array(takers, float)) for hits in (ours, active)
)
rng = np.random.default_rng(42)
print(f"{len(later)} items, {sum(takers)} later takers; share of them who were told:")
for name, ratio in (("audience", found), ("most active users", plain)):
    print(f"  {name}: {bootstrap([ratio], rng)[0]}")
print("  difference, over items:", paired([found], [plain], rng)[0])
