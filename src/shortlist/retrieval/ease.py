"""EASE: a linear model from the items a user has to the items they lack, in closed form.

Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019: with X the binary matrix of
users by items, minimise ``|X - X B|^2 + l2 |B|^2`` over B with a zero diagonal. With
``P = (X'X + l2 I)^-1`` the solution is ``B = I - P / diag(P)`` (columns divided).

B is items by items. Where there are fewer users than items, the same model has a smaller form: by
Woodbury ``P = (I - X' M) / l2`` with ``M = (l2 I + X X')^-1 X``, users by items, and nothing of the
size of B is ever made.

Two things may be weighted. With ``power``, item i pays ``l2 (n_i / mean n)^power`` for its weights, n
being its users: at 0.5 items that many took no longer drown the others. With ``decay``, an item that
lies t steps back in the asker's history counts ``exp(-decay t)`` when answering; B stays what it is.
"""

from copy import copy
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
import scipy
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.interactions import Interactions
from shortlist.data.protocols import State
from shortlist.data.queries import Queries
from shortlist.data.ragged import lines_of
from shortlist.errors import ConfigError, NotReadyError
from shortlist.retrieval.dense import DenseRetriever
from shortlist.retrieval.explaining import entry_by_entry

_SMALL_CATALOGUE = 2048  # up to here B itself is small, and quicker to score with
_GIGABYTE = 1e9
_COLUMNS = 512  # lines of the inverse at a time
_STRIP = 128  # items whose weights are multiplied at a time: they stay in the cache


