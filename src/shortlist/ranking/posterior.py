"""The answering half of a Bayesian factorisation: some draws of all vectors, kept side by side."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.queries import Queries
from shortlist.data.ragged import beside, times_table
from shortlist.data.sides import Side
from shortlist.ranking.attributes import attribute_lines, taken_lines
from shortlist.ranking.gibbs import Array, Draw
from shortlist.ranking.moods import Moods

Floats = NDArray[np.float32]
_CELLS = 1 << 22  # numbers gathered at a time


@dataclass(frozen=True)
class Scale:
    """How ratings become numbers of mean 0 and spread 1, and back."""

    mean: float
    spread: float
    low: float
    high: float

    @classmethod
    def of(cls, ratings: NDArray[np.float64]) -> "Scale":
        """The scale of some ratings; equal ones are left as wide as they are.

        Args:
            ratings: at least one.

        Returns:
            A Scale.
        """
        low, high = float(ratings.min()), float(ratings.max())
        return cls(
            float(ratings.mean()), float(ratings.std()) if low < high else 1.0, low, high
        )

    def inward(self, ratings: NDArray[np.floating]) -> NDArray[np.float64]:
        """Ratings to numbers around 0.

        Args:
            ratings: any shape.

        Returns:
            The same shape.
        """
        return np.asarray((ratings - self.mean) / self.spread, np.float64)

    def outward(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Back to ratings.

        Args:
            values: any shape.

        Returns:
            The same shape.
        """
        return (self.mean + self.spread * values).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Posterior:
    """Draws of the vectors, and of what a stranger's vector is drawn around.

    Ratings are in standard deviations from their mean.

    Attributes:
        user_bias: (n_users, draws).
        user_factors: (n_users, draws * dim), draw by draw.
        item_bias: (n_items + 1, draws); the last is an unknown item.
        item_factors: (n_items + 1, draws * dim).
        means: (draws, 1 + dim) a user's expected vector before anything is known.
        links: (draws, rank, 1 + dim) from side information to vectors.
        precisions: (draws, 1 + dim, 1 + dim) around them.
        alphas: (draws,) precision of a rating.
        noises: (n_users + 1,) variance of a user's ratings; the last is a stranger's.
        loadings: (columns, rank) of a stranger's side information.
        rated: (n_items + 1,) which items have a rating; the last is an unknown item.
        item_covariance: (1 + dim, 1 + dim) of an item that has none around where it is expected.
    """

    user_bias: Floats
    user_factors: Floats
    item_bias: Floats
    item_factors: Floats
    means: Floats
    links: Floats
    precisions: Floats
    alphas: Floats
    noises: Floats
    loadings: Floats
    rated: NDArray[np.bool_]
    item_covariance: Floats

    @classmethod
    def of(cls, kept: Sequence[Draw], rated: NDArray[np.bool_], loadings: Array) -> "Posterior":
        """Put draws side by side.

        Args:
            kept: the draws.
            rated: (n_items,) which items have a rating; the others stand where they are expected.
            loadings: of the users' side information.

        Returns:
            A Posterior.
        """
        users = np.stack([one.users for one in kept], axis=1).astype(np.float32)
        items = np.stack(
            [
                np.vstack(
                    [np.where(rated[:, None], one.items, one.item_centres), one.item_mean]
                )
                for one in kept
            ],
            axis=1,
        ).astype(np.float32)  # (n_items + 1, draws, 1 + dim)
        alphas = np.array([one.alpha for one in kept])
        spread = np.mean([1 / (one.alpha * one.exactness) for one in kept], axis=0)
        return cls(
            np.ascontiguousarray(users[:, :, 0]),
            users[:, :, 1:].reshape(len(users), -1),
            np.ascontiguousarray(items[:, :, 0]),
            items[:, :, 1:].reshape(len(items), -1),
            np.array([one.user_mean for one in kept], np.float32),
            np.array([one.link for one in kept], np.float32),
            np.array([one.precision for one in kept], np.float32),
            alphas.astype(np.float32),
            np.append(spread, (1 / alphas).mean()).astype(np.float32),
            loadings.astype(np.float32),
            np.append(rated, False),
            np.mean([np.linalg.inv(one.item_precision) for one in kept], axis=0).astype(
                np.float32
            ),
        )

    def without_users(self, rows: NDArray[np.int64]) -> "Posterior":
        """Take the vectors of users out.

        Args:
            rows: user rows, rising.

        Returns:
            A Posterior.
        """
        return replace(
            self,
            user_bias=np.delete(self.user_bias, rows, axis=0),
            user_factors=np.delete(self.user_factors, rows, axis=0),
            noises=np.delete(self.noises, rows),
        )

    def askers(self, queries: Queries, lines: sp.csr_array, ratings: Array | None) -> "Askers":
        """The vectors of askers: those of known users, and of strangers what their history says.

        Args:
            queries: n askers.
            lines: (strangers, columns) side information of those with row -1, in their order.
            ratings: flat ratings of the histories; None where they have none.

        Returns:
            Askers.
        """
        at = np.maximum(queries.user_rows, 0)  # strangers' lines are written below
        bias, factors = self.user_bias[at], self.user_factors[at]
        width = self.item_covariance.shape[0]
        covariance = np.zeros((len(queries), width, width), np.float32)
        strangers = np.flatnonzero(queries.user_rows < 0)
        coordinates = times_table(lines, self.loadings) if len(strangers) else ()
        for asker, line in zip(strangers, coordinates, strict=True):
            centre = self.means + np.einsum("r,srw->sw", line, self.links)
            start, stop = queries.offsets[asker : asker + 2]
            own = slice(start, start if ratings is None else stop)
            told = np.empty(0) if ratings is None else ratings[own]
            vector, around = self._moved(centre, queries.history_rows[own], told)
            bias[asker] = vector[:, 0]
            factors[asker] = vector[:, 1:].ravel()
            covariance[asker] = around.mean(axis=0)
        return Askers(bias, factors, covariance)

    def expected(self, asked: "Askers", rows: NDArray[np.int32]) -> Floats:
        """Mean over the draws.

        Args:
            asked: n askers.
            rows: (n, m) item rows; -1 is an unknown item.

        Returns:
            (n, m).
        """
        bias, factors, draws = asked.bias, asked.factors, asked.bias.shape[1]
        values = np.empty(rows.shape, np.float32)
        for some in _blocks(rows, factors.shape[1]):
            dots = np.vecdot(factors[some, None], self.item_factors[rows[some]])
            values[some] = dots / np.float32(draws)
        own = bias.mean(axis=1, dtype=np.float64)
        values += own[:, None] + self._item_means[rows]
        return values

    def variance(self, asked: "Askers", rows: NDArray[np.int32]) -> Floats:
        """Variance over the draws, and what the vectors of strangers and unrated items are unsure of.

        Args:
            asked: n askers.
            rows: (n, m) item rows.

        Returns:
            (n, m).
        """
        bias, factors, draws = asked.bias, asked.factors, asked.bias.shape[1]
        values = np.empty(rows.shape, np.float32)
        theirs, items = _regressors(factors, draws), _regressors(self.item_factors, draws)
        of_items = np.einsum("nv,vw,nw->n", theirs, self.item_covariance, theirs)
        for some in _blocks(rows, factors.shape[1]):
            (n, m), width = rows[some].shape, factors.shape[1] // draws
            its = self.item_factors[rows[some]].reshape(n, m, draws, width)
            each = np.vecdot(factors[some].reshape(n, 1, draws, width), its)
            each += bias[some, None] + self.item_bias[rows[some]]
            mean = items[rows[some]]
            of_askers = np.einsum("nmv,nvw,nmw->nm", mean, asked.covariance[some], mean)
            unsure = np.where(self.rated[rows[some]], 0, of_items[some, None])
            values[some] = each.var(axis=2) + of_askers + unsure
        return values

    @cached_property
    def _item_means(self) -> Array:
        means: Array = self.item_bias.mean(axis=1, dtype=np.float64)
        return means

    def _moved(
        self, centre: Array, items: NDArray[np.int32], ratings: Array
    ) -> tuple[Array, Array]:
        # mean and covariance of a stranger's vector in each draw: ridge regression on the items
        draws, width = self.means.shape[0], self.means.shape[1] - 1
        told = self.item_factors[items].reshape(len(items), draws, width).transpose(1, 0, 2)
        columns = np.concatenate(
            [np.ones((draws, len(items), 1)), told], axis=2
        )  # (draws, h, w)
        rest = ratings - self.item_bias[items].T - np.vecdot(columns, centre[:, None])
        turned = columns.transpose(0, 2, 1) * self.alphas[:, None, None].astype(np.float64)
        square = self.precisions + turned @ columns
        covariance = np.linalg.inv(square)  # (draws, w, w)
        return centre + (covariance @ (turned @ rest[:, :, None]))[:, :, 0], covariance


