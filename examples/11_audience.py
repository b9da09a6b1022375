"""Who to tell of an item: the users most likely to want it, without those who have it."""

import numpy as np
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
activity = np.bincount(train.user_rows)
takers_of = test.table.group_by("item_id").agg("user_id").sort("item_id")
takers_of = takers_of.filter(takers_of["user_id"].list.len() >= 10)
drawn = takers_of.sample(min(20, len(takers_of)), seed=42)
ours, active, takers = [], [], []
for item, users in drawn.iter_rows():
    told = rec.audience(item, k=k)["user_id"]
    has = train.user_rows[train.item_rows == train.item_vocabulary.row(item)]
    left = np.where(np.isin(np.arange(len(activity)), has), -1, activity)  # those who have it
    busiest = train.user_vocabulary.decode(np.argsort(-left, kind="stable")[:k])
    ours.append(told.is_in(users).sum())
    active.append(busiest.is_in(users).sum())
    takers.append(len(users))

found, plain = (
    Ratio(np.array(hits, float), np.array(takers, float)) for hits in (ours, active)
)
rng = np.random.default_rng(42)
print(f"{len(drawn)} items, {sum(takers)} later takers; share of them who were told:")
for name, ratio in (("audience", found), ("most active users", plain)):
    print(f"  {name}: {bootstrap([ratio], rng)[0]}")
print("  difference, over items:", paired([found], [plain], rng)[0])
