"""Side features: age, gender, occupation, zip, genres and title text, against ids alone."""

from example_data import people

import shortlist as sl

train, test = people()

user = ["user_id", sl.Bucket("age", 10), "gender", "occupation", sl.Hash("zip_code", 200)]
item = ["item_id", "genres", sl.Text("title")]
declared = {
    "ids alone": {},
    "user columns": {"user": user},
    "item columns": {"item": item},
    "both": {"user": user, "item": item},
    "both, history": {"user": [*user, sl.History(50, ordered=False)], "item": item},
}
recs = []
for name, features in declared.items():
    towers = sl.retrieval.TwoTower(
        dim=32, epochs=6, batch_size=2048, learning_rate=0.006, **features
    )
    recs.append(sl.Recommender(towers, name=name).fit(train))
print(sl.compare(recs, test, k=[10], metric="row_accuracy@10", baselines=False))
