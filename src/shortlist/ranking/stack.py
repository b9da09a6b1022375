"""Stack: several predictors of ratings as one, weighted by what rows they did not see say.

The prediction is ``offset + sum_p w_p prediction_p``. The weights solve a ridge regression (Breiman,
"Stacked Regressions", Machine Learning 1996) of ratings that the parts were not fitted on, pulled
towards equal weights: the validation rows where there are any, else rows held back from train by lot,
after which the parts are fitted again on all of it.
"""

import logging
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from shortlist.data import split
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import Ranker, State
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.data.states import joined, taken_apart, without_users
from shortlist.errors import ConfigError, DataError, NotReadyError
from shortlist.ranking.biases import Biases
from shortlist.ranking.factorisation import Factorisation
from shortlist.ranking.order import RatingRanker

_BLOCK = 4096  # pairs asked at a time
_log = logging.getLogger(__name__)


def _usual() -> tuple[Ranker, ...]:
    return (Factorisation(), Biases())


@dataclass(eq=False)
class Stack(RatingRanker):
    """A weighted sum of models that predict ratings.

    Attributes:
        parts: the models, settings only: fitted copies of them answer.
        weights: one per part, and last the offset; None learns them.
        l2: rows' worth of pull of the weights towards equal ones.
        share: of the rows of train, held back by lot to learn them on where no validation is given.
        clip: whether predictions stay within the lowest and the highest rating of train; lists are
            ordered without.
        seed: of the lot.
    """

    name: ClassVar[str] = "stack"

    parts: Sequence[Ranker] = field(default_factory=_usual)
    _: KW_ONLY
    weights: Sequence[float] | None = None
    l2: float = 10.0
    share: float = 0.1
    clip: bool = True
    seed: int = 0
    _fit: "_Fitted | None" = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigError: a setting is out of range.
        """
        self.parts = tuple(self.parts)
        if not self.parts or not all(_predicts(part) for part in self.parts):
            msg = f"a stack takes models that predict ratings, such as Stack([Factorisation(), Biases()]); got {self.parts!r}"
            raise ConfigError(msg)
        if not self.l2 > 0 or not 0 < self.share < 1:
            msg = (
                f"l2 must be positive and share between 0 and 1; got {self.l2} and {self.share}"
            )
            raise ConfigError(msg)
        if self.weights is not None:
            self.weights = tuple(float(weight) for weight in self.weights)
            if len(self.weights) != len(self.parts) + 1 or not np.isfinite(self.weights).all():
                msg = f"weights must be {len(self.parts)} numbers, one per part, and the offset; got {self.weights!r}"
                raise ConfigError(msg)

    def fit(self, train: Interactions, *, validate: Interactions | None = None) -> Self:
        """Fit the parts, and learn what each should count for.

        Args:
            train: rows with ratings.
            validate: rows with ratings that choose the weights, and what the parts choose by them;
                None holds rows of train back for that, and then fits the parts on all of it. Where
                too few rows are there, the weights are equal, with a logged warning.

        Returns:
            Itself, fitted.
        """
        ratings = np.asarray(train.having("rating").ratings, np.float64)
        models, weights = [part.settled() for part in self.parts], self.weights
        if weights is None and validate is None:
            models, weights = self._held_back(train, models)
        for model in models:
            model.fit(train, validate=validate)
        if weights is None and validate is not None:
            weights = self._learned(models, train, validate)
        scale = (float(ratings.min()), float(ratings.max()))
        self._fit = _Fitted(tuple(models), np.asarray(weights, np.float64), scale)
        return self

    @property
    def chosen_weights(self) -> Mapping[str, float]:
        """What each part counts for, ``"1 factorisation"`` and so on, and the ``"offset"``."""
        weights = self._fitted().weights.tolist()
        names = [f"{number} {part.name}" for number, part in enumerate(self.parts, start=1)]
        return dict(zip([*names, "offset"], weights, strict=True))

    def settled(self) -> Self:
        """An unfitted copy, with the weights that were learned.

        Returns:
            A Stack of settled parts.
        """
        if self._fit is None:
            return replace(self, parts=[part.settled() for part in self.parts])
        parts = [part.settled() for part in self._fit.models]
        return replace(self, parts=parts, weights=self._fit.weights.tolist())

    def predict(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Predicted ratings.

        Args:
            queries: n askers.
            rows: (n, m) item rows; -1 is an unknown item.

        Returns:
            (n, m) float32.
        """
        values = self._raw(queries, rows)
        return np.clip(values, *self._fitted().scale) if self.clip else values

    def without_users(self, rows: NDArray[np.int64]) -> Self:
        """Take users out of the parts that hold something of theirs.

        Args:
            rows: user rows, rising.

        Returns:
            A fitted copy.
        """
        left, held = copy(self), self._fitted()
        left._fit = replace(held, models=without_users(held.models, rows))
        return left

    def state(self) -> State:
        """Everything needed to answer.

        Returns:
            Settings, weights and the states of the parts.
        """
        fitted = self._fitted()
        config = {name: getattr(self, name) for name in ("l2", "share", "clip", "seed")}
        config |= {"weights": fitted.weights.tolist(), "scale": list(fitted.scale)}
        return joined(fitted.models, _known(), config, "stack")

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild.

        Args:
            state: what :meth:`state` gave.

        Returns:
            A fitted Stack.
        """
        models = taken_apart(state, _known(), "stack")
        config = {name: one for name, one in state.config.items() if name != "parts"}
        low, high = config.pop("scale")
        stack = cls([model.settled() for model in models], **config)
        stack._fit = _Fitted(tuple(models), np.asarray(config["weights"]), (low, high))
        return stack

    def _raw(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        fitted = self._fitted()
        total = np.full(rows.shape, fitted.weights[-1])
        for model, weight in zip(fitted.models, fitted.weights[:-1], strict=True):
            total += weight * model.predict(queries, rows)
        return total.astype(np.float32)

    def _held_back(
        self, train: Interactions, models: list[Ranker]
    ) -> tuple[list[Ranker], Sequence[float]]:
        # the parts with what the rows held back chose for them, not fitted; and the weights
        try:
            parts = split.random(train, test=self.share, seed=self.seed)
            for model in models:
                model.fit(parts.train, validate=parts.test)
            weights = self._learned(models, parts.train, parts.test)
        except DataError as error:
            equal = [1 / len(models)] * len(models)
            _log.warning("a stack with equal weights, as none could be learned: %s", error)
            return [part.settled() for part in self.parts], [*equal, 0.0]
        return [model.settled() for model in models], weights

    def _learned(
        self, models: Sequence[Ranker], train: Interactions, held: Interactions
    ) -> Sequence[float]:
        known, ratings = Snapshot.of(train), np.asarray(held.having("rating").ratings)
        rows = known.item_vocabulary.rows(held.table["item_id"])[:, None]
        context = held.table.drop("user_id", "item_id", "rating")  # asked when they rated
        predicted = np.empty((len(held), len(models)))
        for start in range(0, len(held), _BLOCK):
            some = slice(start, start + _BLOCK)
            asked = known.queries(held.table["user_id"][some])
            if context.columns:
                asked = replace(asked, context=context[some])
            for number, model in enumerate(models):
                predicted[some, number] = model.predict(asked, rows[some])[:, 0]
        return ridge_weights(predicted, ratings.astype(np.float64), self.l2)

    def _fitted(self) -> "_Fitted":
        if self._fit is None:
            msg = "this Stack is not fitted; call fit(train) first"
            raise NotReadyError(msg)
        return self._fit


@dataclass(frozen=True, eq=False)
class _Fitted:
    """Fitted parts, (parts + 1,) weights with the offset last, and the lowest and highest rating."""

    models: tuple[Ranker, ...]
    weights: NDArray[np.float64]
    scale: tuple[float, float]


def ridge_weights(
    predicted: NDArray[np.float64], ratings: NDArray[np.float64], l2: float
) -> list[float]:
    """Weights at the minimum of ``|ratings - offset - predicted w|^2 + l2 spread^2 |w - equal|^2``.

    Args:
        predicted: (rows, parts).
        ratings: (rows,).
        l2: the pull towards equal weights; ``spread`` is that of the predictions, so that the pull
            is in rows, whatever the scale.

    Returns:
        One weight per part, and the offset.
    """
    parts = predicted.shape[1]
    centre, middle = predicted.mean(axis=0), float(ratings.mean())
    rest = predicted - centre
    pull = l2 * max(float(rest.var()), 1e-12) * np.eye(parts)
    equal = np.full(parts, 1 / parts)
    weights = np.linalg.solve(rest.T @ rest + pull, rest.T @ (ratings - middle) + pull @ equal)
    return [*weights.tolist(), middle - float(weights @ centre)]


def _predicts(part: object) -> bool:
    listed = getattr(part, "predicts_ratings", True)
    return not isinstance(part, type) and isinstance(part, Ranker) and bool(listed)


def _known() -> Mapping[str, type[Ranker]]:
    from shortlist.ranking import RANKERS  # which lists Stack itself

    return RANKERS
