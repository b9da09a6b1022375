"""Implicit ALS: users and items as vectors, fitted to all pairs, also to those that nobody took.

Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008, with the
regularisation of Rendle et al., "Revisiting the Performance of iALS on Item Recommendation Benchmarks",
RecSys 2022: over user vectors p and item vectors q minimise

    sum over liked pairs of w_ui (p_u q_i - 1)^2 + a sum over all pairs of (p_u q_i)^2
    + l2 (sum_u (n_u + a items)^f |p_u|^2 + sum_i (n_i + a users)^f |q_i|^2)

with a the weight of what was not observed, f the scaling by frequency and n the weight of the liked pairs
of a user or an item. With the items fixed each user is a small ridge regression, ``A_u p_u = sum of w_ui q_i`` with
``A_u = a Q'Q + sum of w_ui q_i q_i' + l2 (...) I``, and with the users fixed so is each item. The
regressions are solved exactly, those of histories of one length together. The first item vectors are
those of a truncated singular value decomposition, from where three rounds are enough.

A user is always answered by the regression over the history that they bring: a guest and a user of train
are the same, what was liked a minute ago counts, and each entry's share of the score is known.
"""

from dataclasses import asdict, dataclass, field, fields, replace
from typing import ClassVar, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.interactions import Interactions
from shortlist.data.protocols import State
from shortlist.data.queries import Queries
from shortlist.errors import ConfigError, DataError, NotReadyError
from shortlist.index.exact import ExactIndex
from shortlist.retrieval.half_step import SPARE, HalfStep, solve, start_of_items
from shortlist.retrieval.vectors import VectorRetriever

_GIGABYTE = 1e9


