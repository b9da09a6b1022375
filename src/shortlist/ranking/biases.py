"""Ratings as a mean, plus how generous the user is, plus how well liked the item is.

Koren, "Factor in the Neighbors", TKDD 2010, section 2.1: ``r = mu + b_u + b_i``, with
``sum (r - mu - b_u - b_i)^2 + l2_user |b_u|^2 + l2_item |b_i|^2`` at its minimum.
"""

from copy import copy
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from shortlist.data.interactions import Interactions
from shortlist.data.protocols import State
from shortlist.data.queries import Queries
from shortlist.errors import ConfigError, NotReadyError
from shortlist.ranking.order import RatingRanker

_SWEEPS = 1000  # weak pulls need hundreds, the default ones some ten
_STILL = 1e-6


@dataclass(eq=False, kw_only=True)
class Biases(RatingRanker):
    """User and item bias model: the simple one that a rating network has to beat.

    Attributes:
        l2_user: ratings' worth of pull of each user's bias towards 0.
        l2_item: ratings' worth of pull of each item's bias towards 0.
    """

    name: ClassVar[str] = "bias"
    refits_at_once: ClassVar[bool] = True

    l2_user: float = 5.0
    l2_item: float = 3.0
    _mean: float | None = field(init=False, repr=False, default=None)
    _users: NDArray[np.float64] = field(
        init=False, repr=False, default_factory=lambda: np.zeros(1)
    )
    _items: NDArray[np.float64] = field(
        init=False, repr=False, default_factory=lambda: np.zeros(1)
    )

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigError: a setting is out of range.
        """
        if not self.l2_user > 0 or not self.l2_item > 0:
            msg = f"l2_user and l2_item must be positive; got {self.l2_user} and {self.l2_item}"
            raise ConfigError(msg)

    def fit(self, train: Interactions, *, validate: Interactions | None = None) -> Self:
        """Solve for the biases.

        Args:
            train: rows with ratings; a row of weight w counts as w rows.
            validate: not used: there is nothing to choose.

        Returns:
            Itself, fitted.
        """
        ratings = np.asarray(train.having("rating").ratings, np.float64)
        users, items = train.user_rows, train.item_rows
        n_users, n_items = len(train.user_vocabulary), len(train.item_vocabulary)
        counts = np.ones(len(ratings)) if train.weights is None else train.weights
        mean = float(np.average(ratings, weights=counts)) if counts.any() else 0.0
        rest = ratings - mean
        per_user = np.bincount(users, counts, minlength=n_users) + self.l2_user
        per_item = np.bincount(items, counts, minlength=n_items) + self.l2_item
        user_bias, item_bias = np.zeros(n_users), np.zeros(n_items)
        for _ in range(_SWEEPS):
            before = item_bias
            left = counts * (rest - user_bias[users])
            item_bias = np.bincount(items, left, minlength=n_items) / per_item
            left = counts * (rest - item_bias[items])
            user_bias = np.bincount(users, left, minlength=n_users) / per_user
            if np.abs(item_bias - before).max(initial=0) < _STILL:
                break
        self._mean, self._users, self._items = (
            mean,
            np.append(user_bias, 0.0),
            np.append(item_bias, 0.0),
        )
        return self

    def settled(self) -> Self:
        """An unfitted copy: validation chooses nothing here.

        Returns:
            Biases with the same settings.
        """
        return type(self)(l2_user=self.l2_user, l2_item=self.l2_item)

    def predict(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Predicted ratings.

        Args:
            queries: n askers; someone unknown with a rated history gets a bias from it.
            rows: (n, m) item rows; -1 is an unknown item, predicted without an item bias.

        Returns:
            (n, m) float32.
        """
        mean = self._fitted_mean()
        user = self._users[queries.user_rows]  # -1 is the last: 0
        if queries.history_ratings is not None:
            asker = np.repeat(np.arange(len(queries)), np.diff(queries.offsets))
            rest = queries.history_ratings - mean - self._items[queries.history_rows]
            count = np.bincount(asker, minlength=len(queries))
            guest = np.bincount(asker, rest, minlength=len(queries)) / (count + self.l2_user)
            user = np.where(queries.user_rows < 0, guest, user)
        return (mean + user[:, None] + self._items[rows]).astype(np.float32)

    def residuals(
        self,
        ratings: NDArray[np.float32],
        user_rows: NDArray[np.int32],
        item_rows: NDArray[np.int32],
    ) -> NDArray[np.float32]:
        """What the biases leave of ratings.

        Args:
            ratings: (n,).
            user_rows: (n,) who gave them; -1 is unknown.
            item_rows: (n,) to what; -1 is unknown.

        Returns:
            (n,) float32.
        """
        mean = self._fitted_mean()
        expected = mean + self._users[user_rows] + self._items[item_rows]
        return (ratings - expected).astype(np.float32)

    def without_users(self, rows: NDArray[np.int64]) -> Self:
        """Take the biases of users out.

        Args:
            rows: user rows, rising.

        Returns:
            A fitted copy.
        """
        left = copy(self)
        left._users = np.delete(self._users, rows)
        return left

    def state(self) -> State:
        """Everything needed to answer.

        Returns:
            Settings and biases.
        """
        config = {"l2_user": self.l2_user, "l2_item": self.l2_item, "mean": self._fitted_mean()}
        return State(config, {"users": self._users, "items": self._items})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild.

        Args:
            state: what :meth:`state` gave.

        Returns:
            Fitted Biases.
        """
        model = cls(l2_user=state.config["l2_user"], l2_item=state.config["l2_item"])
        model._mean = state.config["mean"]
        model._users, model._items = (
            np.asarray(state.arrays[name], np.float64) for name in ("users", "items")
        )
        return model

    def _fitted_mean(self) -> float:
        if self._mean is None:
            msg = "these Biases are not fitted; call fit(train) first"
            raise NotReadyError(msg)
        return self._mean
