"""What everybody likes: the answer for whoever brings nothing, and the baseline to beat."""

from dataclasses import dataclass, field, fields
from typing import ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from shortlist.data.eligible import Eligible
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import State
from shortlist.data.queries import Queries
from shortlist.data.topk import TopK
from shortlist.errors import ConfigError, LikenessError, NotReadyError
from shortlist.retrieval.dense import DenseRetriever

By = Literal["count", "rating", "recent"]
_A_DAY = 86_400


@dataclass(eq=False, kw_only=True)
class Popularity(DenseRetriever):
    """The same list for everyone, less what each has seen.

    Attributes:
        by: ``"count"``: liked rows per item. ``"rating"``: the Bayesian mean rating,
            ``(prior_count * mean of all + sum) / (prior_count + count)``. ``"recent"``: liked rows,
            each weighing half as much for every ``half_life_days`` of age.
        min_mean: for ``"count"`` and ``"recent"``: items with a lower mean rating come after all the
            others; None takes all.
        min_count: for ``"rating"``: items with fewer ratings come after all the others.
        prior_count: for ``"rating"``: how many average ratings each item starts with.
        half_life_days: for ``"recent"``.
    """

    name: ClassVar[str] = "popularity"
    personal: ClassVar[bool] = False
    refits_at_once: ClassVar[bool] = True

    by: By = "count"
    min_mean: float | None = None
    min_count: int = 20
    prior_count: float = 10.0
    half_life_days: float = 90.0
    _scores: NDArray[np.float32] | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigError: a setting is out of range.
        """
        if self.by not in get_args(By):
            msg = f"by must be one of {get_args(By)}; got {self.by!r}"
            raise ConfigError(msg)
        if self.min_count < 0 or not self.prior_count >= 0 or not self.half_life_days > 0:
            msg = f"min_count and prior_count must not be negative and half_life_days must be positive; got {self}"
            raise ConfigError(msg)

    def fit(self, train: Interactions, *, validate: Interactions | None = None) -> Self:
        """Count.

        Args:
            train: the rows; ``"rating"`` needs ratings and ``"recent"`` times.
            validate: not used: there is nothing to choose.

        Returns:
            Itself, fitted.
        """
        n_items = len(train.item_vocabulary)
        if self.by == "rating":
            self._scores = self._mean_ratings(train.having("rating"), n_items)
            return self
        rows, weight = train.item_rows[train.liked], None
        if self.by == "recent":
            times = train.having("timestamp").timestamps
            seconds = np.asarray(times, np.float64)
            latest = seconds.max() if len(seconds) else 0.0
            age = (latest - seconds[train.liked]) / _A_DAY
            weight = 2.0 ** (-age / self.half_life_days)
        scores = np.bincount(rows, weight, minlength=n_items).astype(np.float64)
        if self.min_mean is not None:
            ratings = np.asarray(train.having("rating").ratings, np.float64)
            count = np.bincount(train.item_rows, minlength=n_items)
            total = np.bincount(train.item_rows, ratings, minlength=n_items)
            below = (count == 0) | (total < self.min_mean * count)
            scores[below] -= scores.max(initial=0.0) + 1  # they come last, in order
        self._scores = scores.astype(np.float32)
        return self

    def knows(self, queries: Queries) -> NDArray[np.bool_]:
        """Everyone gets the same answer.

        Args:
            queries: n askers.

        Returns:
            (n,) bool.
        """
        return np.ones(len(queries), bool)

    @property
    def n_items(self) -> int:
        """Width of the catalogue."""
        return len(self._fitted())

    def score_all(self, queries: Queries) -> NDArray[np.float32]:
        """Scores of the whole catalogue.

        Args:
            queries: n askers.

        Returns:
            (n, n_items) float32.
        """
        return np.tile(self._fitted(), (len(queries), 1))

    def similar(
        self, rows: NDArray[np.int32], k: int, eligible: Eligible | None = None
    ) -> TopK:
        """Popularity knows no likeness between items.

        Args:
            rows: not used.
            k: not used.
            eligible: not used.

        Raises:
            LikenessError: always.
        """
        msg = "popularity cannot say which items are alike; put EASE or TwoTower first in retrieve"
        raise LikenessError(msg)

    def state(self) -> State:
        """Everything needed to answer.

        Returns:
            Settings and the score of each item.
        """
        settings = {f.name: getattr(self, f.name) for f in fields(self) if f.init}
        return State(settings, {"scores": self._fitted()})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild.

        Args:
            state: what :meth:`state` gave.

        Returns:
            A fitted Popularity.
        """
        model = cls(**state.config)
        model._scores = np.asarray(state.arrays["scores"], np.float32)
        return model

    def _fitted(self) -> NDArray[np.float32]:
        if self._scores is None:
            msg = "this Popularity is not fitted; call fit(train) first"
            raise NotReadyError(msg)
        return self._scores

    def _mean_ratings(self, train: Interactions, n_items: int) -> NDArray[np.float32]:
        ratings = np.asarray(train.ratings, np.float64)
        count = np.bincount(train.item_rows, minlength=n_items)
        total = np.bincount(train.item_rows, ratings, minlength=n_items)
        middle = ratings.mean() if len(ratings) else 0.0
        weight = self.prior_count + count
        mean = np.where(
            weight > 0,
            (self.prior_count * middle + total) / np.maximum(weight, 1e-12),
            middle,  # of an item without a rating, nothing better is known
        )
        span = np.ptp(ratings) + 1 if len(ratings) else 1.0
        scores = np.where(
            count >= self.min_count, mean, mean - span
        )  # the rare come last, in order
        return np.asarray(scores, np.float32)