@dataclass(eq=False, kw_only=True)
class ALS(VectorRetriever):
    """Implicit matrix factorisation; answers for any history of items.

    Scores are about 1 for what was liked and 0 for the rest.

    Attributes:
        dim: length of the vectors.
        unobserved: a, the weight in the loss of every pair, in units of the square root of the share of
            pairs that are liked: where 4 in 100 are, 1 is a weight of 0.2 beside 1 for a liked pair.
        l2: strength of the regularisation, in units of the square root of a.
        scaling: how it grows with the number of rows: 0 not at all, 1 in proportion.
        epochs: rounds over users and items.
        seed: of the start.
        max_gigabytes: memory the fit may use; what needs more is refused beforehand.
    """

    name: ClassVar[str] = "als"

    dim: int = 64
    unobserved: float = 1.0
    l2: float = 0.9
    scaling: float = 0.5
    epochs: int = 3
    seed: int = 0
    max_gigabytes: float = 6.0
    _index: ExactIndex | None = field(init=False, repr=False, default=None)
    _step: HalfStep = field(init=False, repr=False, default_factory=HalfStep)
    _gram: NDArray[np.float32] = field(
        init=False, repr=False, default_factory=lambda: np.zeros((0, 0), np.float32)
    )

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigError: a setting is out of range.
        """
        if self.dim < 1 or self.epochs < 1:
            msg = f"dim and epochs must be at least 1; got {self.dim} and {self.epochs}"
            raise ConfigError(msg)
        for name in ("unobserved", "l2", "max_gigabytes"):
            if not 0 < getattr(self, name) < np.inf:
                msg = f"{name} must be positive; got {getattr(self, name)}"
                raise ConfigError(msg)
        if not 0 <= self.scaling <= 1:
            msg = f"scaling must be between 0 and 1; got {self.scaling}"
            raise ConfigError(msg)

    def fit(self, train: Interactions, *, validate: Interactions | None = None) -> Self:
        """Solve for users and items in turn.

        Args:
            train: the rows; only the liked ones count, each pair once. A ``weight`` column says how
                much a pair counts beside the others: weights are divided by their mean, and a pair
                that repeats has its largest.
            validate: not used: there is nothing to choose.

        Returns:
            Itself, fitted.

        Raises:
            ConfigError: it would need more than ``max_gigabytes``, or ``l2`` is too small.
            DataError: every liked row has weight 0.
        """
        self._check_memory(train)
        liked = _weighted(train)  # (users, items)
        by_item = sp.csr_array(liked.T.tocsr())
        items = start_of_items(liked, self.dim, seed=self.seed)
        self._step = self._half_step(liked)
        for _ in range(self.epochs):
            users = self._step.solved(liked, items, self._step.gram(items))
            items = self._step.solved(by_item, users, self._step.gram(users))
        self._answer_from(items)
        return self

    def settled(self) -> Self:
        """An unfitted copy: validation chooses nothing.

        Returns:
            An ALS with the same settings.
        """
        return replace(self)

    def encode(self, queries: Queries) -> NDArray[np.float32]:
        """Vectors of the askers, from the liked items that they bring, each with weight 1.

        Args:
            queries: n askers.

        Returns:
            (n, dim) float32; the same bits whatever the batch.
        """
        items = self.item_vectors
        return self._step.solved(queries.liked_matrix(len(items)), items, self._gram)

    def explain(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """What each item of the histories adds: ``q_i' A_u^-1 q_j`` (Hu et al., section 5).

        Args:
            queries: n askers.
            rows: (n, m) item rows.

        Returns:
            (len(queries.history_rows), m) float32; an asker's entries sum to the score.
        """
        items = self.item_vectors
        added = np.zeros((len(queries.history_rows), rows.shape[1]), np.float32)
        for askers, systems in self._step.systems(
            queries.liked_matrix(len(items)), items, self._gram
        ):
            for asker, system in zip(askers.tolist(), systems, strict=True):
                asked = items[rows[asker]].T  # (dim, m)
                entries = np.arange(queries.offsets[asker], queries.offsets[asker + 1])
                entries = entries[queries.counted[entries]]
                added[entries] = items[queries.history_rows[entries]] @ solve(system, asked)
        added[(rows < 0)[queries.askers]] = 0.0
        return added

    def state(self) -> State:
        """Everything needed to answer.

        Returns:
            Settings, their values in plain units, and item vectors.
        """
        settings = {f.name: getattr(self, f.name) for f in fields(self) if f.init}
        config = {"settings": settings, "half_step": asdict(self._step)}
        return State(config, {"items": self.item_vectors})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild.

        Args:
            state: what :meth:`state` gave.

        Returns:
            A fitted ALS.
        """
        model = cls(**state.config["settings"])
        model._step = HalfStep(**state.config["half_step"])
        model._answer_from(np.asarray(state.arrays["items"], np.float32))
        return model

    def _check_memory(self, train: Interactions) -> None:
        n_users, n_items = len(train.user_vocabulary), len(train.item_vocabulary)
        numbers = 4 * (n_users + n_items) * (self.dim + SPARE) + 8 * len(train)
        need = 4 * numbers / _GIGABYTE
        if need > self.max_gigabytes:
            msg = (
                f"ALS over {n_users:,} users and {n_items:,} items with dim {self.dim} needs about {need:.1f} GB; "
                f"max_gigabytes is {self.max_gigabytes}. Use a smaller dim, or Neighbours, or raise max_gigabytes"
            )
            raise ConfigError(msg)

    def _half_step(self, liked: sp.csr_array) -> HalfStep:
        # The units make one setting do for dense and for sparse tables.
        share = max(liked.nnz, 1) / (liked.shape[0] * liked.shape[1])
        unobserved = self.unobserved * share**0.5
        return HalfStep(unobserved, self.l2 * unobserved**0.5, self.scaling)

    def _answer_from(self, items: NDArray[np.float32]) -> None:
        self._index, self._gram = ExactIndex(items), self._step.gram(items)

    def _learned_of(self, rows: NDArray[np.int32]) -> NDArray[np.bool_]:
        # what nobody took has the vector 0
        return np.asarray(self.item_vectors[rows].any(axis=1))

    def _item_index(self) -> ExactIndex:
        if self._index is None:
            msg = "this ALS is not fitted; call fit(train) first"
            raise NotReadyError(msg)
        return self._index


def _weighted(train: Interactions) -> sp.csr_array:
    # (users, items) with 1, or the weights over their mean, in each liked pair
    liked = train.liked_matrix()
    if train.weights is None or not liked.nnz:
        return liked
    weights = train.weights[train.liked]
    user, item = train.user_rows[train.liked], train.item_rows[train.liked]
    order = np.lexsort((weights, item, user))
    last = np.append((np.diff(user[order]) != 0) | (np.diff(item[order]) != 0), True)
    liked.data = weights[order][last]  # the largest of each pair, in the order of the matrix
    mean = liked.data.mean(dtype=np.float64)
    if mean == 0:
        msg = "every liked row has weight 0; give the rows that count a positive weight"
        raise DataError(msg)
    liked.data = (liked.data / mean).astype(np.float32)
    return liked
