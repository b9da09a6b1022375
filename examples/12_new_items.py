"""Content-based: films nobody rated yet, described by genres, tags, title words and year."""

from example_data import films

import shortlist as sl

data = films()
# equal scores go to the earlier row, and early ids are well-known films: popularity must not gain by it
shuffled = data.catalogue.table.sample(fraction=1.0, shuffle=True, seed=42)
data = sl.read(data.table, items=shuffled)
parts = sl.split.new_items(data, test=0.1, seed=42)  # a tenth of the films lose all their rows
train, test = parts.train, parts.test
fresh = test.table["item_id"].unique(maintain_order=True)
print(f"{len(fresh)} films without a row in train, {len(test)} test rows name them")

content = sl.retrieval.Content()
recs = [
    sl.Recommender(sl.retrieval.Popularity(), name="popularity").fit(train),
    sl.Recommender(content, name="content").fit(train),
]
print("\nserved from the whole catalogue, new films have to beat old ones:")
print(sl.compare(recs, test, k=[100], metric="recall@100", baselines=False))

only = [sl.rules.Seen(), sl.rules.Allow(tuple(fresh))]  # a shelf of new films
shelf = [
    sl.Recommender(
        sl.retrieval.Popularity(), rules=only, name="popularity, new films only"
    ).fit(train),
    sl.Recommender(content, rules=only, name="content, new films only").fit(train),
]
print("\nserved from the new films alone, of which popularity knows nothing:")
print(sl.compare(shelf, test, k=[20], metric="recall@20", baselines=False))

guest = {"history": ["Alien (1979)", "Blade Runner (1982)"], "k": 3}
print("\nnew films for someone who likes Alien and Blade Runner:")
for row in (
    shelf[1]
    .recommend(**guest)
    .join(data.catalogue.table, on="item_id", maintain_order="left")
    .iter_rows(named=True)
):
    print(f"  {row['title']}: {', '.join(row['genres'] or [])}")
