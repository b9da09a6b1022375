"""Users alike by what they state about themselves, and what those users liked.

For someone without a history: their columns (age, occupation, ...) are encoded as the towers do;
the most similar users of train vote for what they liked, weighted by the cosine, and popularity adds
its ``prior``. With few neighbours this is personal; with all users of equal columns it is popularity
by segment. The defaults were chosen on new-user splits within train (ML-100K, ML-1M). On ML-100K an age as a
``Number``, which says how near two ages are, did better there than as a ``Bucket``.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.eligible import Eligible
from shortlist.data.features import (
    Declared,
    History,
    feature_list,
    features_from_json,
    features_to_json,
)
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import State
from shortlist.data.queries import Queries
from shortlist.data.ragged import lines_of
from shortlist.data.sides import Side
from shortlist.data.topk import TopK
from shortlist.data.vocabulary import align
from shortlist.errors import ConfigError, LikenessError, NotReadyError
from shortlist.index.select import select_top_k
from shortlist.retrieval.dense import DenseRetriever, unit_lines

_CELLS = 1 << 22  # likenesses held at a time: 16 MB


@dataclass(eq=False, kw_only=True)
class Alike(DenseRetriever):
    """What users with similar columns liked.

    Attributes:
        features: columns of the users' table, or feature objects.
        neighbours: how many of the most similar users vote.
        prior: votes' worth of overall popularity in every score; larger is less personal.
    """

    name: ClassVar[str] = "alike"
    refits_at_once: ClassVar[bool] = True

    features: Sequence[Declared]
    neighbours: int = 200
    prior: float = 20.0
    _side: Side | None = field(init=False, repr=False, default=None)
    _users: sp.csr_array = field(
        init=False, repr=False, default_factory=lambda: sp.csr_array((0, 0))
    )
    _liked: sp.csr_array = field(
        init=False, repr=False, default_factory=lambda: sp.csr_array((0, 0))
    )

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigError: a setting is out of range.
        """
        self.features = feature_list("features", self.features)
        wrong = [f for f in self.features if f == "user_id" or isinstance(f, History)]
        if wrong or not self.features:
            msg = f"features are columns of the users' table, at least one; got {self.features}"
            raise ConfigError(msg)
        if self.neighbours < 1 or not self.prior >= 0:
            msg = f"neighbours must be at least 1 and prior not negative; got {self.neighbours} and {self.prior}"
            raise ConfigError(msg)

    def fit(self, train: Interactions, *, validate: Interactions | None = None) -> Self:
        """Encode the users of train and remember what they liked.

        Args:
            train: the rows, with a users' table.
            validate: not used: there is nothing to choose.

        Returns:
            Itself, fitted.

        Raises:
            NotReadyError: there is no users' table.
        """
        if train.users is None:
            msg = "Alike needs a users' table; give users= when reading"
            raise NotReadyError(msg)
        n_users = len(train.user_vocabulary)
        table = align(train.users, "user_id", train.user_vocabulary.ids)
        rows, everyone = np.arange(n_users, dtype=np.int32), np.ones(n_users, bool)
        self._side = Side.learn(
            self.features, id_name="user_id", n_rows=n_users, table=table, in_train=everyone
        )
        self._users = unit_lines(self._side.encode(rows, table))
        self._liked = train.liked_matrix()
        return self

    def knows(self, queries: Queries) -> NDArray[np.bool_]:
        """Whoever brings columns of their own.

        Args:
            queries: n askers.

        Returns:
            (n,) bool.
        """
        return queries.having([part.feature.column for part in self._fitted().learned])

    @property
    def n_items(self) -> int:
        """Width of the catalogue."""
        self._fitted()
        return int(self._liked.shape[1])

    def score_all(self, queries: Queries) -> NDArray[np.float32]:
        """Scores of the whole catalogue: the weighted share of similar users who liked each item.

        Args:
            queries: n askers.

        Returns:
            (n, n_items) float32.
        """
        side, n = self._fitted(), len(queries)
        step = max(1, _CELLS // max(1, self._users.shape[0]))
        if n > step:  # n askers by all users would not fit
            parts = (queries.slice(i, min(i + step, n)) for i in range(0, n, step))
            return np.concatenate([self.score_all(part) for part in parts])
        asked = unit_lines(side.encode(np.full(n, -1, np.int32), queries.users))
        likeness = np.asarray((asked @ self._users.T).toarray(), np.float32)
        known = np.flatnonzero(queries.user_rows >= 0)
        likeness[known, queries.user_rows[known]] = 0.0  # nobody votes for themselves
        voters = select_top_k(likeness, self.neighbours)
        there = (voters.rows >= 0) & (voters.scores > 0)
        line = np.nonzero(there)[0]
        votes = sp.csr_array(
            (voters.scores[there], (line, voters.rows[there])), shape=likeness.shape
        )
        overall = np.asarray(self._liked.mean(axis=0), np.float64).ravel()
        total = np.asarray(votes.sum(axis=1), np.float64).ravel()[:, None] + self.prior
        counted = (votes @ self._liked).toarray() + self.prior * overall
        return np.asarray(counted / np.maximum(total, 1e-12), np.float32)

    def similar(
        self, rows: NDArray[np.int32], k: int, eligible: Eligible | None = None
    ) -> TopK:
        """Users alike say nothing of items alike.

        Args:
            rows: not used.
            k: not used.
            eligible: not used.

        Raises:
            LikenessError: always.
        """
        msg = "Alike cannot say which items are alike; put EASE, Content or TwoTower first in retrieve"
        raise LikenessError(msg)

    def without_users(self, rows: NDArray[np.int64]) -> Self:
        """Nobody is answered from what these users liked any more.

        Args:
            rows: user rows, rising.

        Returns:
            A fitted copy.
        """
        left = copy(self)
        stay = np.setdiff1d(np.arange(self._liked.shape[0]), rows)
        left._side = self._fitted().without_rows(len(rows))
        left._users, left._liked = self._users[stay], self._liked[stay]
        return left

    def state(self) -> State:
        """Everything needed to answer.

        Returns:
            Settings, learned features, the users' vectors and likes.
        """
        config = {
            "features": features_to_json(self.features),
            "neighbours": self.neighbours,
            "prior": self.prior,
            "side": self._fitted().to_json(),
            "n_items": self._liked.shape[1],
        }
        arrays = {
            "user_offsets": self._users.indptr,
            "user_columns": self._users.indices,
            "user_weights": self._users.data,
            "liked_offsets": self._liked.indptr,
            "liked_items": self._liked.indices,
        }
        return State(config, arrays)

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild.

        Args:
            state: what :meth:`state` gave.

        Returns:
            A fitted Alike.
        """
        config, held = state.config, state.arrays
        features = features_from_json(config["features"])
        model = cls(features=features, neighbours=config["neighbours"], prior=config["prior"])
        model._side = Side.from_json(config["side"])
        users = len(held["user_offsets"]) - 1
        model._users = lines_of(
            held["user_weights"],
            held["user_columns"],
            held["user_offsets"],
            (users, model._side.columns),
        )
        ones = np.ones(len(held["liked_items"]), np.float32)
        shape = (users, config["n_items"])
        model._liked = lines_of(ones, held["liked_items"], held["liked_offsets"], shape)
        return model

    def _fitted(self) -> Side:
        if self._side is None:
            msg = "this Alike is not fitted; call fit(train) first"
            raise NotReadyError(msg)
        return self._side