@dataclass(frozen=True, eq=False)
class AnsweringFactorisation:
    """Everything that answers.

    Attributes:
        side: what strangers' attributes are read by.
        n_items: width of the catalogue.
        posterior: draws of the vectors.
        moods: of the users, at their moments.
        scale: of the ratings.
    """

    side: Side
    n_items: int
    posterior: Posterior
    moods: Moods
    scale: Scale

    def askers(self, queries: Queries, *, implicit: bool) -> "Askers":
        """The vectors of askers.

        Args:
            queries: n askers.
            implicit: whether what a stranger rated says where their vector is expected.

        Returns:
            Askers.
        """
        strangers = np.flatnonzero(queries.user_rows < 0)
        lines = sp.csr_array(np.zeros((0, len(self.posterior.loadings))))
        if len(strangers):
            lines = self._lines(queries, strangers, implicit=implicit)
        given = queries.history_ratings
        told = None if given is None else self.scale.inward(given)
        return self.posterior.askers(queries, lines, told)

    def without_users(self, rows: NDArray[np.int64]) -> "AnsweringFactorisation":
        """Take the vectors and moods of users out.

        Args:
            rows: user rows, rising.

        Returns:
            The same for the users who stay.
        """
        return replace(
            self,
            side=self.side.without_rows(len(rows)),
            posterior=self.posterior.without_users(rows),
            moods=self.moods.without_users(rows),
        )

    def _lines(
        self, queries: Queries, strangers: NDArray[np.int64], *, implicit: bool
    ) -> sp.csr_array:
        about = None if queries.users is None else queries.users[strangers]
        lines = attribute_lines(self.side, about, len(strangers), "askers")
        if not implicit:
            return lines
        number = np.cumsum(queries.user_rows < 0) - 1
        theirs = queries.user_rows[queries.askers] < 0
        at, rows = number[queries.askers[theirs]], queries.history_rows[theirs]
        return beside([taken_lines(at, rows, (len(strangers), self.n_items)), lines])


@dataclass(frozen=True, eq=False)
class Askers:
    """The vectors of n askers.

    Attributes:
        bias: (n, draws).
        factors: (n, draws * dim).
        covariance: (n, 1 + dim, 1 + dim) of a stranger's vector within a draw; 0 for known users.
    """

    bias: Floats
    factors: Floats
    covariance: Floats


def _regressors(factors: Floats, draws: int) -> Array:
    # (n, 1 + dim): what the other side's vectors multiply, in the mean
    mean = factors.reshape(len(factors), draws, factors.shape[1] // draws).mean(
        axis=1, dtype=np.float64
    )
    return np.concatenate([np.ones((len(factors), 1)), mean], axis=1)


def _blocks(rows: NDArray[np.int32], width: int) -> list[slice]:
    step = max(1, _CELLS // max(1, rows.shape[1] * width))
    return [slice(start, start + step) for start in range(0, len(rows), step)]
