"""Graph filter: a history is a signal on the graph of items, and what is smooth on it is kept.

With R the binary matrix of users by items, and D_U, D_I its degrees, the graph is the normalised
co-occurrence ``P = R~' R~`` with ``R~ = D_U^-user_power R D_I^-item_power``, scaled so that its
largest eigenvalue is 1. A history h is answered with

    h D_I^-balance F D_I^balance,    F = P (I + s P)^-1 + low_pass V V',    s = sharpen / x_2

where x_2 is the second eigenvalue of P (the first belongs to what everybody has) and V holds the ``rank`` leading eigenvectors of P, and ``low_pass V V'`` is the ideal low-pass of
GF-CF (Shen et al., "How Powerful is Graph Convolution for Recommendation?", CIKM 2021). P alone blurs
a history, most of all towards what everybody has. Choi et al. ("Blurring-Sharpening Process Models
for Collaborative Filtering", SIGIR 2023) therefore take a step back after it, ``F - step F P``; a long
step turns the order of the leading eigenvectors around. The step here is the implicit one, the
resolvent of P, which cannot: an eigenvalue x becomes ``x / (1 + s x)``, rising in x.

P^2 and the resolvent are dense, so nothing of the kind is made. On the span of V the filter is
applied exactly; on the rest, where eigenvalues lie between 0 and t, that of the last vector, it is
replaced by its chord ``x / (1 + s t)``. So F is a multiple of P, which is answered through the
sparse R~, and a matrix of low rank: memory grows with the rows of train and with items x rank.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.interactions import Interactions
from shortlist.data.protocols import State
from shortlist.data.queries import Queries
from shortlist.data.ragged import lines_of
from shortlist.errors import ConfigError, NotReadyError
from shortlist.retrieval.dense import DenseRetriever
from shortlist.retrieval.eigenvectors import leading, width_for
from shortlist.retrieval.explaining import entry_by_entry

_SMALL_CATALOGUE = 4096  # up to here F itself is small, and quicker to answer with
_GIGABYTE = 1e9
_LINES = 64  # histories answered at a time
_BITS = 23  # of each number in the basis, counted from the largest of its vector
_EXACT = 53  # bits that float64 adds without rounding
_SETTINGS = (
    "user_power",
    "item_power",
    "balance",
    "sharpen",
    "low_pass",
    "rank",
    "max_gigabytes",
    "seed",
)


@dataclass(eq=False, kw_only=True)
class GraphFilter(DenseRetriever):
    """Closed-form filter on the graph of items, for catalogues of any size.

    Attributes:
        user_power: exponent that divides by the users' degrees; larger trusts short histories more.
        item_power: exponent that divides by the items' degrees inside the graph.
        balance: exponent by which rare items of a history count more and frequent items are
            answered more.
        sharpen: length of the step that takes the blur back; 0 leaves it out.
        low_pass: weight of the ideal low-pass; 0 leaves it out.
        rank: leading eigenvectors on which the filter is exact, at least 2; lowered to what the
            matrix has.
        max_gigabytes: memory the fit may use; what needs more is refused beforehand.
        seed: of the directions that the search for eigenvectors starts from.
    """

    name: ClassVar[str] = "graph-filter"

    user_power: float = 0.25
    item_power: float = 0.4
    balance: float = 0.25
    sharpen: float = 6.0
    low_pass: float = 0.0
    rank: int = 128
    max_gigabytes: float = 6.0
    seed: int = 0
    _weights: NDArray[np.float32] | None = field(init=False, repr=False, default=None)
    _graph: "_Graph | None" = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigError: a setting is out of range.
        """
        for name in ("user_power", "item_power", "balance"):
            if not -2 <= getattr(self, name) <= 2:
                msg = f"{name} must be between -2 and 2; got {getattr(self, name)}. It is an exponent of degrees"
                raise ConfigError(msg)
        if not 0 <= self.sharpen < np.inf or not 0 <= self.low_pass < np.inf:
            msg = f"sharpen and low_pass must be 0 or more; got {self.sharpen} and {self.low_pass}"
            raise ConfigError(msg)
        if self.rank < 2 or not self.max_gigabytes > 0:
            msg = f"rank must be at least 2 and max_gigabytes positive; got {self.rank} and {self.max_gigabytes}"
            raise ConfigError(msg)

    def fit(self, train: Interactions, *, validate: Interactions | None = None) -> Self:
        """Normalise the graph and find its leading eigenvectors.

        Args:
            train: the rows; only the liked ones count, each pair once.
            validate: not used: there is nothing to choose.

        Returns:
            Itself, fitted.

        Raises:
            ConfigError: the fit would need more than ``max_gigabytes``.
        """
        matrix = train.liked_matrix()
        self._refuse_too_large(*matrix.shape, matrix.nnz)
        degrees = np.maximum(np.bincount(matrix.indices, minlength=matrix.shape[1]), 1.0)
        lengths = np.diff(matrix.indptr)
        matrix.data = (
            np.repeat(np.maximum(lengths, 1.0) ** -self.user_power, lengths)
            * degrees[matrix.indices] ** -self.item_power
        ).astype(np.float32)
        values, vectors = leading(matrix, self.rank, np.random.default_rng(self.seed))
        top = float(values.max(initial=0.0)) or 1.0
        values = values / top
        step = self.sharpen / float(values[:2].min(initial=1.0))
        chord = 1 / (1 + step * float(values.min(initial=1.0)))
        matrix.data *= np.float32(np.sqrt(chord / top))
        gains = values / (1 + step * values) - chord * values + self.low_pass
        graph = _Graph.of(matrix, degrees**self.balance, vectors, gains)
        self._weights, self._graph = None, graph
        if graph.n_items <= _SMALL_CATALOGUE:
            every = np.arange(graph.n_items)
            self._weights, self._graph = graph.between(every, every), None
        return self

    def score_all(self, queries: Queries) -> NDArray[np.float32]:
        """Scores of the whole catalogue.

        Args:
            queries: n askers.

        Returns:
            (n, n_items) float32.
        """
        fitted, history = self._fitted(), queries.liked_matrix(self.n_items)
        if isinstance(fitted, _Graph):
            return fitted.answer(history)
        # sparse times dense adds line by line, in order: the same bits whatever stands beside it
        return np.asarray(history @ fitted, np.float32)

    def explain(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """What the filter makes of each item of the histories alone; the filter is linear.

        Args:
            queries: n askers.
            rows: (n, m) item rows.

        Returns:
            (len(queries.history_rows), m) float32; an asker's entries sum to the score.
        """
        return entry_by_entry(self._added, queries, rows)

    def _added(
        self, one: Queries, some: NDArray[np.int64], rows: NDArray[np.int32]
    ) -> NDArray[np.floating]:
        fitted, items = self._fitted(), one.history_rows[some]
        if isinstance(fitted, _Graph):
            return fitted.between(items, rows)
        return np.asarray(fitted[np.ix_(items, rows)])

    def _learned_of(self, rows: NDArray[np.int32]) -> NDArray[np.bool_]:
        fitted = self._fitted()
        return (
            fitted.learned_of(rows) if isinstance(fitted, _Graph) else self._says(fitted, rows)
        )

    @property
    def n_items(self) -> int:
        """Width of the catalogue."""
        fitted = self._fitted()
        return fitted.n_items if isinstance(fitted, _Graph) else int(fitted.shape[1])

    def _fitted(self) -> "NDArray[np.float32] | _Graph":
        if self._weights is not None:
            return self._weights
        if self._graph is not None:
            return self._graph
        msg = "this GraphFilter is not fitted; call fit(train) first"
        raise NotReadyError(msg)

    def without_users(self, rows: NDArray[np.int64]) -> Self:
        """Take the lines of users out of the graph; what they shaped of its eigenvectors stays.

        Args:
            rows: user rows, rising.

        Returns:
            A fitted copy.
        """
        left = copy(self)
        if self._graph is not None:
            users = self._graph.users
            stay = np.setdiff1d(np.arange(users.shape[0]), rows)
            left._graph = replace(self._graph, users=users[stay])
        return left

    def state(self) -> State:
        """Everything needed to answer.

        Returns:
            Settings, and the filter: as a matrix where the catalogue is small, else its parts.
        """
        n_items = self.n_items
        arrays: dict[str, NDArray[np.generic]] = {}
        if self._weights is not None:
            arrays = {"weights": self._weights}
        elif self._graph is not None:
            arrays = self._graph.arrays()
        config = {name: getattr(self, name) for name in _SETTINGS}
        return State(config | {"n_items": n_items}, arrays)

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild.

        Args:
            state: what :meth:`state` gave.

        Returns:
            A fitted GraphFilter.
        """
        model = cls(**{name: state.config[name] for name in _SETTINGS})
        if "weights" in state.arrays:
            model._weights = state.arrays["weights"]
        else:
            model._graph = _Graph.of_arrays(state.arrays, int(state.config["n_items"]))
        return model

    def _refuse_too_large(self, n_users: int, n_items: int, pairs: int) -> None:
        width = width_for(self.rank, (n_users, n_items))
        small = 4 * 3 * n_items**2 if n_items <= _SMALL_CATALOGUE else 0
        answering = 4 * _LINES * (2 * n_users + 5 * n_items)
        fitting = 40 * pairs + 8 * width * (4 * n_items + n_users)
        need = (fitting + small + answering) / _GIGABYTE
        if need > self.max_gigabytes:
            msg = (
                f"GraphFilter over {n_users:,} users, {n_items:,} items and {pairs:,} liked pairs with rank "
                f"{self.rank} needs about {need:.1f} GB; max_gigabytes is {self.max_gigabytes}. "
                "Use a lower rank, TwoTower, or raise max_gigabytes"
            )
            raise ConfigError(msg)


@dataclass(frozen=True, eq=False)
class _Graph:
    """``D^-balance (N'N + V diag(gains) V') D^balance``, never multiplied out.

    Attributes:
        users: (n_users, n_items) N, the normalised matrix with the chord of the filter in it.
        scale: (n_items,) degrees to the power of balance.
        basis: (n_items, rank) V, each vector times a power of two, in multiples of 2^-23.
        gains: (rank,) what the filter adds to the chord along V.
    """

    users: sp.csr_array
    scale: NDArray[np.float32]
    basis: NDArray[np.float64]
    gains: NDArray[np.float64]
    items: sp.csr_array = field(init=False)  # N'

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", self.users.T.tocsr())

    @classmethod
    def of(
        cls,
        users: sp.csr_array,
        scale: NDArray[np.float64],
        vectors: NDArray[np.float64],
        gains: NDArray[np.float64],
    ) -> "_Graph":
        # powers of two move from the vectors to their gains
        _, exponents = np.frexp(np.abs(vectors).max(axis=0, initial=0.0))
        basis = _on_grid(np.ldexp(vectors, -exponents), _BITS, axis=0)
        return cls(users, scale.astype(np.float32), basis, np.ldexp(gains, 2 * exponents))

    @property
    def n_items(self) -> int:
        return len(self.scale)

    def answer(self, history: sp.csr_array) -> NDArray[np.float32]:
        # (n, n_items) CSR of ones to (n, n_items) scores, the same bits whatever the batch
        # What BLAS adds, and in which order, depends on the batch. So both factors of the dense
        # product are on a grid on which float64 adds without rounding: then no order can matter.
        # Sparse products add line by line, in order.
        history.data = 1 / self.scale[history.indices]
        along = np.asarray(history @ self.basis) * self.gains  # (n, rank)
        along = _on_grid(along, _EXACT - _BITS - (along.shape[1] - 1).bit_length(), axis=1)
        scores = np.empty(history.shape, np.float32)
        for start in range(0, len(along), _LINES):
            some = slice(start, start + _LINES)
            shared = np.ascontiguousarray((history[some] @ self.items).toarray().T)
            block = self.items @ shared  # (n_items, lines)
            block += self.basis @ along[some].T
            block *= self.scale[:, None]
            scores[some] = block.T
        return scores

    def between(
        self, items: NDArray[np.integer], rows: NDArray[np.integer]
    ) -> NDArray[np.float32]:
        # (h,) items of a history and (m,) items to (h, m) weights, multiplied out
        weights: NDArray[np.float32] = (self.items[items] @ self.items[rows].T).toarray()
        weights += (self.basis[items] * self.gains) @ self.basis[rows].T
        weights *= self.scale[rows]
        weights /= self.scale[items, None]
        return weights

    def learned_of(self, rows: NDArray[np.integer]) -> NDArray[np.bool_]:
        # (m,) items to whether anyone took them, or an eigenvector still tells of who did
        offsets = self.items.indptr
        return np.asarray((offsets[rows + 1] > offsets[rows]) | self.basis[rows].any(axis=1))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        return {
            "offsets": self.users.indptr,
            "items": self.users.indices,
            "numbers": self.users.data,
            "scale": self.scale,
            "basis": self.basis.astype(np.float32),  # exact: the grid has fewer bits
            "gains": self.gains,
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]], n_items: int) -> "_Graph":
        offsets = arrays["offsets"]
        shape = (len(offsets) - 1, n_items)
        users = lines_of(arrays["numbers"], arrays["items"], offsets, shape)
        basis, gains = arrays["basis"].astype(np.float64), arrays["gains"].astype(np.float64)
        return cls(users, arrays["scale"].astype(np.float32), basis, gains)


def _on_grid(values: NDArray[np.floating], bits: int, axis: int) -> NDArray[np.float64]:
    # Round to multiples of 2^-bits of the power of two above the largest along the axis.
    _, exponents = np.frexp(np.abs(values).max(axis=axis, keepdims=True, initial=0.0))
    steps = np.rint(np.ldexp(values.astype(np.float64), bits - exponents))
    return np.asarray(np.ldexp(steps, exponents - bits), np.float64)
