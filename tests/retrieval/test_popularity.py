import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from shortlist.data.catalogue import Catalogue
from shortlist.data.eligible import Eligible
from shortlist.data.interactions import Interactions
from shortlist.data.snapshot import Snapshot
from shortlist.errors import ConfigError, NotReadyError
from shortlist.retrieval import Popularity
from shortlist.testing import ladder

DAY = 86_400
TABLE = pl.DataFrame(
    {
        "user_id": [0, 1, 2, 0, 1, 0],
        "item_id": ["a", "a", "a", "b", "b", "c"],
        "rating": [3.0, 3, 3, 5, 4, 5],
        "timestamp": [0, 0, DAY, 10 * DAY, 0, 20 * DAY],
    }
)
ITEMS = Catalogue.of_ids(["a", "b", "c", "never"])


def scores(model: Popularity, train: Interactions) -> NDArray[np.float32]:
    return np.asarray(model.fit(train).score_all(Snapshot.of(train).guest([]))[0])


def test_counts_by_hand() -> None:
    assert_array_equal(scores(Popularity(), Interactions(TABLE, ITEMS)), [3, 2, 1, 0])


def test_only_liked_rows_count() -> None:
    liked = Interactions(TABLE, ITEMS, positive="rating >= 4")
    assert_array_equal(scores(Popularity(), liked), [0, 2, 1, 0])


def test_bayesian_means_by_hand() -> None:
    # the mean of all is 23/6; two such ratings before the item's own
    mean = 23 / 6
    want = [(2 * mean + 9) / 5, (2 * mean + 9) / 4, (2 * mean + 5) / 3, mean]
    model = Popularity(by="rating", prior_count=2, min_count=0)
    assert_allclose(scores(model, Interactions(TABLE, ITEMS)), want, rtol=1e-6)


def test_all_ratings_count_in_a_mean_not_only_the_liked() -> None:
    model = Popularity(by="rating", prior_count=2, min_count=0)
    liked = scores(model, Interactions(TABLE, ITEMS, positive="rating >= 4"))
    assert_array_equal(liked, scores(model, Interactions(TABLE, ITEMS)))


@pytest.mark.parametrize("shift", [0.0, -10.0])
def test_items_with_few_ratings_come_after_all_the_others(shift: float) -> None:
    train = Interactions(TABLE.with_columns(pl.col("rating") + shift), ITEMS)
    model = Popularity(by="rating", prior_count=0, min_count=2)
    got = scores(model, train)
    assert got[1] > got[0] > max(got[2], got[3])  # b 4.5, a 3; c has one rating
    assert got[2] > got[3]  # one 5; nothing, so the mean of all


def test_recent_rows_weigh_more_by_hand() -> None:
    # at day 20, half as much for every 10 days: a 1/4 + 1/4 + 2^-1.9, b 1/2 + 1/4, c 1
    model = Popularity(by="recent", half_life_days=10)
    want = [0.5 + 2**-1.9, 0.75, 1, 0]
    assert_allclose(scores(model, Interactions(TABLE, ITEMS)), want, rtol=1e-6)


@pytest.mark.parametrize("start", [-(10**10), 10**9])
def test_the_origin_of_time_does_not_matter(start: int) -> None:
    moved = Interactions(TABLE.with_columns(pl.col("timestamp") + start), ITEMS)
    model = Popularity(by="recent", half_life_days=10)
    assert_array_equal(scores(model, moved), scores(model, Interactions(TABLE, ITEMS)))


def test_the_ladder_is_climbed_in_order() -> None:
    train = ladder(items=6, never_taken=2)
    queries = Snapshot.of(train).queries([0, 5, 99])
    top = Popularity().fit(train).retrieve(queries, 10)
    assert_array_equal(top.rows, [[0, 1, 2, 3, 4, 5, 6, 7, -1, -1]] * 3)
    seen = Eligible.of(3, excluded=(queries.history_rows, queries.offsets))
    top = Popularity().fit(train).retrieve(queries, 3, seen)
    assert_array_equal(top.rows, [[6, 7, -1], [1, 2, 3], [0, 1, 2]])


def test_what_is_missing_or_out_of_range() -> None:
    train = ladder()
    with pytest.raises(NotReadyError, match="'rating'"):
        Popularity(by="rating").fit(train)
    with pytest.raises(NotReadyError, match="'timestamp'"):
        Popularity(by="recent").fit(train)
    with pytest.raises(ConfigError, match="popularity cannot say which items are alike"):
        Popularity().fit(train).similar(np.array([0], np.int32), 1)
    with pytest.raises(ConfigError, match="by must be one of"):
        Popularity(by="fame")  # type: ignore[arg-type]
    for name, value in (("half_life_days", 0), ("prior_count", -1), ("min_count", -1)):
        with pytest.raises(ConfigError, match=name):
            Popularity(**{name: value})  # type: ignore[arg-type]
    for name in ("half_life_days", "prior_count"):
        with pytest.raises(ConfigError, match=name):
            Popularity(**{name: float("nan")})  # type: ignore[arg-type]
