"""Top-K from an exact and from an approximate index: saved, loaded, asked with a raw user id."""

from example_data import tutorial

import shortlist as sl

train, _ = tutorial()

served = {}
for index in ("exact", "HNSW32"):  # any FAISS factory string
    towers = sl.retrieval.TwoTower(dim=32, epochs=4, index=index, index_effort=1000)
    folder = sl.Recommender(towers).fit(train).save(f"{index}.bundle")
    served[index] = sl.load(f"{index}.bundle")
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{index}: saved and loaded, {size / 1e6:.1f} MB")

for index, rec in served.items():
    print(f"{index}, for user 42:", *rec.recommend("42", k=5)["title"], sep="\n  ")

users = train.user_vocabulary.ids
lists = [
    rec.recommend(users=users, k=10).select("user_id", "item_id") for rec in served.values()
]
shared = len(lists[0].join(lists[1], on=["user_id", "item_id"])) / len(lists[0])
print(f"{len(users)} users, {len(lists[0])} places: {shared:.2%} the same in both")
scores = [rec.recommend("42", k=5)["score"] for rec in served.values()]
print("same scores to the last bit:", scores[0].equals(scores[1]))
