"""Someone of whom nothing is known: the best rated, the most rated, the best of a genre or a decade."""

from example_data import films

import shortlist as sl

parts = sl.split.new_users(films(), test=0.2, seed=42)  # people whom train never saw


def highest_rated(min_count: int) -> sl.Recommender:
    part = sl.retrieval.Popularity(by="rating", min_count=min_count, prior_count=0)
    return sl.Recommender(part, name=f"rated highest, {min_count} times or more").fit(
        parts.train
    )


def most_rated(min_mean: float) -> sl.Recommender:
    part = sl.retrieval.Popularity(min_mean=min_mean)
    return sl.Recommender(part, name=f"rated most, {min_mean} on average").fit(parts.train)


best, known = highest_rated(min_count=50), most_rated(min_mean=4.0)
for rec in (best, known):
    print(rec.name, *rec.recommend("a guest", k=5)["title"], sep="\n  ")
for condition in ("'Comedy' in genres", "year >= 1980 and year < 1990"):
    found = highest_rated(min_count=30).recommend("a guest", where=condition, k=3)
    print(condition, *found["title"], sep="\n  ")

plain = sl.Recommender(sl.retrieval.Popularity()).fit(parts.train)
others = [best, highest_rated(min_count=10), known, most_rated(min_mean=3.5)]
print("\nnew users, of whom nothing is known, by thresholds:")
print(sl.compare([plain, *others], parts.test, k=[10], baselines=False))

# the same people, once they bring the first half of what they took: asked as recommend(history=...)
half = sl.split.new_users(films(), test=0.2, brings=0.5, seed=42)
guests = [plain, sl.Recommender(sl.retrieval.EASE()).fit(half.train)]
print("\nnew users who bring a history:")
print(sl.compare(guests, half.test, k=[10], histories=half.brought, baselines=False))
