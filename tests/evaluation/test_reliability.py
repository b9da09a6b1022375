"""Reliability beside scikit-learn's, and by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.calibration import calibration_curve

from shortlist.errors import ConfigError, DataError, ShapeError
from shortlist.evaluation.reliability import reliability


def test_two_bins_by_hand() -> None:
    # .1 .2 | .6 .8 in halves: means .15 and .7, taken 0 of 2 and 1 of 2; error .5 * .15 + .5 * .2
    told = reliability(
        np.array([0.1, 0.2, 0.6, 0.8]), np.array([False, False, True, False]), bins=2, even=True
    )
    assert_allclose(told.predicted, [0.15, 0.7])
    assert_array_equal(told.observed, [0.0, 0.5])
    assert_array_equal(told.pairs, [2, 2])
    assert told.error == pytest.approx(0.175)
    assert told.table.shape == (2, 3)
    assert "expected calibration error 0.1750" in str(told)
    assert "4 pairs in 2 bins" in repr(told)


@pytest.mark.parametrize("even", [True, False])
def test_the_bins_are_those_of_scikit_learn(even: bool) -> None:
    rng = np.random.default_rng(0)
    predicted = rng.beta(1, 4, 5000)
    taken = rng.random(5000) < predicted**1.3
    told = reliability(predicted, taken, bins=8, even=even)
    strategy = "uniform" if even else "quantile"
    observed, mean = calibration_curve(taken, predicted, n_bins=8, strategy=strategy)
    assert_allclose(told.observed, observed)
    assert_allclose(told.predicted, mean)


def test_true_probabilities_have_a_small_error() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.random(100_000)
    assert reliability(predicted, rng.random(100_000) < predicted).error < 0.01


def test_equal_predictions_stay_together() -> None:
    told = reliability(np.full(7, 0.3), np.arange(7) < 3)
    assert_array_equal(told.pairs, [7])
    assert told.error == pytest.approx(abs(0.3 - 3 / 7))


def test_what_is_no_probability_is_refused() -> None:
    yes = np.array([True])
    with pytest.raises(DataError, match=r"1\.5"):
        reliability(np.array([1.5]), yes)
    with pytest.raises(DataError, match="nothing"):
        reliability(np.empty(0), np.empty(0, bool))
    with pytest.raises(DataError, match="nan"):
        reliability(np.array([np.nan]), yes)
    with pytest.raises(ShapeError):
        reliability(np.array([0.5, 0.5]), yes)
    with pytest.raises(ConfigError):
        reliability(np.array([0.5]), yes, bins=0)
