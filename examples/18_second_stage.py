"""A second stage that learns from lists: boosted trees behind EASE, judged beside EASE alone, explained."""

import numpy as np
from example_data import films

import shortlist as sl
from shortlist.evaluation.reliability import reliability

parts = sl.split.latest(films(), test=0.1)
train, test = parts.train, parts.test

boosted = sl.ranking.Boosted(calibrated="platt")
two = sl.Recommender(sl.retrieval.EASE(), rank=boosted, name="EASE, then boosted trees")
two.fit(train)  # lists from EASE on the earlier part of train, labelled by the later part
alone = sl.Recommender(sl.retrieval.EASE(), name="EASE alone").fit(train)
comparison = sl.compare([two, alone], test, k=[10], metric="ndcg@10", baselines=False)
print(comparison)

print("\nfor user 42, and what spoke most for each:")
chance = two.predict("42").select("item_id", "prediction")
shown = two.recommend("42", k=3, explain=True)
for row in shown.join(chance, on="item_id", maintain_order="left").iter_rows(named=True):
    print(f"  {row['title']}: taken next with probability {row['prediction']:.3f}")
    print("   ", ", ".join(f"{one['feature']} {one['added']:+.2f}" for one in row["ranked_by"]))

print("\nare such probabilities true? each user's first test film, beside what was predicted:")
next_one = test.table.sort("timestamp").unique("user_id", keep="first", maintain_order=True)
some = next_one.head(40)
predicted, taken = [], []
for user, item in some.select("user_id", "item_id").iter_rows():
    told = two.predict(user).sort("prediction", descending=True).head(200)
    predicted.append(told["prediction"].to_numpy())
    taken.append((told["item_id"] == item).to_numpy())
print(reliability(np.concatenate(predicted), np.concatenate(taken), bins=5))
