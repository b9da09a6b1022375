"""The half step of ALS: each user a small ridge regression on the items, or each item one on the users."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.errors import ConfigError

_ENTRIES = 1 << 13  # entries gathered at a time: their vectors stay in the cache
SPARE = 8  # further directions that make the decomposition of the start sharper


@dataclass(frozen=True)
class HalfStep:
    """What the regressions share: ``A = a T'T + sum of w t t' + l2 (sum of w + a m)^f I``, T of m lines.

    Attributes:
        unobserved: a, the weight of every pair.
        l2: strength of the regularisation.
        scaling: f, how it grows with the number of entries.
    """

    unobserved: float = 0.2
    l2: float = 0.35
    scaling: float = 0.5

    def gram(self, table: NDArray[np.float32]) -> NDArray[np.float32]:
        """The part of A that is the same for all: ``a T'T``.

        Args:
            table: (m, dim) vectors of the side that is fixed.

        Returns:
            (dim, dim) float32.
        """
        return np.float32(self.unobserved) * (table.T @ table)

    def solved(
        self, lines: sp.csr_array, table: NDArray[np.float32], gram: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The vectors of the other side.

        Args:
            lines: (n, m) CSR; the entries are the weights w.
            table: (m, dim) vectors of the side that is fixed.
            gram: (dim, dim) of :meth:`gram`.

        Returns:
            (n, dim) float32; each line has the same bits whatever stands beside it.
        """
        vectors = np.asarray(lines @ table, np.float32)  # right-hand sides, added line by line
        for some, systems in self.systems(lines, table, gram):
            for line, system in zip(some.tolist(), systems, strict=True):
                vectors[line] = solve(system, vectors[line])
        return vectors

    def systems(
        self, lines: sp.csr_array, table: NDArray[np.float32], gram: NDArray[np.float32]
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        """The matrices A, those of lines of one length together.

        Each is made of its own line alone, in a shape of its own length, so that its bits do not
        depend on the others.

        Args:
            lines: (n, m) CSR.
            table: (m, dim).
            gram: (dim, dim).

        Yields:
            Line numbers (b,), and their A, (b, dim, dim), to be overwritten.
        """
        counts, dim = np.diff(lines.indptr), table.shape[1]
        weights = np.asarray(lines.sum(axis=1), np.float64).ravel()
        ridge = self.l2 * (weights + self.unobserved * len(table)) ** self.scaling
        diagonal = np.arange(dim)
        even = bool((lines.data == 1).all())
        order = np.argsort(counts, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(counts[order])) + 1):
            length = int(counts[group[0]]) if len(group) else 0
            step = max(1, _ENTRIES // max(length, dim))
            for start in range(0, len(group), step):
                some = group[start : start + step]
                at = lines.indptr[some][:, None] + np.arange(length)  # (b, length)
                vectors = table.take(lines.indices[at], axis=0)  # (b, length, dim)
                if not even:
                    vectors *= np.sqrt(lines.data[at])[:, :, None]
                systems = vectors.transpose(0, 2, 1) @ vectors
                systems += gram
                systems[:, diagonal, diagonal] += ridge[some, None].astype(np.float32)
                yield some, systems


def solve(system: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """Solve one regression, by Cholesky.

    Args:
        system: (dim, dim) A; it is overwritten.
        right: (dim,) or (dim, m).

    Returns:
        What A times gives ``right``.

    Raises:
        ConfigError: A is singular in float32.
    """
    _, solution, wrong = scipy.linalg.lapack.sposv(system.T, right, overwrite_a=True)
    if wrong:
        msg = "the regression of a user or an item is singular in float32; raise l2"
        raise ConfigError(msg)
    return np.asarray(solution, np.float32)


def start_of_items(liked: sp.csr_array, dim: int, *, seed: int) -> NDArray[np.float32]:
    """Item vectors of the truncated singular value decomposition, from where few rounds are enough.

    By two rounds of a randomised power iteration (Halko, Martinsson and Tropp, 2011).

    Args:
        liked: (users, items) CSR.
        dim: length of the vectors.
        seed: draws the first directions.

    Returns:
        (items, dim) float32; columns beyond the rank are 0.
    """
    n_users, n_items = liked.shape
    width = min(dim + SPARE, n_users, n_items)
    random = np.random.default_rng(seed).standard_normal((n_items, width), np.float32)
    for _ in range(2):
        left, _ = np.linalg.qr(liked @ random)  # (users, width)
        random = liked.T @ left  # (items, width)
    directions, values, _ = np.linalg.svd(random, full_matrices=False)
    items = np.zeros((n_items, dim), np.float32)
    kept = min(dim, width)
    items[:, :kept] = directions[:, :kept] * np.sqrt(values[:kept])
    return items
