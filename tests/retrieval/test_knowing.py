"""Whom retrievers know: a history of items that nobody took tells them nothing."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from shortlist.data.interactions import Interactions
from shortlist.data.protocols import Retriever
from shortlist.data.queries import Queries
from shortlist.data.read import read
from shortlist.errors import LikenessError
from shortlist.retrieval import (
    ALS,
    EASE,
    Alike,
    Blend,
    Content,
    GraphFilter,
    Neighbours,
    NextItem,
    Popularity,
)
from shortlist.retrieval import ease as ease_module
from shortlist.retrieval import graph_filter as graph_module
from shortlist.retrieval.knowing import LookedAt
from shortlist.testing import small_world

MODELS: dict[str, Callable[[], Retriever]] = {
    "ease": lambda: EASE(l2=10.0),
    "graph filter": lambda: GraphFilter(rank=6, low_pass=0.3),
    "neighbours": Neighbours,
    "als": lambda: ALS(dim=8),
    "next item": lambda: NextItem(l2=10.0, ease_l2=10.0),
    "next item alone": lambda: NextItem(l2=10.0, ease=0.0),
    "blend": lambda: Blend([EASE(l2=10.0), ALS(dim=4)], weights=[0.5, 0.5]),
}
UNTAKEN = [36, 37, 38]  # of the small world


@pytest.fixture(scope="module", name="train")
def the_world() -> Interactions:
    return small_world()


def guest(*rows: int, liked: list[bool] | None = None) -> Queries:
    return Queries(
        np.array([-1], np.int32),
        np.array(rows, np.int32),
        np.array([0, len(rows)], np.int64),
        np.array([True] * len(rows) if liked is None else liked, bool),
    )


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_an_item_is_known_where_it_moves_the_scores(
    name: str, train: Interactions, monkeypatch: pytest.MonkeyPatch, *, small: bool
) -> None:
    if not small:  # the forms of large catalogues
        monkeypatch.setattr(ease_module, "_SMALL_CATALOGUE", 1)
        monkeypatch.setattr(graph_module, "_SMALL_CATALOGUE", 1)
    train = train if small else small_world(users=20, items=60)
    n_items = len(train.item_vocabulary)
    taken = np.bincount(train.item_rows[train.liked], minlength=n_items) > 0
    assert 0 < taken.sum() < n_items
    model = MODELS[name]().fit(train)
    every = Queries.of_items(np.arange(n_items, dtype=np.int32))
    moved = (model.score_all(every) != model.score_all(guest())).any(axis=1)
    assert not moved[~taken].any()
    assert moved[taken].mean() > 0.9  # of what somebody took last, next item learns nothing
    rebuilt = type(model).from_state(model.state())
    for one in (model, rebuilt):
        assert one.knows(every).tolist() == moved.tolist()
    nothing = np.flatnonzero(~taken).astype(np.int32)
    assert (model.similar(nothing, 3).rows == -1).all()
    assert (model.similar(np.flatnonzero(taken)[:2].astype(np.int32), 3).rows >= 0).all()


@pytest.mark.parametrize("name", MODELS)
def test_one_item_that_somebody_took_is_enough(name: str, train: Interactions) -> None:
    model = MODELS[name]().fit(train)
    assert not model.knows(guest(*UNTAKEN)).any()
    assert model.knows(guest(36, 3, 37)).all()
    assert not model.knows(guest(36, 3, liked=[True, False])).any()  # 3 was not liked


def test_nobodys_neighbour_tells_of_no_item() -> None:
    # a and b share 3 users, b and c only 1: each keeps 1 neighbour, so c has b and nobody has c
    pairs = [("u", "a"), ("u", "b"), ("v", "a"), ("v", "b"), ("w", "a"), ("w", "b")]
    pairs += [("x", "b"), ("x", "c")]
    table = pl.DataFrame(pairs, schema=["user_id", "item_id"], orient="row")
    train = read(table)
    model = Neighbours(neighbours=1).fit(train)
    rows = train.item_vocabulary.rows(pl.Series(["a", "b", "c"]))
    asked = Queries.of_items(rows)
    assert model.knows(asked).tolist() == [True, True, False]
    assert not model.score_all(asked)[2].any()
    assert (model.similar(rows[2:], 1).rows == rows[1]).all()  # its own neighbour it has


def test_content_knows_what_it_can_describe(train: Interactions) -> None:
    assert Content().fit(train).knows(guest(36)).all()  # nobody took it, and it has genres
    table = train.catalogue.table.with_columns(
        pl.when(pl.col("item_id") == train.item_vocabulary.ids[36])
        .then(None)
        .otherwise(pl.col("genres"))
        .alias("genres")
    )
    bare = Interactions(train.table, type(train.catalogue)(table), train.users, train.positive)
    model = Content(features=["genres"]).fit(bare)
    assert model.knows(guest(36)).tolist() == [False]
    assert model.knows(guest(37)).tolist() == [True]


def test_a_blend_cannot_say_what_is_like_an_item_for_two_reasons(train: Interactions) -> None:
    blend = Blend([EASE(l2=10.0), Popularity()], weights=[0.5, 0.5]).fit(train)
    assert (blend.similar(np.array([36], np.int32), 3).rows == -1).all()  # of this one
    deaf = Blend([Popularity(), Alike(features=["town"])], weights=[0.5, 0.5]).fit(train)
    with pytest.raises(LikenessError, match="no part of this blend"):  # of any
        deaf.similar(np.array([36], np.int32), 3)


def test_an_item_is_looked_up_once_and_what_it_says_of_itself_does_not_count() -> None:
    # two blocks of 3 items: item 0 says something of item 2 in the second; item 1 of itself alone
    weights = np.zeros((6, 3), np.float32)
    weights[[3, 1, 4], [2, 1, 1]] = [-0.5, 2.0, 3.0]
    seen = LookedAt(weights)
    rows = np.array([1, 0, 0, 1], np.int32)
    assert seen.says(rows).tolist() == [False, True, True, False]
    weights[:] = 0
    weights[2, 0] = 1
    assert seen.says(np.array([2, 0], np.int32)).tolist() == [True, True]
    assert seen.says(rows[:0]).tolist() == []
