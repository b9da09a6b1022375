"""Contributions of history entries, by hand."""

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from shortlist.data.interactions import Interactions
from shortlist.data.protocols import Retriever
from shortlist.data.queries import Queries
from shortlist.retrieval import (
    EASE,
    GraphFilter,
    Neighbours,
    NextItem,
    ease,
    explaining,
    graph_filter,
)
from shortlist.retrieval.explaining import leaving_out
from shortlist.testing import checkerboard
from shortlist.testing.worlds import small_world


def question(rows: list[int], liked: list[bool]) -> Queries:
    return Queries(
        np.array([-1], np.int32),
        np.array(rows, np.int32),
        np.array([0, len(rows)], np.int64),
        np.array(liked),
    )


def each_alone(
    model: Retriever, asked: Queries, rows: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Of a score that is a sum over the history, slowly: the score of each entry as a whole history."""
    wanted = rows[asked.askers]
    added = model.score(Queries.of_items(asked.history_rows), wanted)
    added[~asked.counted] = 0.0
    added[wanted < 0] = 0.0
    return added


def test_an_item_counts_once_at_its_latest_liked_entry() -> None:
    asked = question([4, 2, 4, 6, 4], [True, True, True, False, False])
    # 4 is liked at places 0 and 2 (its last entry is a dislike): place 2 counts; 6 is not liked
    assert asked.counted.tolist() == [False, True, True, False, False]


def test_a_sum_and_leaving_out_agree_on_a_linear_model() -> None:
    train, _ = checkerboard()
    model = EASE(l2=10.0).fit(train)
    asked, rows = question([0, 2, 3], [True, True, True]), np.array([[4, 5, -1]], np.int32)
    alone, out = each_alone(model, asked, rows), leaving_out(model, asked, rows)
    np.testing.assert_allclose(alone, out, atol=1e-6)
    assert (alone[:2, 0] > alone[2, 0]).all()  # 0 and 2 speak for 4, and 3 does not
    assert alone[2, 1] > alone[0, 1]
    assert (alone[:, 2] == 0).all()
    np.testing.assert_allclose(
        alone[:, :2].sum(axis=0), model.score(asked, rows)[0, :2], atol=1e-6
    )


@pytest.mark.parametrize("model", [EASE(l2=10.0), GraphFilter(rank=3)], ids=lambda m: m.name)
@pytest.mark.parametrize("small", [10**6, 0], ids=["multiplied out", "by users"])
def test_a_direct_sum_is_the_score_of_each_entry_alone(
    model: EASE | GraphFilter, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (ease, graph_filter):
        monkeypatch.setattr(module, "_SMALL_CATALOGUE", small)
    pairs = np.argwhere(
        np.random.default_rng(7).random((15, 30)) < 0.4
    )  # fewer users than items
    train = Interactions(pl.DataFrame({"user_id": pairs[:, 0], "item_id": pairs[:, 1]}))
    model = model.settled().fit(train)
    asked, rows = question([0, 2, 0, 5], [True, True, True, False]), np.array([[4, -1, 2, 0]])
    want = each_alone(model, asked, rows.astype(np.int32))
    np.testing.assert_allclose(model.explain(asked, rows.astype(np.int32)), want, atol=1e-6)
    assert (want[1:3] != 0).any()
    direct = {"own", "basis"} & set(model.state().arrays)
    assert bool(direct) == (small == 0)


@pytest.mark.parametrize("weighting", ["cosine", "bm25"])
def test_neighbours_say_what_each_entry_says_alone(weighting: str) -> None:
    model = Neighbours(weighting=weighting).fit(small_world())
    asked = question([0, 9, 2, 9, 3], [True, True, False, True, True])
    rows = np.array([[4, 1, -1, 7]], np.int32)
    want = each_alone(model, asked, rows)
    np.testing.assert_array_equal(model.explain(asked, rows), want)
    assert (want[[0, 3, 4]] != 0).any()


def test_next_item_tells_what_leaving_each_item_out_changes() -> None:
    model = NextItem(l2=5.0, ease_l2=5.0).fit(small_world())
    asked = question([0, 9, 2, 5, 3], [True, True, False, True, True])
    rows = np.array([[4, 1, -1, 7]], np.int32)
    want = leaving_out(model, asked, rows)
    np.testing.assert_allclose(model.explain(asked, rows), want, atol=1e-5)
    assert (want[[0, 1, 3, 4]][:, [0, 1, 3]] != 0).all()


def test_of_a_long_history_the_latest_entries_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train, _ = checkerboard()
    model = EASE(l2=10.0).fit(train)
    asked, rows = question([0, 2, 3, 6], [True, True, True, False]), np.array([[4]], np.int32)
    whole = leaving_out(model, asked, rows)
    monkeypatch.setattr(explaining, "_LATEST", 2)
    assert leaving_out(model, asked, rows).tolist() == [[0.0], *whole[1:].tolist()]
