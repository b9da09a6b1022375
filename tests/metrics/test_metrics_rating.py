"""Rating errors: by hand and against scikit-learn."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from shortlist.errors import ShapeError
from shortlist.metrics.rating import mae, rating_errors, rmse


def test_errors_are_summed_per_user_by_hand() -> None:
    predicted, given = np.array([3.0, 5.0, 1.0]), np.array([4.0, 3.0, 1.0])
    found = rating_errors(predicted, given, np.array([2, 0, 2]), 3)
    assert_allclose(found.squared, [4, 0, 1])
    assert_allclose(found.absolute, [2, 0, 1])
    assert_array_equal(found.rows, [1, 0, 2])
    assert rmse(predicted, given) == pytest.approx(math.sqrt((1 + 4 + 0) / 3))
    assert mae(predicted, given) == pytest.approx((1 + 2 + 0) / 3)


def test_rows_without_a_prediction_are_counted_and_left_out() -> None:
    predicted = np.array([np.nan, 4.0, np.inf], np.float32)
    found = rating_errors(predicted, np.array([3.0, 3.0, 3.0]), np.array([0, 0, 1]), 2)
    assert found.unpredicted == 2
    assert_array_equal(found.rows, [1, 0])
    assert rmse(predicted, np.full(3, 3.0)) == 1.0


def test_nothing_predicted_has_no_error() -> None:
    nothing = np.full(2, np.nan)
    assert math.isnan(rmse(nothing, np.ones(2)))
    assert math.isnan(mae(nothing, np.ones(2)))


def test_agrees_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    predicted, given = rng.normal(3, 1, 500), rng.integers(1, 6, 500).astype(np.float64)
    assert rmse(predicted, given) == pytest.approx(
        metrics.root_mean_squared_error(given, predicted)
    )
    assert mae(predicted, given) == pytest.approx(metrics.mean_absolute_error(given, predicted))


def test_arrays_that_do_not_line_up_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"predicted \(2,\), given \(3,\).*answer NaN"):
        rating_errors(np.ones(2), np.ones(3), np.zeros(3, int), 1)
