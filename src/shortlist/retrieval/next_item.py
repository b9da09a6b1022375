"""What comes next: a ridge regression from what someone took lately to what they took then.

At every place of every history, with the items before it forgotten step by step, ``a = sum_t
exp(-decay t) e_(item t steps back)``, and the next few items ahead of it, ``y = sum_t
exp(-target_decay t) e_(item t steps ahead)``, minimise ``|Y - A B|^2 + l2 |B|^2``; the solution is
``B = (A'A + l2 I)^-1 A'Y`` (after Choi et al., "Session-aware Linear Item-Item Models for
Session-based Recommendation", WWW 2021). Several decays stand side by side in ``a`` and share one
solution: so an item may speak for another while it is recent, and against it once it is long ago.
A and Y are never made: the products only depend on which item came how many steps after which.

Two more opinions are multiplied in, as experts that must agree: the odds of coming soon after each
item of the history (naive Bayes on the same pairs, smoothed towards popularity), and EASE over a
history that is forgotten as well. With p, o and e for the three, the score is

``log(max(p, 0) + .01) + odds * sum_t exp(-odds_decay t) o_t + popularity * log(share) + ease * log(max(e, 0) + .1)``.
"""

from copy import copy
from dataclasses import dataclass, field, fields
from typing import ClassVar, Self

import numpy as np
import scipy
from numpy.typing import NDArray

from shortlist.data.interactions import Interactions
from shortlist.data.protocols import State
from shortlist.data.queries import Queries
from shortlist.data.ragged import beside
from shortlist.errors import ConfigError, DataError, NotReadyError
from shortlist.retrieval.dense import DenseRetriever
from shortlist.retrieval.ease import EASE
from shortlist.retrieval.explaining import entry_by_entry
from shortlist.retrieval.following import Sequences, log_odds

_FLOOR, _EASE_FLOOR = np.float32(0.01), np.float32(0.1)  # below these, a ridge only guesses
_GIGABYTE = 1e9


