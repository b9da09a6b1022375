"""The whole path: read, split, fit, judge, save, load, ask."""

import shortlist as sl

data = sl.datasets.movielens()
parts = sl.split.latest(data, validation=0.1, test=0.1)

rec = sl.Recommender(
    retrieve=[sl.retrieval.EASE(), sl.retrieval.TwoTower(dim=32, epochs=8)],
    rules=[sl.rules.Seen(), sl.rules.Where("year >= 1960")],
)
rec.fit(parts.train, validate=parts.validation)
print(sl.evaluate(rec, parts.test))

folder = rec.save("movies.bundle")
served = sl.load("movies.bundle")
print(served.recommend("42", k=10))
