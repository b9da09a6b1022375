"""Draws from the posterior of a matrix factorisation with side information, by Gibbs sampling.

``r_ui = b_u + b_i + u_u'v_i + mood_u(t) + noise / sqrt(alpha c_u)``. The vectors ``(b_u, u_u)`` of the
users are normal around ``mu + beta'x_u`` with one precision matrix, as are those of the items (BPMF,
Salakhutdinov and Mnih, ICML 2008; the link beta: Macau, Simm et al., MLSP 2017). ``x`` is what is known
beside the ratings: who rated what, and attributes, by their leading singular vectors, in which the
posterior of beta is diagonal. ``c_u`` is how much more exactly user u rates than others.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.ranking.moods import MoodSampler

Array = NDArray[np.float64]
_PEERS = 10.0  # ratings' worth of belief that a user is as exact as the others


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Side information in few columns: ``x = (vectors * lengths) loadings'``, nearly.

    Attributes:
        vectors: (n, rank) orthonormal columns.
        lengths: (rank,) singular values.
        loadings: (columns, rank), which bring a new line into these columns.
    """

    vectors: Array
    lengths: Array
    loadings: Array

    @cached_property
    def lines(self) -> Array:
        """(n, rank) the side information in these columns."""
        return self.vectors * self.lengths

    @classmethod
    def of(cls, lines: sp.csr_array, rank: int) -> "Coordinates":
        """Decompose.

        Args:
            lines: (n, columns) sparse.
            rank: how many singular vectors are kept, at most.

        Returns:
            Coordinates; of rank 0 where there is nothing.
        """
        n, columns = lines.shape
        least = min(n, columns)
        if not lines.nnz:
            return cls(np.zeros((n, 0)), np.zeros(0), np.zeros((columns, 0)))
        if least <= 2 * rank:
            left, lengths, right = np.linalg.svd(lines.toarray(), full_matrices=False)
            left, lengths, right = left[:, :rank], lengths[:rank], right[:rank]
        else:
            from scipy.sparse.linalg import svds  # slow to import, and only fitting needs it

            start = np.ones(least)  # not drawn: the same bits each time
            left, lengths, right = svds(lines.astype(np.float64), k=rank, v0=start)
        real = lengths > 1e-6 * lengths.max()
        return cls(
            np.ascontiguousarray(left[:, real], np.float64),
            lengths[real].astype(np.float64),
            np.ascontiguousarray(right[real].T, np.float64),
        )


class SideSampler:
    """The vectors of users or items, with what they are drawn around.

    Args:
        lines: (n, n_others) row numbers, each where its user and its item meet.
        known: side information.
        dim: length of the vectors without the bias, which stands first.
        rng: draws.
    """

    def __init__(
        self, lines: sp.csr_array, known: Coordinates, dim: int, rng: np.random.Generator
    ) -> None:
        n, width = lines.shape[0], dim + 1
        self._lines, self.known, self._rng = lines, known, rng
        self.vectors = np.zeros((n, width))  # (n, 1 + dim): bias, then factors
        self.vectors[:, 1:] = 0.1 * rng.normal(size=(n, dim))
        self.mean, self.precision = np.zeros(width), 10.0 * np.eye(width)
        self.link = np.zeros((len(known.lengths), width))
        self._ridge = 10.0

    @property
    def centres(self) -> Array:
        """(n, 1 + dim) where the vectors are expected without any rating."""
        return self.mean + self.known.lines @ self.link

    def draw_around(self) -> None:
        """Draw precision, mean and link given the vectors."""
        n, width = self.vectors.shape
        rank = len(self.link)
        rest = self.vectors - self.known.lines @ self.link
        mean = rest.mean(axis=0)
        scatter = (rest - mean).T @ (rest - mean) + n / (n + 1) * np.outer(mean, mean)
        scatter += np.eye(width) + self._ridge * self.link.T @ self.link
        self.precision = _wishart(scatter, width + 1 + n + rank, self._rng)
        root = np.linalg.cholesky(self.precision)
        noise = np.linalg.solve(root.T, self._rng.normal(size=(width, rank + 1)))
        self.mean = n / (n + 1) * mean + noise[:, 0] / np.sqrt(n + 1)
        shrunk = 1 / (self.known.lengths**2 + self._ridge)  # (rank,)
        found = self.known.vectors.T @ (self.vectors - self.mean) * self.known.lengths[:, None]
        self.link = shrunk[:, None] * found + np.sqrt(shrunk)[:, None] * noise[:, 1:].T
        energy = float(((self.link @ root) ** 2).sum())
        self._ridge = float(self._rng.gamma(1 + 0.5 * self.link.size) / (1 + 0.5 * energy))

    def draw(self, others: Array, rest: Array, weights: Array) -> None:
        """Draw the vectors given the ratings and the other side.

        Args:
            others: (n_others, 1 + dim) vectors of the other side.
            rest: (rows,) ratings less what these vectors do not touch.
            weights: (rows,) precision of each.
        """
        n, width = self.vectors.shape
        columns = np.concatenate([np.ones((len(others), 1)), others[:, 1:]], axis=1)
        i, j = np.triu_indices(width)
        lines, at = self._lines, self._lines.data
        seen = sp.csr_array((weights[at], lines.indices, lines.indptr), lines.shape)
        told = sp.csr_array((seen.data * rest[at], lines.indices, lines.indptr), lines.shape)
        square = np.empty((width, width, n))  # n last: see _normal
        square[j, i] = (seen @ (columns[:, i] * columns[:, j])).T + self.precision[j, i][
            :, None
        ]
        total = told @ columns + self.centres @ self.precision
        self.vectors = _normal(square, total.T, self._rng.normal(size=(width, n))).T


