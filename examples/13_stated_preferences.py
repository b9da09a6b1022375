"""Knowledge-based: stated wishes with reasons, the nearest relaxation, popularity by segment."""

from example_data import films, people

import shortlist as sl

rec = sl.Recommender(sl.retrieval.Popularity()).fit(films())  # no history is asked for below
wish = {"genres": ["Comedy", "Crime"], "year": (1990, 1999)}
for must_not in ([], ["'Drama' in genres"]):
    print("comedy and crime of the nineties, but not:", must_not)
    for row in rec.match(wish, must=["year >= 1985"], must_not=must_not, k=3).iter_rows(
        named=True
    ):
        print(f"  {row['title']}: {row['reasons']}")
impossible = rec.match(wish, must=["'Western' in genres", "year > 2100"], k=2)
print(
    "a western from after 2100; dropped:",
    impossible["relaxed"][0],
    *impossible["title"],
    sep="\n  ",
)

train, test = people()
everyone = sl.Interactions(train.table.vstack(test.table), train.catalogue, train.users)
parts = sl.split.new_users(everyone, test=0.3, seed=42)  # they bring columns, no history
about = [sl.Number("age"), "gender", "occupation"]  # a number says how near two ages are
recs = [
    sl.Recommender(sl.retrieval.Popularity()),
    sl.Recommender(sl.retrieval.Alike(features=about), name="users alike"),
    sl.Recommender(
        sl.retrieval.Alike(features=["occupation"], neighbours=10_000), name="segment"
    ),
]
print("\nnew users, by what they state:")
print(sl.compare([r.fit(parts.train) for r in recs], parts.test, k=[10], baselines=False))
users = parts.train.users
someone = {"age": 25, "gender": "F", "occupation": users["occupation"].mode().sort()[0]}
print(someone, *recs[1].recommend(about=someone, k=3)["title"], sep="\n  ")
