"""Moods: how much higher or lower a user rates at one moment than at others.

Ratings given in one sitting lean the same way. The lean of user u at time t is a sum of
Ornstein-Uhlenbeck processes, ``cov(f(s), f(t)) = variance * exp(-|s - t| / scale)``, one for each time
scale. Each is Markov in time, so its precision matrix over a user's moments is tridiagonal (Rue and
Held, "Gaussian Markov Random Fields", 2005, chapter 2), and a draw costs a banded Cholesky.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy
from numpy.typing import NDArray

from shortlist.data.ragged import take_lines

_PRIOR = 0.05  # a guess of the variance, in squared standard deviations of the ratings, worth two draws


class MoodSampler:
    """Draws the leans of all users at all their moments, one time scale after the other.

    Args:
        users: (rows,) int32 user rows, rising.
        times: (rows,) times, rising within a user.
        scales: time constants, in the units of ``times``.
        rng: draws.
    """

    def __init__(
        self,
        users: NDArray[np.int32],
        times: NDArray[np.int64],
        scales: Sequence[float],
        rng: np.random.Generator,
    ) -> None:
        new = np.append(True, (np.diff(users) != 0) | (np.diff(times) != 0))
        self.moment = np.cumsum(new) - 1  # (rows,)
        self.users, self.times = users[new], times[new]  # (moments,)
        self._rng = rng
        first = np.append(True, np.diff(self.users) != 0)
        gaps = np.where(first, np.inf, np.append(0, np.diff(self.times)).astype(np.float64))
        self._time_constants = tuple(scales)
        self._scales = [_Scale.of(gaps, scale) for scale in scales]
        self.leans = np.zeros((len(scales), len(self.users)))
        self._variances = np.full(len(scales), _PRIOR)
        self._expected = np.zeros_like(self.leans)
        self._sums = [np.zeros_like(self.leans), np.zeros_like(self.leans)]
        self._variance_sum, self._counted = np.zeros(len(scales)), 0

    def draw(self, rest: NDArray[np.float64], weights: NDArray[np.float64]) -> None:
        """Draw every scale given the others.

        Args:
            rest: (rows,) ratings less everything but the moods.
            weights: (rows,) precision of each.
        """
        n = len(self.users)
        seen = np.bincount(self.moment, weights, minlength=n).astype(np.float64)
        total = np.bincount(self.moment, weights * rest, minlength=n).astype(np.float64)
        for number, scale in enumerate(self._scales):
            others = self.leans.sum(axis=0) - self.leans[number]
            lean, self._expected[number] = scale.draw(
                total - seen * others, seen, float(self._variances[number]), self._rng
            )
            self.leans[number] = lean
            energy = _PRIOR + 0.5 * scale.energy(lean)
            self._variances[number] = energy / self._rng.gamma(1 + 0.5 * n)

    def of_rows(self) -> NDArray[np.float64]:
        """The lean of each row.

        Returns:
            (rows,) of the latest draw.
        """
        lean: NDArray[np.float64] = self.leans.sum(axis=0)[self.moment]
        return lean

    def count(self) -> None:
        """Let the latest draw count for the answers."""
        self._sums[0] += self._expected  # less noisy than the draw, with the same mean
        self._sums[1] += self.leans**2
        self._variance_sum += self._variances
        self._counted += 1

    def answering(self, n_users: int) -> "Moods":
        """The mean of the draws that count.

        Args:
            n_users: how many users there are.

        Returns:
            Moods.
        """
        means, squares = (one / max(1, self._counted) for one in self._sums)
        ends = np.cumsum(np.bincount(self.users, minlength=n_users))
        rows = np.bincount(self.moment)
        leans = np.bincount(self.users, rows * means.sum(axis=0), minlength=n_users)
        usual = leans / np.maximum(np.bincount(self.users, rows, minlength=n_users), 1)
        return Moods(
            np.array(self._time_constants),
            np.append(0, ends).astype(np.int64),
            self.times,
            means.astype(np.float32),
            np.sqrt(np.maximum(squares - means**2, 0)).astype(np.float32),
            self._variance_sum / max(1, self._counted),
            np.append(usual, 0).astype(np.float32),
        )


@dataclass(frozen=True, eq=False)
class _Scale:
    """One process of variance 1: its tridiagonal precision over the moments."""

    diagonal: NDArray[np.float64]
    beside: NDArray[np.float64]

    @classmethod
    def of(cls, gaps: NDArray[np.float64], scale: float) -> "_Scale":
        # gaps: to the moment before, infinite at a user's first
        kept, lost = np.exp(-gaps / scale), -np.expm1(-2 * gaps / scale)
        diagonal = 1 / lost
        diagonal[:-1] += (kept**2 / lost)[1:]
        return cls(diagonal, -(kept / lost)[1:])

    def draw(
        self,
        total: NDArray[np.float64],
        seen: NDArray[np.float64],
        variance: float,
        rng: np.random.Generator,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        # a draw, and what is expected of it
        band = np.zeros((2, len(total)))  # lower band: the diagonal, then what stands below it
        band[0], band[1, :-1] = self.diagonal / variance + seen, self.beside / variance
        factor, _ = scipy.linalg.lapack.dpbtrf(band, lower=1)
        mean, _ = scipy.linalg.lapack.dpbtrs(factor, total, lower=1)
        noise, _ = scipy.linalg.lapack.dtbtrs(
            factor, rng.normal(size=len(total)), uplo="L", trans="T"
        )
        return mean.ravel() + noise.ravel(), mean.ravel()

    def energy(self, lean: NDArray[np.float64]) -> float:
        # lean' precision lean
        return float(
            (self.diagonal * lean**2).sum() + 2 * (self.beside * lean[1:] * lean[:-1]).sum()
        )


@dataclass(frozen=True, eq=False)
class Moods:
    """The answering half: the mean lean at each moment, and between them.

    Attributes:
        scales: (scales,) time constants.
        offsets: (n_users + 1,) user u's moments are ``times[offsets[u]:offsets[u + 1]]``, rising.
        times: (moments,) int64.
        means: (scales, moments) float32.
        spreads: (scales, moments) float32 standard deviations.
        variances: (scales,) of the processes, far from any moment.
        usual: (n_users + 1,) the mean over a user's ratings; the last is a stranger's, 0.
    """

    scales: NDArray[np.float64]
    offsets: NDArray[np.int64]
    times: NDArray[np.int64]
    means: NDArray[np.float32]
    spreads: NDArray[np.float32]
    variances: NDArray[np.float64]
    usual: NDArray[np.float32]

    def without_users(self, rows: NDArray[np.int64]) -> "Moods":
        """Take the moments of users out.

        Args:
            rows: user rows, rising.

        Returns:
            Moods.
        """
        stay = np.setdiff1d(np.arange(len(self.offsets) - 1), rows)
        at, offsets = take_lines(self.offsets, stay.astype(np.int32))
        return replace(
            self,
            offsets=offsets,
            times=self.times[at],
            means=self.means[:, at],
            spreads=self.spreads[:, at],
            usual=np.delete(self.usual, rows),
        )

    def at(
        self, users: NDArray[np.int32], times: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The leans of users at given times.

        Args:
            users: (n,) user rows; -1 for someone unknown, who has no lean.
            times: (n,) times; NaN where it is not known: then the user's usual lean is meant.

        Returns:
            (n,) means and (n,) variances.
        """
        mean = np.where(np.isfinite(times), 0.0, self.usual[users].astype(np.float64))
        variance = np.full(len(users), float(self.variances.sum()))
        for asker in np.flatnonzero((users >= 0) & np.isfinite(times)):
            start, stop = self.offsets[users[asker]], self.offsets[users[asker] + 1]
            after = start + np.searchsorted(self.times[start:stop], times[asker], side="right")
            near = np.array([m for m in (after - 1, after) if start <= m < stop], np.int64)
            if len(near):
                mean[asker], variance[asker] = self._between(near, float(times[asker]))
        return mean, variance

    def _between(self, near: NDArray[np.int64], time: float) -> tuple[float, float]:
        # given one or two moments next to it, the process forgets all others
        mean, variance = 0.0, 0.0
        held = self.times[near].astype(np.float64)
        for number, scale in enumerate(self.scales):
            alike = np.exp(-np.abs(held - time) / scale)
            among = np.exp(-np.abs(held[:, None] - held) / scale)
            share = np.linalg.lstsq(among, alike, rcond=1e-12)[0]
            mean += float(share @ self.means[number, near])
            open_part = max(0.0, 1 - float(share @ alike)) * float(self.variances[number])
            variance += open_part + float(share**2 @ self.spreads[number, near] ** 2)
        return mean, variance
