"""The ranking tutorial: predict ratings, rank three named films, the whole catalogue, save, load."""

from example_data import tutorial

import shortlist as sl

train, test = tutorial()
inner = sl.split.random(train, test=0.1, seed=42)  # chooses when to stop

recs = []
for ranker in (
    sl.ranking.RatingNetwork(
        item=["item_id", "genres", sl.Bucket("year", 10)],
        epochs=6,
        batch_size=4096,
        learning_rate=0.006,
    ),
    sl.ranking.Biases(),
):
    rec = sl.Recommender(sl.retrieval.Popularity(), rank=ranker, name=ranker.name)
    chosen = rec.fit(inner.train, validate=inner.test).settled()
    recs.append(chosen.fit(train))  # as many epochs as validation chose, on all of train
print(sl.compare(recs, test, k=[10], metric="rmse", baselines=False))

recs[0].save("ratings.bundle")
served = sl.load("ratings.bundle")  # needs no torch
three = ["Star Wars (1977)", "Alien (1979)", "Heat (1995)"]
titles = served.snapshot.catalogue.titles
named = [t for t in titles if t in three or t.startswith("Star Wars: Episode IV")][:3]
print("\nthree films for user 42:")
for row in (
    served.predict("42", named).sort("prediction", descending=True).iter_rows(named=True)
):
    print(f"  {row['prediction']:.2f}  {row['title']}")
everything = served.predict("42")  # sorted, best first
print(f"\nthe best of all {len(everything)} films for user 42:")
for row in everything.head(5).iter_rows(named=True):
    print(f"  {row['prediction']:.2f}  {row['title']}")
print("the same before saving:", everything.equals(recs[0].predict("42")))
