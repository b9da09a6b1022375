"""Two stages as one object: retrieve, leave out what was seen, rank; beside each stage alone."""

from copy import copy

from example_data import tutorial

import shortlist as sl

train, test = tutorial()
ratings = sl.ranking.RatingNetwork(layers=(64,), epochs=4, batch_size=4096, learning_rate=0.01)
two = sl.Recommender(
    sl.retrieval.EASE(), rank=ratings, candidates=20, name="20 retrieved, ranked"
)
two.fit(train)


def with_candidates(number: int, name: str) -> sl.Recommender:
    other = copy(two)  # the same fitted parts
    other.candidates, other.name = number, name
    return other


alone = sl.Recommender(sl.retrieval.EASE(), name="stage 1 alone").fit(train)
more = with_candidates(200, "200 retrieved, ranked")
everything = with_candidates(len(train.item_vocabulary), "stage 2 alone: all ranked")
recs = [alone, two, more, everything]
some = test.subset(test.user_rows < 200)  # ranking everything for everyone takes a while
print(sl.compare(recs, some, k=[10], metric="recall@10", baselines=False))

seen = train.table.filter(train.table["user_id"].cast(str) == "42")["item_id"]
found = two.recommend("42", k=5)
print(
    f"for user 42, who has seen {len(seen)} films, {found['item_id'].is_in(seen.implode()).sum()} of these:"
)
for row in found.iter_rows(named=True):
    print(f"  {row['score']:.2f}  {row['title']}")
two.save("two_stages.bundle")
print("the same once loaded:", sl.load("two_stages.bundle").recommend("42", k=5).equals(found))
