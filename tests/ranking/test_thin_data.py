"""Rankers of every kind on data that says next to nothing: they fit, and answer what they can."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

import shortlist as sl
from shortlist.errors import DataError
from shortlist.ranking import Biases, Boosted, Factorisation, ListNetwork, RatingNetwork, Stack
from shortlist.retrieval import EASE
from shortlist.testing import worlds

_SHORT: dict[str, Any] = {"sweeps": 6, "burn_in": 2, "draws": 2, "dim": 2}


def _rating_models() -> list[Any]:
    return [Biases(), Factorisation(**_SHORT), Stack([Factorisation(**_SHORT), Biases()])]


def _boosted() -> Boosted:
    pytest.importorskip("lightgbm")
    return Boosted(trees=3, least=2)


def _equal_ratings() -> sl.Interactions:
    world = worlds.small_world(positive=None)
    return sl.Interactions(
        world.table.with_columns(rating=pl.lit(4.0)), world.catalogue, world.users
    )


def test_equal_ratings_are_predicted_as_they_are() -> None:
    pytest.importorskip("torch")
    train = _equal_ratings()
    for model in [*_rating_models(), RatingNetwork(epochs=1, dim=4)]:
        rec = sl.Recommender(EASE(l2=10.0), model, rank_lists=False).fit(train)
        assert_allclose(rec.predict("u0")["prediction"].to_numpy(), 4.0, atol=0.05)


def test_lists_are_ranked_where_all_ratings_are_equal() -> None:
    pytest.importorskip("torch")
    models: list[Any] = [_boosted(), ListNetwork(epochs=1, rating_weight=1.0)]
    for model in models:
        rec = sl.Recommender(EASE(l2=10.0), model, candidates=20).fit(_equal_ratings())
        assert np.isfinite(rec.recommend("u0", k=5)["score"].to_numpy()).all()


def test_a_user_with_one_rating_is_answered() -> None:
    world = worlds.small_world(positive=None)
    one = world.table.head(1).with_columns(user_id=pl.lit("once"))
    train = sl.Interactions(pl.concat([world.table, one]), world.catalogue, world.users)
    for model in [*_rating_models(), _boosted()]:
        rec = sl.Recommender(EASE(l2=10.0), model, candidates=20).fit(train)
        found = rec.recommend("once", k=5)
        assert len(found) == 5
        assert np.isfinite(found["score"].to_numpy()).all()
        assert np.isfinite(rec.predict("once")["prediction"].to_numpy()).all()


def test_one_rating_in_all_is_enough_to_predict_and_too_little_to_rank_lists() -> None:
    rows = pl.DataFrame({"user_id": ["a"], "item_id": ["x"], "rating": [3.0], "timestamp": [0]})
    train = sl.Interactions(rows)
    for model in _rating_models():
        asked = sl.Recommender(EASE(), model, rank_lists=False).fit(train)
        assert_allclose(asked.predict("a", ["x"])["prediction"].to_numpy(), 3.0, atol=0.05)
    with pytest.raises(DataError, match=r"nothing to learn|hold"):
        sl.Recommender(EASE(), _boosted()).fit(train)
