"""How sure a number is: percentile bootstrap over users, and paired comparison of two systems.

The user is what is sampled, because the rows of one user are not independent. A statistic is a
ratio of two sums over users (``Ratio``): a mean has a one for each user below, a row accuracy has
the user's rows, an RMSE the user's rows and a root around it. A resample of the users is then a
vector of counts, and all statistics of all resamples are two matrix products
(Efron and Tibshirani, An Introduction to the Bootstrap, 1993).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shortlist.errors import ConfigError, ShapeError

Direction: TypeAlias = Literal["higher", "lower", "neither"]

RESAMPLES = 1_000
_CELLS_AT_ONCE = 1 << 20  # counts held at a time: 8 MB as float64, whatever the number of users


@dataclass(frozen=True, eq=False, repr=False)
class Ratio:
    """A statistic of n users: sum of numerators over sum of denominators.

    Attributes:
        numerators: (n,) float64.
        denominators: (n,) float64, 0 or more; a user with 0 does not count.
        root: take the square root of the ratio, as RMSE does.
    """

    numerators: NDArray[np.float64]
    denominators: NDArray[np.float64]
    root: bool = False

    def __post_init__(self) -> None:
        if self.numerators.ndim != 1 or self.numerators.shape != self.denominators.shape:
            msg = f"numerators {self.numerators.shape} and denominators {self.denominators.shape} must both be (n,)"
            raise ShapeError(msg)

    def __len__(self) -> int:
        return len(self.numerators)

    def __repr__(self) -> str:
        return f"Ratio({self.value:.4f} of {self.n:,} users)"

    @classmethod
    def mean(cls, values: NDArray[np.float64]) -> "Ratio":
        """The mean of one value per user.

        Args:
            values: (n,); users whose value is NaN do not count.

        Returns:
            A Ratio with ones below.
        """
        there = ~np.isnan(values)
        return cls(np.where(there, values, 0.0), there.astype(np.float64))

    @property
    def n(self) -> int:
        """Users that count."""
        return int((self.denominators > 0).sum())

    @property
    def value(self) -> float:
        """The statistic; NaN where no user counts."""
        below = float(self.denominators.sum())
        ratio = float(self.numerators.sum()) / below if below > 0 else float("nan")
        return float(np.sqrt(ratio)) if self.root else ratio

    @cached_property
    def per_user(self) -> NDArray[np.float64]:
        """(n,) the statistic of each user alone; NaN for users that do not count."""
        alone = np.full(len(self), np.nan)
        np.divide(self.numerators, self.denominators, out=alone, where=self.denominators > 0)
        return np.sqrt(alone) if self.root else alone

    def only(self, users: NDArray[np.bool_]) -> "Ratio":
        """The same statistic of some of the users.

        Args:
            users: (n,) bool, who counts.

        Returns:
            A Ratio of the same length, with 0 for the others.
        """
        return Ratio(
            np.where(users, self.numerators, 0.0),
            np.where(users, self.denominators, 0.0),
            self.root,
        )


@dataclass(frozen=True)
class Estimate:
    """A number and its interval.

    Attributes:
        value: the statistic of all users.
        low: lower end of the interval; NaN where there is none.
        high: upper end.
        n: users that count.
    """

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        if np.isnan(self.low):
            return brief(self.value)
        return f"{brief(self.value)} [{brief(self.low)}, {brief(self.high)}]"


@dataclass(frozen=True)
class Difference:
    """One system minus another on the same users.

    Attributes:
        value: first minus second.
        low: lower end of the two-sided interval; NaN for fewer than two users.
        high: upper end.
        p: two-sided bootstrap p-value: twice the share of resamples on the far side of zero, at
            least 1 / resamples; NaN for fewer than two users.
        n: users that count in both.
    """

    value: float
    low: float
    high: float
    p: float
    n: int

    @property
    def shown(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        ends = "" if np.isnan(self.low) else f" [{brief(self.low)}, {brief(self.high)}]"
        return f"{brief(self.value, signed=True)}{ends}"


def bootstrap(
    ratios: Sequence[Ratio],
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
) -> list[Estimate]:
    """Intervals of several statistics of the same users, from the same resamples.

    Args:
        ratios: statistics, each over the same n users.
        rng: source of the resamples; the same state gives the same intervals.
        resamples: how often the users are drawn again.
        confidence: share of intervals that should hold the truth.

    Returns:
        One Estimate per statistic. Fewer than two users give a value without an interval.

    Raises:
        ConfigError: ``resamples`` is below 1, or ``confidence`` is not between 0 and 1.
        ShapeError: the statistics cover different numbers of users.
    """
    _check(resamples, confidence)
    draws = _resampled(ratios, rng, resamples)  # (resamples, m)
    found = []
    for ratio, column in zip(ratios, draws.T, strict=True):
        low, high = _ends(column, confidence) if ratio.n > 1 else (np.nan, np.nan)
        found.append(Estimate(ratio.value, float(low), float(high), ratio.n))
    return found


def paired(
    first: Sequence[Ratio],
    second: Sequence[Ratio],
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
) -> list[Difference]:
    """Differences of pairs of statistics; both sides of a pair are computed on the same resample.

    Args:
        first: m statistics over n users.
        second: m statistics over the same n users in the same order.
        rng: source of the resamples.
        resamples: how often the users are drawn again.
        confidence: share of intervals that should hold the truth.

    Returns:
        One Difference per pair, first minus second, over the users that count in both.

    Raises:
        ConfigError: ``resamples`` is below 1, or ``confidence`` is not between 0 and 1.
        ShapeError: the statistics cover different numbers of users.
    """
    _check(resamples, confidence)
    _check_lengths([*first, *second])
    both = [
        (a.denominators > 0) & (b.denominators > 0) for a, b in zip(first, second, strict=True)
    ]
    left = [a.only(users) for a, users in zip(first, both, strict=True)]
    right = [b.only(users) for b, users in zip(second, both, strict=True)]
    draws = _resampled([*left, *right], rng, resamples)  # (resamples, 2 m)
    gaps = draws[:, : len(left)] - draws[:, len(left) :]  # (resamples, m)
    found = []
    for a, b, column in zip(left, right, gaps.T, strict=True):
        low = high = p = float("nan")
        if a.n > 1:
            low, high = _ends(column, confidence)
            p = _two_sided(column)
        found.append(Difference(a.value - b.value, low, high, p, a.n))
    return found


def verdict(
    difference: Difference, first: str, second: str, *, better: Direction = "higher"
) -> str:
    """Say in words what a comparison shows.

    Args:
        difference: first minus second.
        first: name of the first system.
        second: name of the second.
        better: whether higher or lower values are better, or neither is.

    Returns:
        Such as ``"A is better: +.0120 [.0080, .0160]"`` or ``"no difference shown: ..."``.
    """
    if np.isnan(difference.low):
        return (
            f"nothing can be shown from {difference.n} shared user{'s' * (difference.n != 1)}"
        )
    if not difference.shown:
        return f"no difference shown: {difference}"
    if better == "neither":
        return f"{first} is {'higher' if difference.value > 0 else 'lower'}: {difference}"
    wins = (difference.low > 0) == (better == "higher")
    return f"{first if wins else second} is better: {difference}"


def brief(number: float, *, signed: bool = False) -> str:
    """Write a metric shortly: four decimals, no zero before the point.

    Args:
        number: what to write; NaN is written as n/a.
        signed: write a plus too.

    Returns:
        Such as ``.1736``, ``-.0020`` or ``9.5300``.
    """
    if np.isnan(number):
        return "n/a"
    rounded = round(number, 4) + 0.0  # no minus before a zero
    text = f"{rounded:+.4f}" if signed else f"{rounded:.4f}"
    return text.replace("0.", ".", 1) if abs(rounded) < 1 else text


def _check(resamples: int, confidence: float) -> None:
    if resamples < 1:
        msg = f"resamples must be at least 1; got {resamples}. 1,000 is usual"
        raise ConfigError(msg)
    if not 0 < confidence < 1:
        msg = f"confidence must be between 0 and 1; got {confidence}. 0.95 is usual"
        raise ConfigError(msg)


def _check_lengths(ratios: Sequence[Ratio]) -> None:
    lengths = {len(ratio) for ratio in ratios}
    if len(lengths) > 1:
        msg = f"the statistics cover {sorted(lengths)} users; they must cover the same users in the same order"
        raise ShapeError(msg)


def _resampled(
    ratios: Sequence[Ratio], rng: np.random.Generator, resamples: int
) -> NDArray[np.float64]:
    # (resamples, m): each statistic on each resample of the users; NaN where nobody drawn counts
    _check_lengths(ratios)
    n, m = len(ratios[0]) if ratios else 0, len(ratios)
    result = np.full((resamples, m), np.nan)
    if not n or not m:
        return result
    below, which = _distinct([ratio.denominators for ratio in ratios])
    sums = np.stack([ratio.numerators for ratio in ratios] + below, axis=1)  # (n, m + distinct)
    step = max(1, _CELLS_AT_ONCE // n)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = _counts(n, size, rng) @ sums  # (size, m + distinct)
        divisor = drawn[:, m:][:, which]
        np.divide(drawn[:, :m], divisor, out=result[start : start + size], where=divisor > 0)
    rooted = [i for i, ratio in enumerate(ratios) if ratio.root]
    result[:, rooted] = np.sqrt(result[:, rooted])
    return result


def _counts(n: int, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    # (size, n): how often each user is drawn when n are drawn with replacement
    kind = np.uint16 if n <= 1 << 16 else np.uint32  # narrow draws cost a third of wide ones
    cells = rng.integers(0, n, size=(size, n), dtype=kind).astype(np.int64)
    cells += np.arange(size)[:, None] * n
    counts = np.bincount(cells.ravel(), minlength=size * n)
    return counts.reshape(size, n).astype(np.float64)


def _distinct(
    arrays: Sequence[NDArray[np.float64]],
) -> tuple[list[NDArray[np.float64]], list[int]]:
    # the arrays without repeats, and where each stands among them: most metrics share theirs
    place: dict[bytes, int] = {}
    kept: list[NDArray[np.float64]] = []
    which = []
    for array in arrays:
        key = array.tobytes()
        if key not in place:
            place[key] = len(kept)
            kept.append(array)
        which.append(place[key])
    return kept, which


def _ends(draws: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    known = draws[np.isfinite(draws)]
    if not len(known):
        return float("nan"), float("nan")
    outside = (1.0 - confidence) / 2.0
    low, high = np.quantile(known, [outside, 1.0 - outside])
    return float(low), float(high)


def _two_sided(draws: NDArray[np.float64]) -> float:
    known = draws[np.isfinite(draws)]
    if not len(known):
        return float("nan")
    far = min((known <= 0).mean(), (known >= 0).mean())
    return float(np.clip(2.0 * far, 1.0 / len(known), 1.0))
