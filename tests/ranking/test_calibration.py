"""Calibration beside scikit-learn's isotonic regression and logistic curve."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from shortlist.errors import ConfigError, DataError
from shortlist.ranking.calibration import Calibration, Curve, check_curve


def drawn(seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=3000).round(2).astype(np.float32)  # with ties
    return scores, rng.random(3000) < 1 / (1 + np.exp(-(1.5 * scores - 2)))


def test_isotonic_is_that_of_scikit_learn() -> None:
    scores, taken = drawn()
    curve = Calibration.fit("isotonic", scores, taken)
    other = IsotonicRegression(out_of_bounds="clip").fit(scores.astype(np.float64), taken)
    asked = np.linspace(-6, 6, 501)
    assert_allclose(curve(asked), other.predict(asked), atol=1e-6)
    assert len(curve.at) < 200  # steps, not points


def test_isotonic_by_hand() -> None:
    # 1, 0 at scores 1, 2 is out of order: both are 1/2; 3 is 1; between 2 and 3 a straight line
    curve = Calibration.fit(
        "isotonic", np.array([1.0, 2.0, 3.0]), np.array([True, False, True])
    )
    assert_array_equal(
        curve(np.array([0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 9.0])),
        np.array([0.5, 0.5, 0.5, 0.5, 0.75, 1, 1], np.float32),
    )


def test_platt_is_a_logistic_curve() -> None:
    scores, taken = drawn()
    curve = Calibration.fit("platt", scores, taken)
    other = LogisticRegression(C=np.inf).fit(scores[:, None].astype(np.float64), taken)
    asked = np.linspace(-3, 3, 31)
    assert_allclose(curve(asked), other.predict_proba(asked[:, None])[:, 1], atol=2e-3)
    # Platt's targets are a little inside 0 and 1, so that a split without overlap has an answer
    apart = Calibration.fit("platt", np.array([0.0, 1.0]), np.array([False, True]))
    assert_allclose(apart(np.array([0.0, 1.0])), [1 / 3, 2 / 3], atol=1e-5)


def test_equal_scores_give_the_share() -> None:
    both: tuple[Curve, ...] = ("isotonic", "platt")
    for how in both:
        curve = Calibration.fit(how, np.zeros(10), np.arange(10) < 3)
        assert curve(np.zeros(2)) == pytest.approx([0.3, 0.3], abs=0.05)


def test_what_cannot_be_learned_is_refused() -> None:
    with pytest.raises(DataError, match="0 of 3"):
        Calibration.fit("platt", np.zeros(3), np.zeros(3, bool))
    with pytest.raises(DataError, match="3 of 3"):
        Calibration.fit("isotonic", np.zeros(3), np.ones(3, bool))
    with pytest.raises(ConfigError, match="isotonic"):
        check_curve("often")
