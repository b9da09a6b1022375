"""Audiences: share times activity worked out by hand, and one pass for several items."""

from functools import cache
from typing import ClassVar, Self

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from shortlist.data.catalogue import Catalogue
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import State
from shortlist.data.queries import Queries
from shortlist.errors import ConfigError
from shortlist.recommender import Recommender
from shortlist.retrieval import EASE
from shortlist.retrieval.dense import DenseRetriever
from shortlist.testing import small_world


def few_people() -> Interactions:
    # by rows: ann has 3 of 5 items, bob 1, cyd 2
    rows = [("ann", "a"), ("ann", "b"), ("ann", "c"), ("bob", "a"), ("cyd", "a"), ("cyd", "b")]
    return Interactions(
        pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row"),
        Catalogue(pl.DataFrame({"item_id": list("abcde")})),
    )


@cache
def ease() -> Recommender:
    return Recommender(EASE(l2=5.0)).fit(small_world())


class Given(DenseRetriever):
    """Scores by hand: items a to e; ann lacks d and e, bob b to e, cyd c to e."""

    name: ClassVar[str] = "given"

    def fit(self, train: Interactions, *, validate: Interactions | None = None) -> Self:
        return self

    @classmethod
    def from_state(cls, state: State) -> Self:
        return cls()

    def state(self) -> State:
        return State({})

    def knows(self, queries: Queries) -> NDArray[np.bool_]:
        return queries.liked_counts > 0

    def score_all(self, queries: Queries) -> NDArray[np.float32]:
        given = [[9, 9, 9, 1, 2], [9, 5, 4, 4, 3], [9, 9, 0, 0, 0]]
        return np.array(given, np.float32)[queries.user_rows]


def test_audience_is_share_times_activity_by_hand() -> None:
    rec = Recommender(Given()).fit(few_people())
    table = rec.audience("d", k=9)
    # ann: place 1 of 2, 3 rows: 3 / 11 of 1/10 + 1/11; bob: places 1 and 2 tied, so 1.5 of 4, 1 row;
    # cyd: all three tied, so place 1 of 3, 2 rows
    places = [1 / (10 + r) for r in range(5)]
    want = {
        "ann": 3 / 11 / sum(places[:2]),
        "bob": 1 / 11.5 / sum(places[:4]),
        "cyd": 2 / 11 / sum(places[:3]),
    }
    assert table["user_id"].to_list() == ["ann", "cyd", "bob"]
    assert table["rank"].to_list() == [1, 2, 3]
    assert_allclose(
        table["score"], np.log([want[user] for user in table["user_id"]]), rtol=1e-6
    )


def test_audience_of_those_who_have_it_counts_places_among_all_items() -> None:
    rec = Recommender(Given()).fit(few_people())
    assert rec.audience("a")["user_id"].to_list() == []
    table = rec.audience("a", keep_seen=True)
    # ann: three tied at the top, so place 1; bob: place 0; cyd: two tied, so .5; of 5
    everything = sum(1 / (10 + r) for r in range(5))
    assert table["user_id"].to_list() == ["ann", "cyd", "bob"]
    want = [3 / 11 / everything, 2 / 10.5 / everything, 1 / 10 / everything]
    assert_allclose(table["score"], np.log(want), rtol=1e-6)


def test_several_items_give_the_audience_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    rec = ease()
    one_by_one = [
        rec.audience(item, k=7).insert_column(0, pl.Series("item_id", [item] * 7))
        for item in ("i5", "i2")
    ]
    together = rec.audience(items=["i5", "i2"], k=7)
    assert together.equals(pl.concat(one_by_one))
    cells = "shortlist.recommender.audience._CELLS"
    monkeypatch.setattr(cells, 5 * rec.snapshot.n_items)  # users by fives
    assert rec.audience(items=["i5", "i2"], k=7).equals(together)
    assert rec.audience(items=[]).is_empty()
    assert rec.audience(items=pl.Series(["i5", "i2"]), k=7).equals(together)


def test_audience_needs_exactly_one_of_item_and_items() -> None:
    for wrong in ({}, {"item": "i5", "items": ["i2"]}):
        with pytest.raises(ConfigError, match="exactly one of item and items="):
            ease().audience(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="items takes a list of ids"):
        ease().audience(items="i5")
