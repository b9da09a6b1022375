"""Which items of a history speak for an item, as people read it."""

import numpy as np
import polars as pl
import pytest

import shortlist as sl
from shortlist.testing import checkerboard


def test_the_shares_are_those_of_the_contributions_that_speak_for_the_item() -> None:
    train, _ = checkerboard()
    model = sl.retrieval.EASE(l2=10.0)
    rec = sl.Recommender(model).fit(train)
    table = rec.recommend(history=[0, 2, 3], k=1, explain=True)
    item, because = table["item_id"][0], table["because"][0]
    asked = rec.snapshot.guest([0, 2, 3])
    added = model.explain(asked, np.array([[item]], np.int32))[:, 0]
    speaks = np.maximum(added, 0)
    assert [one["item_id"] for one in because] == [
        [0, 2, 3][i] for i in np.argsort(-speaks, kind="stable") if speaks[i] > 0
    ]
    assert [one["share"] for one in because] == pytest.approx(
        sorted((speaks[speaks > 0] / speaks.sum()).tolist(), reverse=True), abs=1e-6
    )


def test_fallback_and_popularity_give_no_reasons() -> None:
    train, _ = checkerboard()
    guessing = sl.Recommender(sl.retrieval.EASE(l2=10.0)).fit(train)
    assert guessing.recommend("stranger", k=3, explain=True)["because"].to_list() == [
        [],
        [],
        [],
    ]
    popular = sl.Recommender(sl.retrieval.Popularity()).fit(train)
    assert popular.recommend(0, k=2, explain=True)["because"].to_list() == [[], []]


def test_each_of_many_users_gets_their_own_reasons() -> None:
    train, _ = checkerboard()
    rec = sl.Recommender(sl.retrieval.EASE(l2=10.0)).fit(train)
    together = rec.recommend(users=[0, 1, 2], k=2, explain=True)
    alone = pl.concat([rec.recommend(user, k=2, explain=True) for user in (0, 1, 2)])
    assert together["because"].to_list() == alone["because"].to_list()
    for user, because in zip(together["user_id"], together["because"], strict=True):
        assert all(one["item_id"] % 2 == user % 2 for one in because)


def test_nobody_asking_gets_an_empty_column() -> None:
    train, _ = checkerboard()
    rec = sl.Recommender(sl.retrieval.EASE(l2=10.0)).fit(train)
    assert rec.recommend(users=[], explain=True)["because"].to_list() == []
