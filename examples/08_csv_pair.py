"""The whole job on ratings.csv and movies.csv: joined by movie id, titles as keys, repeats told apart."""

import polars as pl
from example_data import films

import shortlist as sl

data = films()  # written as the pair of files that GroupLens publishes
names = {"user_id": "userId", "item_id": "movieId"}
movies = data.catalogue.table.select("item_id", "title", pl.col("genres").list.join("|"))
data.table.rename(names).write_csv("ratings.csv")
movies.rename({"item_id": "movieId"}).write_csv("movies.csv")

# the short way: ids stay the keys, and titles can be asked for
rec = sl.Recommender(sl.retrieval.EASE()).fit(sl.read("ratings.csv", items="movies.csv"))
print("like Heat:", *rec.similar("Heat (1995)", k=3)["title"], sep="\n  ")

# titles as keys: the films that share one are told apart by their id
movies = pl.read_csv("movies.csv").with_columns(pl.col("title").fill_null(pl.col("movieId")))
twice = movies.filter(pl.col("title").is_duplicated()).sort("title")
print(
    f"{twice['title'].n_unique()} titles stand for two films or more:", *twice["title"].unique()
)
key = pl.when(pl.col("title").is_duplicated()).then(pl.format("{} #{}", "title", "movieId"))
movies = movies.with_columns(item_id=key.otherwise(pl.col("title")))
ratings = pl.read_csv("ratings.csv").join(movies.select("movieId", "item_id"), on="movieId")
data = sl.read(ratings.drop("movieId"), items=movies.drop("movieId"), positive="rating >= 3")
print(data)

parts = sl.split.per_user(data, test=0.2, validation=0.08, seed=42)
towers = sl.retrieval.TwoTower(epochs=6)
rec = sl.Recommender([sl.retrieval.EASE(), towers], rank=sl.ranking.Biases(), candidates=30)
rec.fit(parts.train, validate=parts.validation)
report = sl.evaluate(rec, parts.test, k=[10], baselines=False).reports[0]
print(f"unseen @10 {report['row_accuracy@10']}, rmse {report['rmse']}")
print("for user 42:", *rec.recommend("42", k=3)["item_id"], sep="\n  ")
