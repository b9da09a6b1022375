import logging

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

from shortlist.data.interactions import Interactions
from shortlist.data.snapshot import Snapshot
from shortlist.errors import ConfigError, NotReadyError
from shortlist.ranking import Biases, Boosted, Stack
from shortlist.ranking.stack import ridge_weights
from shortlist.testing import planted_ratings


def test_weights_by_hand() -> None:
    # one part that says 1 and 3 where the ratings are 2 and 6: spread 1, so 2 w + 10 w = 4 + 10
    assert_allclose(
        ridge_weights(np.array([[1.0], [3.0]]), np.array([2.0, 6.0]), 10.0), [7 / 6, 4 - 7 / 3]
    )


def test_what_knows_counts_and_the_pull_is_towards_equal_weights() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=500)
    predicted = np.stack([truth, rng.normal(size=500)], axis=1)
    assert_allclose(ridge_weights(predicted, 1 + truth, 1e-9), [1, 0, 1], atol=1e-6)
    assert_allclose(ridge_weights(predicted, 1 + truth, 1e9)[:2], [0.5, 0.5], atol=1e-3)


def test_a_constant_part_costs_nothing() -> None:
    predicted, ratings = np.full((4, 2), 3.0), np.array([1.0, 2, 3, 4])
    weights = ridge_weights(predicted, ratings, 10.0)
    assert_allclose(predicted @ weights[:2] + weights[2], 2.5)


def test_learns_on_rows_held_back_and_fits_again_on_all() -> None:
    train, _ = planted_ratings(noise=0.3, seed=1)
    stack = Stack([Biases(), Biases(l2_user=1e6, l2_item=1e6)]).fit(
        train
    )  # the second is the mean
    assert list(stack.chosen_weights) == ["1 bias", "2 bias", "offset"]
    assert stack.chosen_weights["1 bias"] > 0.8
    known = Snapshot.of(train)
    rows = np.tile(np.arange(5, dtype=np.int32), (3, 1))
    asked = known.queries([0, 1, 2])
    parts = [part.fit(train).predict(asked, rows) for part in stack.parts]
    one, two, offset = stack.chosen_weights.values()
    given = np.asarray(train.ratings)
    want = np.clip(one * parts[0] + two * parts[1] + offset, given.min(), given.max())
    assert_allclose(stack.predict(asked, rows), want, rtol=1e-6)


def test_validation_rows_choose_the_weights() -> None:
    whole, _ = planted_ratings(noise=0.3, seed=1)
    mask = np.random.default_rng(0).random(len(whole)) < 0.8
    stack = Stack([Biases(), Biases(l2_user=1e6)]).fit(
        whole.subset(mask), validate=whole.subset(~mask)
    )
    twin = stack.settled()
    assert twin.weights == tuple(stack.chosen_weights.values())
    with pytest.raises(NotReadyError, match="not fitted"):
        _ = twin.chosen_weights


def test_too_few_rows_give_equal_weights(caplog: pytest.LogCaptureFixture) -> None:
    table = pl.DataFrame({"user_id": ["a"], "item_id": ["x"], "rating": [4.0]})
    with caplog.at_level(logging.WARNING):
        stack = Stack([Biases(), Biases()]).fit(Interactions(table))
    assert "equal weights" in caplog.text
    assert list(stack.chosen_weights.values()) == [0.5, 0.5, 0.0]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Stack([]), "takes models that predict ratings"),
        (lambda: Stack([Biases]), "takes models that predict ratings"),  # type: ignore[list-item]
        (lambda: Stack([Boosted()]), "takes models that predict ratings"),
        (lambda: Stack(weights=[1.0]), "2 numbers, one per part, and the offset"),
        (lambda: Stack(l2=0), "l2 must be positive"),
    ],
)
def test_settings_out_of_range(make: object, words: str) -> None:
    assert callable(make)
    with pytest.raises(ConfigError, match=words):
        make()
