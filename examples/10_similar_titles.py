"""Item to item from the candidate tower: never the item itself, no title twice."""

from example_data import films

import shortlist as sl

towers = sl.retrieval.TwoTower(item=["item_id", "genres"], epochs=6)
data = films()
rec = sl.Recommender(towers).fit(data)

for title in ("Toy Story (1995)", "Alien (1979)"):
    print(f"like {title}:")
    for row in rec.similar(title, k=4).iter_rows(named=True):
        print(f"  {row['score']:.3f}  {row['title']}")
print(
    "like Alien (1979), before 1970:",
    *rec.similar("Alien (1979)", k=3, where="year < 1970")["title"],
    sep="\n  ",
)

films_by_use = rec.snapshot.item_counts.argsort()[::-1][:100]
titles = rec.snapshot.catalogue.titles
shared, itself, repeats = [], 0, 0
genres = rec.snapshot.catalogue.tag_matrix()
for row in films_by_use.tolist():
    found = rec.similar(rec.snapshot.item_vocabulary.ids[row], k=10)
    rows = rec.snapshot.item_vocabulary.rows(found["item_id"])
    itself += titles[row] in found["title"].to_list()
    repeats += len(found) - found["title"].n_unique()
    shared.append((genres[rows] @ genres[row] > 0).mean())
print(f"100 films, ten each: itself {itself} times, a title twice {repeats} times")
by_lot = (genres[films_by_use] @ genres[films_by_use].T > 0).mean()
print(
    f"share a genre: {sum(shared) / len(shared):.2f} of the answers, {by_lot:.2f} of any two of these films"
)
