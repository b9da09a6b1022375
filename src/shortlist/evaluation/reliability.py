"""Are predicted probabilities true? Bins of predictions beside the share that was taken.

The expected calibration error is the mean gap between the two, weighted by the pairs in a bin (Naeini et
al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015).
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.errors import ConfigError, DataError, ShapeError

_WIDTH = 40  # of the plot, in characters


@dataclass(frozen=True, eq=False, repr=False)
class Reliability:
    """Predicted beside observed.

    Attributes:
        predicted: (bins,) mean prediction of each bin, rising.
        observed: (bins,) share of its pairs that were taken.
        pairs: (bins,) how many there are, at least 1.
    """

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    pairs: NDArray[np.int64]

    def __repr__(self) -> str:
        return f"Reliability({self.pairs.sum():,} pairs in {len(self.pairs)} bins: expected calibration error {self.error:.4f})"

    @property
    def error(self) -> float:
        """Expected calibration error, from 0 to 1."""
        return float(np.abs(self.predicted - self.observed) @ (self.pairs / self.pairs.sum()))

    @property
    def table(self) -> pl.DataFrame:
        """A row per bin: ``predicted``, ``observed``, ``pairs``."""
        return pl.DataFrame(
            {"predicted": self.predicted, "observed": self.observed, "pairs": self.pairs}
        )

    def __str__(self) -> str:
        most = max(self.predicted.max(), self.observed.max(), 1e-12)
        lines = [
            f"{'predicted':>9}  {'observed':>8}  {'pairs':>9}  0{f'{most:.3g}':>{_WIDTH - 1}}"
        ]
        for predicted, observed, pairs in zip(
            self.predicted, self.observed, self.pairs, strict=True
        ):
            bar = list("#" * round(_WIDTH * observed / most) + " " * _WIDTH)[: _WIDTH + 1]
            bar[round(_WIDTH * predicted / most)] = "|"
            drawn = "".join(bar).rstrip()
            lines.append(f"{predicted:9.4f}  {observed:8.4f}  {pairs:9,}  {drawn}")
        lines.append(
            "# what was taken, | what was predicted; where # ends at |, the probability is true."
        )
        lines.append(f"expected calibration error {self.error:.4f}")
        return "\n".join(lines)


def reliability(
    predicted: NDArray[np.floating],
    taken: NDArray[np.bool_],
    *,
    bins: int = 10,
    even: bool = False,
) -> Reliability:
    """Compare predicted probabilities with what was taken.

    Args:
        predicted: (n,) from 0 to 1.
        taken: (n,) bool.
        bins: how many.
        even: bins of the same width from 0 to 1, of which empty ones are left out; else bins of as
            many pairs each (equal predictions stay together), which suits rare events.

    Returns:
        A Reliability, which prints as a table with a plot.

    Raises:
        ShapeError: the two do not line up.
        ConfigError: ``bins`` is below 1.
        DataError: there is nothing, or a prediction is no probability.
    """
    p, y = np.asarray(predicted, np.float64).ravel(), np.asarray(taken, bool).ravel()
    if len(p) != len(y):
        msg = f"predictions and what was taken must line up; got {len(p)} and {len(y)}"
        raise ShapeError(msg)
    if bins < 1:
        msg = f"bins must be at least 1; got {bins}"
        raise ConfigError(msg)
    wrong = ~((p >= 0) & (p <= 1))
    if not len(p) or wrong.any():
        found = "nothing" if not len(p) else f"{p[wrong][0]} among {len(p):,}"
        msg = f"probabilities run from 0 to 1; got {found}. Predictions of a ranker are probabilities with calibrated="
        raise DataError(msg)
    edges = np.linspace(0, 1, bins + 1) if even else np.quantile(p, np.linspace(0, 1, bins + 1))
    which = np.searchsorted(np.unique(edges[1:-1]), p, side="left")
    pairs = np.bincount(which)
    full = pairs > 0
    return Reliability(
        np.bincount(which, p)[full] / pairs[full],
        np.bincount(which, y)[full] / pairs[full],
        pairs[full],
    )