@dataclass(frozen=True, eq=False)
class Draw:
    """One draw of everything.

    Attributes:
        users: (n_users, 1 + dim) vectors.
        items: (n_items, 1 + dim) vectors.
        item_centres: (n_items, 1 + dim) what they are expected to be without ratings.
        user_mean: (1 + dim,) a user's without side information either.
        item_mean: (1 + dim,) likewise.
        link: (rank, 1 + dim) of the users' side information.
        precision: (1 + dim, 1 + dim) of the users' vectors around their centres.
        item_precision: likewise, of the items'.
        alpha: precision of a rating.
        exactness: (n_users,) factors of it.
    """

    users: Array
    items: Array
    item_centres: Array
    user_mean: Array
    item_mean: Array
    link: Array
    precision: Array
    item_precision: Array
    alpha: float
    exactness: Array


def draws(
    ratings: Array,
    users: SideSampler,
    items: SideSampler,
    moods: MoodSampler,
    pairs: tuple[NDArray[np.int32], NDArray[np.int32]],
    rng: np.random.Generator,
) -> Iterator[Draw]:
    """Sweep through everything, again and again, without end.

    Args:
        ratings: (rows,) of mean 0 and standard deviation about 1.
        users: their sampler.
        items: their sampler.
        moods: their sampler.
        pairs: (rows,) user rows and item rows.
        rng: draws what the samplers do not.

    Yields:
        What each sweep drew.
    """
    user, item = pairs
    counts = np.bincount(user, minlength=len(users.vectors))
    exactness, alpha, lean = np.ones(len(users.vectors)), 1.0, moods.of_rows()
    while True:
        weights = alpha * exactness[user]
        users.draw_around()
        users.draw(items.vectors, ratings - lean - items.vectors[item, 0], weights)
        items.draw_around()
        items.draw(users.vectors, ratings - lean - users.vectors[user, 0], weights)
        theirs, its = users.vectors[user], items.vectors[item]
        bias = theirs[:, 0] + its[:, 0]
        rest = ratings - bias - np.einsum("nd,nd->n", theirs[:, 1:], its[:, 1:])
        moods.draw(rest, weights)
        lean = moods.of_rows()
        squares = np.bincount(user, (rest - lean) ** 2, minlength=len(counts))
        alpha = rng.gamma(1 + 0.5 * len(ratings)) / (1 + 0.5 * float(squares @ exactness))
        exactness = rng.gamma(0.5 * (_PEERS + counts)) / (0.5 * (_PEERS + alpha * squares))
        yield Draw(
            users.vectors,
            items.vectors,
            items.centres,
            users.mean,
            items.mean,
            users.link,
            users.precision,
            items.precision,
            alpha,
            exactness,
        )


def meetings(
    rows: NDArray[np.int32], others: NDArray[np.int32], shape: tuple[int, int]
) -> sp.csr_array:
    """Row numbers by who they are of, for a :class:`SideSampler`.

    Args:
        rows: (rows,) whose each is.
        others: (rows,) user or item at the other side.
        shape: how many there are of both.

    Returns:
        (n, n_others) CSR of row numbers; a pair that is rated twice stands twice.
    """
    order = np.argsort(rows, kind="stable")
    ends = np.cumsum(np.bincount(rows, minlength=shape[0]))
    return sp.csr_array((order, others[order], np.append(0, ends)), shape=shape)


def _normal(square: Array, total: Array, noise: Array) -> Array:
    # n draws of mean square^-1 total and covariance square^-1: Cholesky, forwards, backwards.
    # (width, width, n) with the lower half filled, and (width, n) twice: numpy's own solver, which takes
    # one small matrix after the other, needs ten times as long
    width = len(square)
    root, drawn = square, np.array(total)
    for k in range(width):
        root[k, k] = np.sqrt(root[k, k])
        root[k + 1 :, k] /= root[k, k]
        for later in range(k + 1, width):
            root[later:, later] -= root[later:, k] * root[later, k]
        drawn[k] /= root[k, k]
        drawn[k + 1 :] -= root[k + 1 :, k] * drawn[k]
    drawn += noise
    for k in reversed(range(width)):
        drawn[k] -= np.einsum("kn,kn->n", root[k + 1 :, k], drawn[k + 1 :])
        drawn[k] /= root[k, k]
    return drawn


def _wishart(inverse_scale: Array, degrees: int, rng: np.random.Generator) -> Array:
    # Bartlett's decomposition
    width = len(inverse_scale)
    lower = np.tril(rng.normal(size=(width, width)), -1)
    lower += np.diag(np.sqrt(rng.chisquare(degrees - np.arange(width))))
    root = np.linalg.cholesky(np.linalg.inv(inverse_scale)) @ lower
    drawn: Array = root @ root.T
    return drawn