@dataclass(eq=False, kw_only=True)
class NextItem(DenseRetriever):
    """Closed-form next-item model; needs times to learn, answers any history in its order.

    Attributes:
        decays: how fast histories are forgotten, per step back; one block of weights for each.
        targets: how many items ahead are learned from.
        target_decay: how much less each further one counts.
        l2: strength of the regularisation.
        odds: weight of the odds of the pairs; 0 leaves them out.
        odds_decay: per step between two items of a pair, and per step back when answering.
        popularity: weight of the log of an item's share of the rows.
        ease: weight of EASE; 0 leaves it out.
        ease_decay: how fast EASE's history is forgotten, per step back.
        ease_l2: EASE's regularisation.
        max_gigabytes: memory the fit may use; a catalogue that needs more is refused beforehand.
    """

    name: ClassVar[str] = "next-item"

    decays: tuple[float, ...] = (0.7, 0.05)
    targets: int = 10
    target_decay: float = 0.5
    l2: float = 300.0
    odds: float = 0.25
    odds_decay: float = 0.35
    popularity: float = 0.35
    ease: float = 0.5
    ease_decay: float = 0.1
    ease_l2: float = 300.0
    max_gigabytes: float = 6.0
    _weights: NDArray[np.float32] | None = field(init=False, repr=False, default=None)
    _odds: NDArray[np.float32] | None = field(init=False, repr=False, default=None)
    _shares: NDArray[np.float32] | None = field(init=False, repr=False, default=None)
    _ease: EASE | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigError: a setting is out of range.
        """
        self.decays = tuple(self.decays)
        speeds = (*self.decays, self.target_decay, self.odds_decay, self.ease_decay)
        if not self.decays or not all(0 <= speed < np.inf for speed in speeds):
            msg = f"decays must hold numbers of at least 0, and so must the other decays; got {speeds}"
            raise ConfigError(msg)
        if self.targets < 1:
            msg = f"targets must be at least 1: how many items ahead are learned from; got {self.targets}"
            raise ConfigError(msg)
        positive = (self.l2, self.ease_l2, self.max_gigabytes)
        shares = (self.odds, self.popularity, self.ease)
        if not all(one > 0 for one in positive) or not all(0 <= one < np.inf for one in shares):
            msg = (
                f"l2, ease_l2 and max_gigabytes must be positive, odds, popularity and ease 0 or more; "
                f"got {positive} and {shares}"
            )
            raise ConfigError(msg)

    def fit(self, train: Interactions, *, validate: Interactions | None = None) -> Self:
        """Count which item came how long after which, and solve.

        Args:
            train: the rows; needs times, ties keep the order of the rows. Only liked rows count,
                each item of a user at its latest.
            validate: not used: there is nothing to choose.

        Returns:
            Itself, fitted.

        Raises:
            DataError: there are no times, or all are the same.
            ConfigError: the solution would need more than ``max_gigabytes``, or ``l2`` is too small.
        """
        _check_times(train)
        n_items, blocks = len(train.item_vocabulary), len(self.decays)
        need = 4 * n_items**2 * (blocks**2 + 2 * blocks + 3) / _GIGABYTE
        if need > self.max_gigabytes:
            msg = (
                f"next-item over {n_items:,} items and {blocks} decays needs about {need:.1f} GB; max_gigabytes is "
                f"{self.max_gigabytes}. Use fewer decays, GraphFilter, ALS or TwoTower, leave rare items out, or "
                "raise max_gigabytes"
            )
            raise ConfigError(msg)
        self._ease = None
        if self.ease:
            ease = EASE(
                l2=self.ease_l2, decay=self.ease_decay, max_gigabytes=self.max_gigabytes
            )
            self._ease = ease.fit(train)
        taken = Sequences.of(train)
        shares = (taken.counts + 1) / (len(taken.items) + n_items)
        self._shares = np.log(shares).astype(np.float32)
        self._odds = log_odds(taken, shares, self.odds_decay) if self.odds else None
        self._weights = self._solved(taken)
        return self

    def score_all(self, queries: Queries) -> NDArray[np.float32]:
        """Scores of the whole catalogue.

        Args:
            queries: n askers, their histories oldest first.

        Returns:
            (n, n_items) float32, logarithms up to a constant.
        """
        weights = self._fitted()
        recent = beside([queries.recent_matrix(self.n_items, decay) for decay in self.decays])
        # sparse times dense adds line by line, in order: the same bits whatever stands beside it
        scores = _log_above(_FLOOR, recent @ weights)
        if self._shares is not None:
            scores += np.float32(self.popularity) * self._shares
        if self._odds is not None:
            lately = queries.recent_matrix(self.n_items, self.odds_decay)
            scores += np.float32(self.odds) * (lately @ self._odds)
        if self._ease is not None:
            scores += np.float32(self.ease) * _log_above(
                _EASE_FLOOR, self._ease.score_all(queries)
            )
        return scores

    def explain(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """The score less what it is without each item: experts that multiply have no other shares.

        Args:
            queries: n askers.
            rows: (n, m) item rows.

        Returns:
            (len(queries.history_rows), m) float32; an asker's entries need not sum to the score.
        """
        return entry_by_entry(self._added, queries, rows)

    def _added(
        self, one: Queries, some: NDArray[np.int64], rows: NDArray[np.int32]
    ) -> NDArray[np.floating]:
        items, weights = one.history_rows[some], self._fitted()
        blocks = weights.reshape(len(self.decays), self.n_items, -1)
        parts = [
            _with_and_without(block[np.ix_(items, rows)], one, some, decay)
            for block, decay in zip(blocks, self.decays, strict=True)
        ]
        whole, without = (np.sum(part, axis=0) for part in zip(*parts, strict=True))
        added = _log_above(_FLOOR, whole) - _log_above(_FLOOR, without)
        if self._odds is not None:
            odds = self._odds[np.ix_(items, rows)]
            whole, without = _with_and_without(odds, one, some, self.odds_decay)
            added += self.odds * (whole - without)
        if self._ease is not None:
            between = self._ease.between(items, rows)
            whole, without = _with_and_without(between, one, some, self.ease_decay)
            whole, without = _log_above(_EASE_FLOOR, whole), _log_above(_EASE_FLOOR, without)
            added += self.ease * (whole - without)
        return added

    def without_users(self, rows: NDArray[np.int64]) -> Self:
        """Take what some users took out of EASE, where it holds that.

        Args:
            rows: user rows, rising.

        Returns:
            A fitted copy.
        """
        left = copy(self)
        left._ease = None if self._ease is None else self._ease.without_users(rows)
        return left

    def state(self) -> State:
        """Everything needed to answer.

        Returns:
            Settings, the weights of the ridge, the odds, the shares of popularity, and EASE.
        """
        arrays: dict[str, NDArray[np.generic]] = {"weights": self._fitted()}
        if self._shares is not None:
            arrays["shares"] = self._shares
        if self._odds is not None:
            arrays["odds"] = self._odds
        if self._ease is not None:
            arrays |= {
                f"ease {name}": array for name, array in self._ease.state().arrays.items()
            }
        config = {one.name: getattr(self, one.name) for one in fields(self) if one.init}
        return State(config | {"decays": list(self.decays)}, arrays)

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild.

        Args:
            state: what :meth:`state` gave.

        Returns:
            A fitted NextItem.
        """
        model = cls(**state.config)
        model._weights = np.asarray(state.arrays["weights"], np.float32)
        model._shares = np.asarray(state.arrays["shares"], np.float32)
        if model.odds:
            model._odds = np.asarray(state.arrays["odds"], np.float32)
        if model.ease:
            its = {
                name.removeprefix("ease "): array
                for name, array in state.arrays.items()
                if name.startswith("ease ")
            }
            config = {"l2": model.ease_l2, "decay": model.ease_decay}
            model._ease = EASE.from_state(State(config, its))
        return model

    @property
    def n_items(self) -> int:
        """Width of the catalogue."""
        return int(self._fitted().shape[1])

    def _fitted(self) -> NDArray[np.float32]:
        if self._weights is None:
            msg = "this NextItem is not fitted; call fit(train) first"
            raise NotReadyError(msg)
        return self._weights

    def _learned_of(self, rows: NDArray[np.int32]) -> NDArray[np.bool_]:
        learned = self._says(self._fitted(), rows)
        return learned if self._ease is None else learned | self._ease._learned_of(rows)

    def _solved(self, taken: "Sequences") -> NDArray[np.float32]:
        n, blocks = len(taken.counts), len(self.decays)
        gram = np.empty((blocks * n, blocks * n), np.float32)
        ahead = np.empty((blocks * n, n), np.float32, order="F")  # as LAPACK wants it
        steps = np.exp(-self.target_decay * np.arange(self.targets))
        for x, one in enumerate(self.decays):
            lines = slice(x * n, (x + 1) * n)
            ahead[lines] = taken.pairs(np.convolve(taken.fading(one), steps))
            for y, two in enumerate(self.decays[: x + 1]):
                columns = slice(y * n, (y + 1) * n)
                gram[lines, columns] = taken.states(one, two)
                if x != y:
                    gram[columns, lines] = gram[lines, columns].T
        gram[np.diag_indices_from(gram)] += np.float32(self.l2)
        factor, failed = scipy.linalg.lapack.spotrf(gram.T, lower=1, overwrite_a=1)
        if failed:
            msg = f"l2={self.l2} is too small for these rows: their counts cannot be inverted. Raise l2"
            raise ConfigError(msg)
        solved, _ = scipy.linalg.lapack.spotrs(factor, ahead, lower=1, overwrite_b=1)
        return np.ascontiguousarray(solved, np.float32)


def _with_and_without(
    weights: NDArray[np.float32], one: Queries, some: NDArray[np.int64], decay: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # (h, m) what each entry says to the sum of all (m,), and to that without each entry (h, m):
    # all that came before the entry is then one step nearer
    said = one.recency(decay)[some, None] * weights.astype(np.float64)
    whole = said.sum(axis=0)
    before = np.cumsum(said, axis=0) - said
    return whole, whole - said + np.expm1(decay) * before


def _log_above(floor: np.float32, numbers: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(np.log(np.maximum(numbers, 0) + floor), np.float32)


def _check_times(train: Interactions) -> None:
    times = train.timestamps
    if times is None or len(np.unique(times)) < 2:
        got = "no column 'timestamp'" if times is None else f"{len(times):,} rows of one time"
        msg = (
            f"next-item learns from the order of a history; got {got}, so there is none. "
            "Name the column of times when reading, or use EASE, which needs no order"
        )
        raise DataError(msg)