@dataclass(eq=False, kw_only=True)
class EASE(DenseRetriever):
    """Closed-form item-to-item linear model; answers for any history of items.

    Attributes:
        l2: strength of the regularisation; larger leans towards popular items.
        decay: how fast a history is forgotten when answering, per step back; 0: not at all.
        power: how the regularisation grows with an item's users; 0: the same for all.
        max_gigabytes: memory the fit may use; a catalogue that needs more is refused beforehand.
    """

    name: ClassVar[str] = "ease"

    l2: float = 300.0
    decay: float = 0.0
    power: float = 0.0
    max_gigabytes: float = 6.0
    _weights: NDArray[np.float32] | None = field(init=False, repr=False, default=None)
    _own: NDArray[np.float32] | None = field(init=False, repr=False, default=None)
    _items_of: sp.csr_array | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigError: a setting is out of range.
        """
        if not self.l2 > 0 or not self.max_gigabytes > 0:
            msg = (
                f"l2 and max_gigabytes must be positive; got {self.l2} and {self.max_gigabytes}"
            )
            raise ConfigError(msg)
        if not 0 <= self.decay < np.inf or not np.isfinite(self.power):
            msg = (
                f"decay must be 0 or more and power finite; got {self.decay} and {self.power}. "
                "EASE(decay=0, power=0) is the plain model"
            )
            raise ConfigError(msg)

    def fit(self, train: Interactions, *, validate: Interactions | None = None) -> Self:
        """Solve for the weights.

        Args:
            train: the rows; only the liked ones count, each pair once.
            validate: not used: there is nothing to choose.

        Returns:
            Itself, fitted.

        Raises:
            ConfigError: the solution would need more than ``max_gigabytes``.
        """
        n_users, n_items = len(train.user_vocabulary), len(train.item_vocabulary)
        matrix = train.liked_matrix().astype(np.float64)
        by_users = n_users < n_items and n_items > _SMALL_CATALOGUE
        need = (
            8
            * (2 * n_users**2 + 2 * n_users * n_items if by_users else 3 * n_items**2)
            / _GIGABYTE
        )
        if need > self.max_gigabytes:
            msg = (
                f"EASE over {n_users:,} users and {n_items:,} items needs about {need:.1f} GB; max_gigabytes is "
                f"{self.max_gigabytes}. Use TwoTower, leave rare items out, or raise max_gigabytes"
            )
            raise ConfigError(msg)
        if by_users:
            self._fit_by_users(matrix)
        else:
            self._fit_by_items(matrix)
        return self

    def score_all(self, queries: Queries) -> NDArray[np.float32]:
        """Scores of the whole catalogue.

        Args:
            queries: n askers.

        Returns:
            (n, n_items) float32.
        """
        weights = self._fitted()
        # sparse times dense adds line by line, in order: the same bits whatever stands beside it
        if self._items_of is None or self._own is None:
            history = queries.recent_matrix(self.n_items, self.decay)
            return np.asarray(history @ weights, np.float32)
        recency = queries.recency(self.decay)
        at = np.flatnonzero(recency)
        rows, askers, recency = queries.history_rows[at], queries.askers[at], recency[at]
        taken = np.zeros((self.n_items, len(queries)), np.float32)
        taken[rows, askers] = recency
        shared = self._items_of @ taken  # (users, n): items in common
        # (strips, n, 1, _STRIP): one line at a time, so its bits do not depend on the others
        strips = np.matmul(shared.T[:, None].copy(), weights[:, None])
        scores = np.asarray(strips.swapaxes(0, 1).reshape(len(queries), -1), np.float32)
        scores = scores[:, : self.n_items]
        scores[askers, rows] -= recency * self._own[rows]  # B has a zero diagonal
        return scores

    def explain(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """The weights from the items of the histories to the items asked about.

        Args:
            queries: n askers.
            rows: (n, m) item rows.

        Returns:
            (len(queries.history_rows), m) float32; an asker's entries sum to the score.
        """
        return entry_by_entry(self._added, queries, rows)

    def between(self, items: NDArray[np.int32], rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """The weights from some items to others, B of the paper.

        Args:
            items: (h,) item rows of a history.
            rows: (m,) item rows that are scored.

        Returns:
            (h, m) float32.
        """
        weights = self._fitted()
        if self._items_of is None or self._own is None:
            return weights[np.ix_(items, rows)]
        strips = weights[rows // _STRIP, :, rows % _STRIP]  # (m, users)
        shared = self._items_of[:, items].T @ strips.T
        return np.asarray(shared - (items[:, None] == rows) * self._own[rows], np.float32)

    def _added(
        self, one: Queries, some: NDArray[np.int64], rows: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        recency = one.recency(self.decay)[some, None]
        return recency * self.between(one.history_rows[some], rows)

    def without_users(self, rows: NDArray[np.int64]) -> Self:
        """Solve again without what some users took; where B itself is kept, it stays as it is.

        Args:
            rows: user rows, rising.

        Returns:
            A fitted copy.
        """
        left = copy(self)
        if self._items_of is not None:
            taken = np.delete(self._items_of.toarray() != 0, rows, axis=0)
            left._fit_by_users(sp.csr_array(taken, dtype=np.float64))
        return left

    def state(self) -> State:
        """Everything needed to answer.

        Returns:
            Settings and weights: B, or the users' form of it in strips of items.
        """
        arrays: dict[str, NDArray[np.generic]] = {"weights": self._fitted()}
        if self._own is not None and self._items_of is not None:
            arrays |= {
                "own": self._own,
                "offsets": self._items_of.indptr,
                "items": self._items_of.indices,
                "shares": self._items_of.data,
            }
        names = ("l2", "decay", "power", "max_gigabytes")
        return State({name: getattr(self, name) for name in names}, arrays)

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild.

        Args:
            state: what :meth:`state` gave.

        Returns:
            A fitted EASE.
        """
        model = cls(**state.config)
        model._weights = np.asarray(state.arrays["weights"], np.float32)
        if "own" in state.arrays:
            model._own = np.asarray(state.arrays["own"], np.float32)
            shares, items, offsets = (
                np.asarray(state.arrays[name]) for name in ("shares", "items", "offsets")
            )
            shape = len(offsets) - 1, len(model._own)
            model._items_of = lines_of(shares, items, offsets, shape)
        return model

    def _learned_of(self, rows: NDArray[np.int32]) -> NDArray[np.bool_]:
        if self._own is not None:
            return np.asarray(self._own[rows] > 0)  # 0 for what nobody took
        return self._says(self._fitted(), rows)

    def _ridges(self, matrix: sp.csr_array) -> NDArray[np.float64]:
        taken = np.maximum(matrix.sum(axis=0), 1)
        ridges: NDArray[np.float64] = (taken / taken.mean()) ** self.power  # relative to l2
        return ridges

    def _fit_by_items(self, matrix: sp.csr_array) -> None:
        gram = (matrix.T @ matrix).toarray()
        gram[np.diag_indices_from(gram)] += self.l2 * self._ridges(matrix)
        precision = _inverse(gram)
        precision /= -np.diag(precision)[None, :]
        precision[np.diag_indices_from(precision)] = 0.0
        self._weights, self._own, self._items_of = precision.astype(np.float32), None, None

    def _fit_by_users(self, matrix: sp.csr_array) -> None:
        # items over the root of their ridge turn (X'X + l2 R)^-1 into the plain form
        roots = np.sqrt(self._ridges(matrix))
        even = matrix.copy()
        even.data /= roots[even.indices]
        gram = (even @ even.T).toarray()
        gram[np.diag_indices_from(gram)] += self.l2
        factor = scipy.linalg.cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
        solved = scipy.linalg.cho_solve(
            factor, even.toarray(), overwrite_b=True, check_finite=False
        )
        covered = even.multiply(solved).sum(axis=0).ravel()  # diag(X' M) = 1 - l2 diag(P)
        self._weights = _in_strips((solved / ((1 - covered) / roots)).astype(np.float32))
        self._own = (covered / (1 - covered)).astype(np.float32)
        even.data /= roots[even.indices]
        self._items_of = even.astype(np.float32)

    @property
    def n_items(self) -> int:
        """Width of the catalogue."""
        return int(self._fitted().shape[1] if self._own is None else len(self._own))

    def _fitted(self) -> NDArray[np.float32]:
        if self._weights is None:
            msg = "this EASE is not fitted; call fit(train) first"
            raise NotReadyError(msg)
        return self._weights


def _in_strips(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    # (users, items) to (strips, users, _STRIP), the last one filled up with zeros
    users, items = weights.shape
    wide = np.pad(weights, ((0, 0), (0, -items % _STRIP)))
    return np.ascontiguousarray(
        wide.reshape(users, wide.shape[1] // _STRIP, _STRIP).swapaxes(0, 1)
    )


def _inverse(gram: NDArray[np.float64]) -> NDArray[np.float64]:
    # Inverse of a symmetric positive definite matrix, half the work of a general one, in its place.
    factor, _ = scipy.linalg.lapack.dpotrf(gram.T, lower=1, overwrite_a=1)
    inverse, _ = scipy.linalg.lapack.dpotri(factor, lower=1, overwrite_c=1)
    for start in range(0, len(inverse), _COLUMNS):  # LAPACK fills the lower half only
        stop = start + _COLUMNS
        corner = np.tril(inverse[start:stop, start:stop])
        inverse[start:stop, start:stop] = corner + np.tril(corner, -1).T
        inverse[start:stop, stop:] = inverse[stop:, start:stop].T
    return np.asarray(inverse.T)
