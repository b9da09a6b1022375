"""Someone the model never saw: by three films they like, with conditions, or with nothing at all."""

import shortlist as sl

rec = sl.Recommender(retrieve=sl.retrieval.EASE()).fit(sl.datasets.movielens())

films = ["Alien (1979)", "Blade Runner (1982)", "Brazil (1985)"]
print(rec.recommend(history=films, k=5))
print(rec.recommend(history=films, where="'Comedy' in genres and year >= 1990", k=5))
print(rec.recommend("somebody new", k=5))  # the fallback, and the table says so
