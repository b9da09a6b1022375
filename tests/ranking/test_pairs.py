"""Features of a pair: by hand, against a slow loop, and of the time of asking only."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import shortlist as sl
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import Candidates
from shortlist.ranking.likeness import following, together
from shortlist.ranking.pairs import NOT_PROPOSED, PairFeatures
from shortlist.testing import worlds

if TYPE_CHECKING:
    from shortlist.data.queries import Queries

DAY = 86_400
# a takes x y z, b takes x y, c takes y; b rated x 1 and y 5
TABLE = pl.DataFrame(
    {
        "user_id": ["a", "a", "a", "b", "b", "c"],
        "item_id": ["x", "y", "z", "x", "y", "y"],
        "timestamp": [0, 50 * DAY, 200 * DAY, 10 * DAY, 150 * DAY, 190 * DAY],
        "rating": [3.0, 3.0, 3.0, 1.0, 5.0, 3.0],
    }
)
ITEMS = pl.DataFrame(
    {
        "item_id": ["x", "y", "z", "new"],
        "genres": [["A"], ["A", "B"], ["B"], ["C"]],
        "year": [1990, 2000, 2010, 2020],
    }
)


def small() -> sl.Interactions:
    return sl.read(TABLE, items=ITEMS)


def candidates(rows: list[list[int]]) -> Candidates:
    array = np.array(rows, np.int32)
    scores = np.where(array >= 0, 1.0, -np.inf).astype(np.float32)
    own = np.array([[[3.0, 1.0, np.nan]]] * 1, np.float32)  # the third was not proposed
    ranks = np.array([[[1, 2, 0]]], np.int32)
    n = len(rows)
    return Candidates(
        array, scores, ("ease",), np.tile(own, (1, n, 1)), np.tile(ranks, (1, n, 1))
    )


def by_name(features: PairFeatures, values: Any, asker: int, place: int) -> dict[str, float]:
    return dict(zip(features.names, values[asker, place].tolist(), strict=True))


def test_every_kind_of_feature_by_hand() -> None:
    known = small()
    features = PairFeatures.of(known, ("ease",))
    queries = Snapshot.of(known).queries(["b"])
    values = features.table(queries, candidates([[2, 3, -1]]))
    z, new = by_name(features, values, 0, 0), by_name(features, values, 0, 1)
    assert z["ease score"] == 1.0  # 3 and 1: mean 2, spread 1
    assert new["ease score"] == -1.0
    assert z["ease place"] == 0.0
    assert new["ease place"] == pytest.approx(np.log(2))
    unknown = by_name(features, values, 0, 2)
    assert unknown["ease score"] == NOT_PROPOSED
    # y and z share one of 3 and 1 users; x and z one of 2 and 1
    assert z["like last 1"] == pytest.approx(1 / np.sqrt(3))
    assert z["like last 3"] == pytest.approx(1 / np.sqrt(3) + 1 / np.sqrt(2))
    # a: x y z. z comes one step after y, two after x
    assert z["follows last 1"] == pytest.approx(1 / np.sqrt(3))
    assert z["follows last 10"] == pytest.approx(1 / np.sqrt(3) + 0.5 / np.sqrt(2))
    assert new["like last 10"] == unknown["like last 10"] == 0.0
    # 6 liked rows, 4 items, each half a row more: z has 1; of the last 90 days z 1, y 2
    assert z["popularity"] == pytest.approx(np.log(1.5 / 8))
    assert z["popularity, 90 days"] == pytest.approx(np.log(1.5 / 5))
    assert z["popularity, 30 days"] == pytest.approx(np.log(1.5 / 4))
    assert z["trend"] == pytest.approx(np.log(1.5 / 5) - np.log(1.5 / 8))
    assert z["item age"] == 0.0
    assert z["mean rating"] == pytest.approx(3.0)
    # b liked x (A) and y (half A, half B): three quarters A, a quarter B
    assert z["match of genres"] == pytest.approx(0.25)
    assert new["match of genres"] == 0.0
    # years 1990 to 2020: mean 2005, spread sqrt(125); b's mean is 1995
    assert z["item year"] == pytest.approx(5 / np.sqrt(125))
    assert z["distance of year"] == pytest.approx(15 / np.sqrt(125))
    assert z["activity"] == pytest.approx(np.log(3))
    assert z["time since last"] == pytest.approx(np.log1p(50))
    assert z["own mean rating"] == pytest.approx((6 + 5 * 3) / 7)
    assert np.isfinite(values).all()


def test_facts_are_of_the_time_of_asking() -> None:
    known = small()
    earlier = known.subset(known.table["timestamp"].to_numpy() < 100 * DAY)
    features = PairFeatures.of(earlier, ())
    later = features.at(known)
    assert later.names == features.names
    queries = Snapshot.of(earlier).queries(["a"])
    bare = Candidates(
        np.array([[2]], np.int32),
        np.zeros((1, 1), np.float32),
        (),
        np.empty((0, 1, 1), np.float32),
        np.empty((0, 1, 1), np.int32),
    )
    before = by_name(features, features.table(queries, bare), 0, 0)
    after = by_name(later, later.table(queries, bare), 0, 0)
    assert before["popularity"] == pytest.approx(np.log(0.5 / 5))  # 3 rows, none of z
    assert after["popularity"] == pytest.approx(np.log(1.5 / 8))
    assert before["follows last 1"] == 0.0 < after["follows last 1"]


@pytest.mark.parametrize("seed", [0, 1])
def test_likeness_against_a_slow_loop(seed: int) -> None:
    train = worlds.small_world(seed=seed)
    near, next_to = together(train).toarray(), following(train).toarray()
    n = len(train.item_vocabulary)
    count, both, after = np.zeros(n), np.zeros((n, n)), np.zeros((n, n))
    for user in range(len(train.user_vocabulary)):
        rows = [r for r in train.time_order if train.user_rows[r] == user and train.liked[r]]
        items = [int(train.item_rows[r]) for r in rows]
        for place, item in enumerate(items):
            count[item] += 1
            for other in items:
                both[item, other] += item != other
            for step in (1, 2, 3):
                if place + step < len(items):
                    after[item, items[place + step]] += 1 / step
    norm = np.sqrt(np.outer(np.maximum(count, 1), np.maximum(count, 1)))
    assert_allclose(near, both / norm, atol=1e-6)
    np.fill_diagonal(after, 0)
    assert_allclose(next_to, after / norm, atol=1e-6)


def test_without_times_ratings_or_columns() -> None:
    train = worlds.small_world(positive=None)
    bare = sl.Interactions(train.table.select("user_id", "item_id"))
    features = PairFeatures.of(bare, ())
    assert not following(bare).nnz
    assert not [name for name in features.names if "genres" in name or "user " in name]
    values = features.table(
        Snapshot.of(bare).guest(["i0"]),
        Candidates(
            np.array([[0, 1]], np.int32),
            np.zeros((1, 2), np.float32),
            (),
            np.empty((0, 1, 2), np.float32),
            np.empty((0, 1, 2), np.int32),
        ),
    )
    assert np.isfinite(values).all()


def test_scores_that_are_not_finite_count_as_not_proposed() -> None:
    known = small()
    features = PairFeatures.of(known, ("ease",))
    given = candidates([[0, 1, 2]])
    scores = given.source_scores.copy()
    scores[0, 0, 1] = np.nan
    values = features.table(
        Snapshot.of(known).queries(["c"]), replace(given, source_scores=scores)
    )
    assert_array_equal(values[0, :, 0], [0.0, NOT_PROPOSED, NOT_PROPOSED])


def test_state_gives_the_same_numbers() -> None:
    train = worlds.small_world()
    features = PairFeatures.of(train, ("ease",))
    again = PairFeatures.from_parts(features.to_json(), features.arrays())
    queries: Queries = Snapshot.of(train).queries(train.user_vocabulary.ids[:5])
    given = candidates([[0, 5, -1]] * 5)
    assert_array_equal(again.table(queries, given), features.table(queries, given))
    assert again.names == features.names
    assert "ease score" in repr(again)
