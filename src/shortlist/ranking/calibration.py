"""From scores to probabilities: isotonic regression, or a logistic curve (Platt).

Isotonic: the rising step function with the least squared error (Zadrozny & Elkan, KDD 2002), straight
lines between its steps. Platt: ``1 / (1 + exp(-(slope s + offset)))`` at its maximum likelihood, with
the targets of Platt, "Probabilistic outputs for support vector machines", 1999, section 2.2.
"""

from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
import scipy
from numpy.typing import NDArray

from shortlist.errors import ConfigError, DataError

Curve = Literal["isotonic", "platt"]
_STEPS = 100
_STILL = 1e-10


@dataclass(frozen=True, eq=False)
class Calibration:
    """A rising curve from scores to probabilities.

    Attributes:
        how: ``"isotonic"`` or ``"platt"``.
        at: for isotonic (knots,) float64 scores; for Platt slope and offset.
        probability: for isotonic (knots,) float64; for Platt empty.
    """

    how: Curve
    at: NDArray[np.float64]
    probability: NDArray[np.float64]

    @classmethod
    def fit(cls, how: Curve, scores: NDArray[np.floating], taken: NDArray[np.bool_]) -> Self:
        """Learn the curve.

        Args:
            how: ``"isotonic"`` or ``"platt"``.
            scores: (n,) of rows that the model was not fitted on.
            taken: (n,) bool.

        Returns:
            A Calibration.

        Raises:
            DataError: all were taken, or none.
        """
        x, y = scores.astype(np.float64), taken.astype(np.float64)
        if not 0 < y.sum() < len(y):
            msg = f"{int(y.sum())} of {len(y)} were taken; a probability is learned where some were and others not. Hold more rows back"
            raise DataError(msg)
        if how == "platt":
            return cls(how, _logistic(x, y), np.empty(0))
        level, which = np.unique(x, return_inverse=True)
        weight = np.bincount(which).astype(np.float64)
        mean = np.bincount(which, y) / weight
        rising = np.asarray(scipy.optimize.isotonic_regression(mean, weights=weight).x)
        knot = np.ones(len(level), bool)  # the ends of each step say it all
        knot[1:-1] = (rising[1:-1] != rising[:-2]) | (rising[1:-1] != rising[2:])
        return cls(how, level[knot], rising[knot])

    def __call__(self, scores: NDArray[np.floating]) -> NDArray[np.float32]:
        """Probabilities.

        Args:
            scores: of any shape.

        Returns:
            float32 of the same shape, from 0 to 1; scores beyond those learned from get the last one.
        """
        x = scores.astype(np.float64)
        if self.how == "isotonic":
            return np.interp(x, self.at, self.probability).astype(np.float32)
        slope, offset = self.at
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(slope * x + offset, -500, 500)))).astype(
            np.float32
        )


def check_curve(how: object) -> None:
    """Insist on a known kind of curve.

    Args:
        how: a setting; None stands for no calibration.

    Raises:
        ConfigError: it is another word.
    """
    if how is not None and how not in get_args(Curve):
        msg = f"calibrated must be None or one of {get_args(Curve)}; got {how!r}"
        raise ConfigError(msg)


def _logistic(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    # Newton's method over the z-score, halving steps that do not help
    good, bad = y.sum(), len(y) - y.sum()
    target = np.where(y > 0, (good + 1) / (good + 2), 1 / (bad + 2))
    mean, spread = x.mean(), x.std() or 1.0
    lines = np.stack([(x - mean) / spread, np.ones(len(x))], axis=1)
    w = np.array([0.0, np.log((good + 1) / (bad + 1))])

    def loss(w: NDArray[np.float64]) -> float:
        z = lines @ w
        return float((np.logaddexp(0, z) - target * z).sum())

    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-(lines @ w)))
        bend = (lines.T * (p * (1 - p))) @ lines + 1e-12 * np.eye(2)
        step = np.linalg.solve(bend, lines.T @ (target - p))
        while loss(w + step) > loss(w) and np.abs(step).max() > _STILL:
            step = step / 2
        w = w + step
        if np.abs(step).max() < _STILL:
            break
    return np.array([w[0] / spread, w[1] - w[0] * mean / spread])
