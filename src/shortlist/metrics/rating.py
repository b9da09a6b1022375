"""How far predicted ratings are from the given ones.

Errors are summed per user, because users are what an interval resamples: the rows of one user err
together. ``rmse`` and ``mae`` themselves are over rows, as everybody reports them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.errors import ShapeError


@dataclass(frozen=True, eq=False)
class RatingErrors:
    """The errors of each user, summed.

    Attributes:
        squared: (n,) sums of squared errors.
        absolute: (n,) sums of absolute errors.
        rows: (n,) int64 rows that were predicted.
        unpredicted: rows without a finite prediction; left out of the sums.
    """

    squared: NDArray[np.float64]
    absolute: NDArray[np.float64]
    rows: NDArray[np.int64]
    unpredicted: int


def rating_errors(
    predicted: NDArray[np.floating],
    given: NDArray[np.floating],
    users: NDArray[np.integer],
    n: int,
) -> RatingErrors:
    """Sum the errors of each user.

    Args:
        predicted: (rows,) predicted ratings; NaN where the model had no answer.
        given: (rows,) the users' own ratings.
        users: (rows,) number of each row's user, 0 to n - 1.
        n: how many users there are.

    Returns:
        RatingErrors over n users.

    Raises:
        ShapeError: the three arrays differ in length.
    """
    if not predicted.shape == given.shape == users.shape:
        msg = (
            f"predicted {predicted.shape}, given {given.shape} and users {users.shape} must line up, "
            "one entry per row. Did the model skip rows it does not know? It must answer NaN there"
        )
        raise ShapeError(msg)
    known = np.isfinite(predicted)
    error = predicted[known].astype(np.float64) - given[known]
    who = users[known]
    return RatingErrors(
        np.bincount(who, error**2, minlength=n).astype(np.float64),
        np.bincount(who, np.abs(error), minlength=n).astype(np.float64),
        np.bincount(who, minlength=n).astype(np.int64),
        int(len(known) - known.sum()),
    )


def rmse(predicted: NDArray[np.floating], given: NDArray[np.floating]) -> float:
    """Root of the mean squared error over rows.

    Args:
        predicted: (rows,) predicted ratings; rows that are not finite are left out.
        given: (rows,) the users' own ratings.

    Returns:
        The error in units of the rating; NaN without a predicted row.
    """
    total = rating_errors(predicted, given, np.zeros(len(given), np.int64), 1)
    return float(np.sqrt(total.squared[0] / total.rows[0])) if total.rows[0] else float("nan")


def mae(predicted: NDArray[np.floating], given: NDArray[np.floating]) -> float:
    """Mean absolute error over rows.

    Args:
        predicted: (rows,) predicted ratings; rows that are not finite are left out.
        given: (rows,) the users' own ratings.

    Returns:
        The error in units of the rating; NaN without a predicted row.
    """
    total = rating_errors(predicted, given, np.zeros(len(given), np.int64), 1)
    return float(total.absolute[0] / total.rows[0]) if total.rows[0] else float("nan")
