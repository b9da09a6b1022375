"""Item neighbours: what is liked together with what the asker liked.

Two items are alike by the users they share. With ``n_i`` the users who liked item i, ``n_u`` the items
that user u liked and ``c_ij`` the users who liked both, the likeness of i and j is

- cosine: ``c_ij / sqrt(n_i n_j)`` (Sarwar et al., "Item-based Collaborative Filtering", WWW 2001);
- BM25: ``g_i g_j`` times the sum of ``log(items / (1 + n_u))^2`` over the shared users, with
  ``g_i = (k1 + 1) / (1 + k1 (1 - b + b n_i / mean n))``: items are the documents and users the words,
  so users of many items say less, and items of many users count less (Robertson and Zaragoza, 2009);

times ``c_ij / (c_ij + shrinkage)``, since few users in common may be chance. Each item keeps its nearest
neighbours only; its score is the sum of its likenesses to those of them that the asker liked. The
co-occurrences are counted strip by strip: nothing of the size of items by items is ever made.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.eligible import Eligible
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import State
from shortlist.data.queries import Queries
from shortlist.data.ragged import lines_of
from shortlist.data.topk import TopK
from shortlist.errors import ConfigError, NotReadyError, closest
from shortlist.index.select import check_asked, select_top_k
from shortlist.retrieval.dense import DenseRetriever, excluding_itself
from shortlist.retrieval.explaining import entry_by_entry

_WEIGHTINGS = ("cosine", "bm25")
_K1, _B = 1.2, 0.75  # the usual constants of BM25
_LEAST = (
    1e-3  # a user who liked everything says this much, for a product of 0 would not be stored
)
_CELLS = 1 << 22  # co-occurrences or scores held at a time


@dataclass(eq=False, kw_only=True)
class Neighbours(DenseRetriever):
    """Item-to-item nearest neighbours; answers for any history of items, in catalogues of any size.

    Attributes:
        weighting: "cosine" or "bm25".
        neighbours: how many each item keeps, at least 1.
        shrinkage: users in common at which a likeness counts half, 0 or more.
    """

    name: ClassVar[str] = "neighbours"

    weighting: str = "cosine"
    neighbours: int = 100
    shrinkage: float = 3.0
    _near: sp.csr_array | None = field(init=False, repr=False, default=None)
    _speaks: sp.csr_array | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigError: a setting is out of range.
        """
        if self.weighting not in _WEIGHTINGS:
            msg = f"weighting must be one of {', '.join(_WEIGHTINGS)}; got {self.weighting!r}.{closest(str(self.weighting), list(_WEIGHTINGS))}"
            raise ConfigError(msg)
        if self.neighbours < 1 or not 0 <= self.shrinkage < np.inf:
            msg = f"neighbours must be at least 1 and shrinkage not negative; got {self.neighbours} and {self.shrinkage}"
            raise ConfigError(msg)

    def fit(self, train: Interactions, *, validate: Interactions | None = None) -> Self:
        """Find the neighbours of each item.

        Args:
            train: the rows; only the liked ones count, each pair once.
            validate: not used: there is nothing to choose.

        Returns:
            Itself, fitted.
        """
        liked = train.liked_matrix()
        said, scale = self._weights(liked)
        users, weighted = liked.T.tocsr(), liked.copy()
        weighted.data = np.repeat(said, np.diff(liked.indptr))
        lines = [np.zeros(0, np.int64)]
        columns, likenesses = [np.zeros(0, np.int32)], [np.zeros(0, np.float32)]
        for start, stop in _strips(users, np.diff(liked.indptr)):
            shared = _product(users[start:stop], liked)
            alike = shared  # cosine counts; BM25 weights what has the same pattern
            if self.weighting == "bm25":
                alike = _product(users[start:stop], weighted)
            item = np.repeat(np.arange(start, stop), np.diff(shared.indptr))
            likeness = alike.data * scale[item] * scale[shared.indices]
            likeness *= shared.data / (shared.data + self.shrinkage)
            likeness[item == shared.indices] = 0.0  # an item is no neighbour of its own
            numbers = likeness.astype(np.float32)
            near = _highest(numbers, shared.indptr, self.neighbours)
            lines.append(item[near])
            columns.append(shared.indices[near])
            likenesses.append(numbers[near])
        offsets = np.searchsorted(np.concatenate(lines), np.arange(liked.shape[1] + 1))
        parts = np.concatenate(likenesses), np.concatenate(columns), offsets
        self._keep(sp.csr_array(parts, shape=(liked.shape[1],) * 2))
        return self

    @property
    def n_items(self) -> int:
        """Width of the catalogue."""
        return int(self._fitted().shape[0])

    def score_all(self, queries: Queries) -> NDArray[np.float32]:
        """Scores of the whole catalogue.

        Args:
            queries: n askers.

        Returns:
            (n, n_items) float32; 0 for an item none of whose neighbours the asker liked.
        """
        liked = queries.liked_matrix(self.n_items)
        return np.asarray((liked @ self._speaking()).toarray())

    def similar(
        self, rows: NDArray[np.int32], k: int, eligible: Eligible | None = None
    ) -> TopK:
        """The neighbours of each item.

        Args:
            rows: (n,) items asked about.
            k: how many, at least 1; past the neighbours come the other items, with score 0, and no
                item at all beside one without neighbours.
            eligible: what may be answered; None allows everything. The item itself never is.

        Returns:
            A TopK (n, k); scores are likenesses.
        """
        near, limits = self._fitted(), excluding_itself(rows, eligible)
        check_asked(k, len(rows), limits)
        parts = [TopK.nothing(0, k)]
        step = max(1, _CELLS // max(1, near.shape[0]))
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            scores = near[some].toarray()
            scores[near.indptr[some + 1] == near.indptr[some]] = -np.inf
            limits.slice(start, start + len(some)).apply(scores)
            parts.append(select_top_k(scores, k))
        return TopK.stack(parts)

    def explain(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """The likeness of each item of the histories to the items asked about.

        Args:
            queries: n askers.
            rows: (n, m) item rows.

        Returns:
            (len(queries.history_rows), m) float32; an asker's entries sum to the score.
        """
        return entry_by_entry(self._added, queries, rows)

    def state(self) -> State:
        """Everything needed to answer.

        Returns:
            Settings, and each item's neighbours with their likenesses.
        """
        near = self._fitted()
        config = {
            "weighting": self.weighting,
            "neighbours": self.neighbours,
            "shrinkage": self.shrinkage,
        }
        return State(
            config, {"offsets": near.indptr, "near": near.indices, "likenesses": near.data}
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild.

        Args:
            state: what :meth:`state` gave.

        Returns:
            A fitted Neighbours.
        """
        model = cls(**state.config)
        held = state.arrays
        shape = (len(held["offsets"]) - 1,) * 2
        model._keep(lines_of(held["likenesses"], held["near"], held["offsets"], shape))
        return model

    def _weights(self, liked: sp.csr_array) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        # what each user's likes say, (users,), and what each item's likenesses are multiplied by, (items,)
        of_user = np.diff(liked.indptr)
        of_item = np.bincount(liked.indices, minlength=liked.shape[1])
        if self.weighting == "cosine":
            return np.ones(len(of_user), np.float32), 1 / np.sqrt(np.maximum(of_item, 1))
        taken = of_item[of_item > 0]
        said = np.log(np.maximum(len(taken) / (1 + of_user), 1 + _LEAST))
        length = of_item / (taken.mean() if len(taken) else 1.0)
        return (said**2).astype(np.float32), (_K1 + 1) / (1 + _K1 * (1 - _B + _B * length))

    def _added(
        self, one: Queries, some: NDArray[np.int64], rows: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        likenesses: NDArray[np.float32] = self._fitted()[rows][
            :, one.history_rows[some]
        ].toarray()
        return likenesses.T

    def _learned_of(self, rows: NDArray[np.int32]) -> NDArray[np.bool_]:
        offsets = self._speaking().indptr
        return np.asarray(offsets[rows + 1] > offsets[rows])  # a neighbour of at least one

    def _speaking(self) -> sp.csr_array:
        # whose neighbour each item is, with the likeness
        if self._speaks is None:
            self._speaks = self._fitted().T.tocsr()
        return self._speaks

    def _keep(self, near: sp.csr_array) -> None:
        self._near, self._speaks = near, None

    def _fitted(self) -> sp.csr_array:
        if self._near is None:
            msg = "this Neighbours is not fitted; call fit(train) first"
            raise NotReadyError(msg)
        return self._near


def _strips(users: sp.csr_array, of_user: NDArray[np.integer]) -> Iterator[tuple[int, int]]:
    # Runs of items that cannot have more than _CELLS pairs together, at least one item each.
    items = users.shape[0]
    pairs = np.concatenate([[0], np.cumsum(of_user[users.indices])])[users.indptr]
    most = np.concatenate([[0], np.cumsum(np.minimum(np.diff(pairs), items))])
    start = 0
    while start < items:
        stop = int(np.searchsorted(most, most[start] + _CELLS, side="right")) - 1
        stop = min(max(stop, start + 1), items)
        yield start, stop
        start = stop


def _product(first: sp.csr_array, second: sp.csr_array) -> sp.csr_array:
    product = sp.csr_array(first @ second)
    product.sort_indices()
    return product


def _highest(
    values: NDArray[np.float32], offsets: NDArray[np.integer], most: int
) -> NDArray[np.intp]:
    # Positions of the highest positive values of each line, ties to the earlier position.
    keep = values > 0
    for line in np.flatnonzero(np.diff(offsets) > most):
        at = slice(offsets[line], offsets[line + 1])
        cut = np.partition(values[at], len(values[at]) - most)[len(values[at]) - most]
        above = values[at] > cut
        level = np.flatnonzero(values[at] == cut)[: most - above.sum()]
        keep[at] &= above
        keep[at.start + level] = cut > 0
    return np.flatnonzero(keep)
