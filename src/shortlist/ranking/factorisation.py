"""Bayesian matrix factorisation of ratings, with what is known beside them.

``r_ui = mean + b_u + b_i + u_u'v_i + mood_u(t)``. A user's vector is expected where the items that the
user rated and the user's attributes put it, and an item's where its raters and attributes do
(:mod:`shortlist.ranking.gibbs`); moods are what ratings of one sitting share
(:mod:`shortlist.ranking.moods`). What answers is the mean over draws from the posterior, so there is no
step size, no penalty and no stopping to choose, and the draws' spread is what a prediction is unsure of.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

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
from shortlist.data.ragged import beside
from shortlist.data.sides import Side, encode_all
from shortlist.data.vocabulary import align
from shortlist.errors import ConfigError, DataError, NotReadyError
from shortlist.ranking.attributes import attribute_lines, taken_lines
from shortlist.ranking.gibbs import Coordinates, Draw, SideSampler, draws, meetings
from shortlist.ranking.moods import Moods, MoodSampler
from shortlist.ranking.order import RatingRanker
from shortlist.ranking.posterior import AnsweringFactorisation, Posterior, Scale

_GIGABYTE = 1 << 30


@dataclass(eq=False, kw_only=True)
class Factorisation(RatingRanker):
    """Bayesian matrix factorisation.

    Attributes:
        dim: length of the vectors.
        user: columns of the users' table, or feature objects, that say where a user's vector is
            expected; every user has a vector of their own whatever is declared.
        item: likewise, columns of the catalogue.
        implicit: whether who rated what also says that.
        moods: time constants of the moods, in the units of ``timestamp`` (seconds); () for none. They
            count for whoever is asked with a ``timestamp`` among the context, near ratings they gave.
        sweeps: through all vectors.
        burn_in: of these, how many are made before any counts.
        draws: how many of the others are kept, for answering.
        side_dim: singular vectors of the side information that are kept, of each side.
        clip: whether predictions stay within the lowest and the highest rating of train; lists are
            ordered without.
        max_gigabytes: memory the fit may use; more is refused beforehand.
        seed: of the draws.
    """

    name: ClassVar[str] = "factorisation"
    welcome_context: ClassVar[tuple[str, ...]] = ("timestamp",)  # counts where it is given

    dim: int = 16
    user: Sequence[Declared] = ()
    item: Sequence[Declared] = ()
    implicit: bool = True
    moods: Sequence[float] = (60.0, 3600.0)
    sweeps: int = 300
    burn_in: int = 100
    draws: int = 100
    side_dim: int = 200
    clip: bool = True
    max_gigabytes: float = 6.0
    seed: int = 0
    _fit: AnsweringFactorisation | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigError: a setting is out of range.
        """
        self.user, self.item = feature_list("user", self.user), feature_list("item", self.item)
        self.moods = tuple(self.moods)
        if any(isinstance(one, History) for one in (*self.user, *self.item)):
            msg = "a factorisation reads whole histories by itself (implicit=True); leave History out of user"
            raise ConfigError(msg)
        if min(self.dim, self.draws, self.side_dim) < 1 or self.burn_in < 0:
            msg = f"dim, draws and side_dim must be at least 1 and burn_in not negative; got {self.dim}, {self.draws}, {self.side_dim} and {self.burn_in}"
            raise ConfigError(msg)
        if self.sweeps - self.burn_in < self.draws:
            msg = f"{self.sweeps} sweeps less {self.burn_in} of burn_in leave fewer than {self.draws} draws; raise sweeps, or keep fewer draws"
            raise ConfigError(msg)
        if not all(0 < scale < np.inf for scale in (*self.moods, self.max_gigabytes)):
            msg = f"moods and max_gigabytes must be positive; got {self.moods} and {self.max_gigabytes}. moods=() is none"
            raise ConfigError(msg)

    def fit(self, train: Interactions, *, validate: Interactions | None = None) -> Self:
        """Draw from the posterior.

        Args:
            train: rows with ratings; their ``timestamp``, where there is one, is read for the moods.
            validate: not used: a posterior mean needs no stopping.

        Returns:
            Itself, fitted.

        Raises:
            DataError: there is no row.
            ConfigError: it would need more than ``max_gigabytes``.
        """
        train.having("rating")
        if not len(train):
            msg = "there is no rating to learn from; give rows"
            raise DataError(msg)
        self._check_need(train)
        order = train.time_order  # by user, then time
        user, item = train.user_rows[order], train.item_rows[order]
        ratings = np.asarray(train.ratings, np.float64)[order]
        sides, known = self._side_information(train, user, item)
        rng = np.random.default_rng(self.seed)
        n_users, n_items = shape = len(train.user_vocabulary), len(train.item_vocabulary)
        samplers = (
            SideSampler(meetings(user, item, shape), known[0], self.dim, rng),
            SideSampler(meetings(item, user, (n_items, n_users)), known[1], self.dim, rng),
        )
        timed = train.timestamps is not None
        times = np.zeros(len(train), np.int64) if train.timestamps is None else train.timestamps
        moods = MoodSampler(user, times[order], self.moods if timed else (), rng)
        scale = Scale.of(ratings)
        endless = draws(scale.inward(ratings), *samplers, moods, (user, item), rng)
        kept = self._kept(endless, moods)
        rated = np.bincount(item, minlength=n_items) > 0
        posterior = Posterior.of(kept, rated, known[0].loadings)
        answering = moods.answering(n_users)
        self._fit = AnsweringFactorisation(sides, n_items, posterior, answering, scale)
        return self

    def settled(self) -> Self:
        """An unfitted copy: validation chooses nothing here.

        Returns:
            A Factorisation with the same settings.
        """
        return replace(self)

    def predict(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Predicted ratings.

        Args:
            queries: n askers. A stranger's vector follows from their history, its ratings where it
                has them, and their attributes. A column ``timestamp`` of the context says when.
            rows: (n, m) item rows; -1 is an unknown item.

        Returns:
            (n, m) float32, within the scale of train unless ``clip`` is False.
        """
        values = self._raw(queries, rows)
        scale = self._fitted().scale
        return np.clip(values, scale.low, scale.high) if self.clip else values

    def predict_spread(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Standard deviation of a rating around its prediction.

        Args:
            queries: n askers.
            rows: (n, m) item rows; -1 is an unknown item.

        Returns:
            (n, m) float32: what the draws disagree on, the mood, and the noise of the asker's
            ratings together.
        """
        fitted = self._fitted()
        asked = fitted.askers(queries, implicit=self.implicit)
        rest = fitted.moods.at(queries.user_rows, _times(queries))[1]
        rest = rest + fitted.posterior.noises[queries.user_rows]  # -1 is the last: a stranger
        variance = fitted.posterior.variance(asked, rows) + rest[:, None]
        return (fitted.scale.spread * np.sqrt(variance)).astype(np.float32)

    def without_users(self, rows: NDArray[np.int64]) -> Self:
        """Take the vectors and moods of users out; what they taught of the items stays.

        Args:
            rows: user rows, rising.

        Returns:
            A fitted copy.
        """
        left = copy(self)
        left._fit = self._fitted().without_users(rows)
        return left

    def state(self) -> State:
        """Everything needed to answer.

        Returns:
            Settings, learned features, and the draws.
        """
        fitted = self._fitted()
        settings = {one.name: getattr(self, one.name) for one in fields(self) if one.init}
        settings |= {side: features_to_json(settings[side]) for side in ("user", "item")}
        settings["moods"] = list(self.moods)
        config = {
            "settings": settings,
            "side": fitted.side.to_json(),
            "n_items": fitted.n_items,
            "scale": asdict(fitted.scale),
        }
        parts: dict[str, Posterior | Moods] = {
            "posterior-": fitted.posterior,
            "moods-": fitted.moods,
        }
        arrays = {
            start + one.name: getattr(part, one.name)
            for start, part in parts.items()
            for one in fields(part)
        }
        return State(config, arrays)

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild.

        Args:
            state: what :meth:`state` gave.

        Returns:
            A fitted Factorisation.
        """
        settings = dict(state.config["settings"])
        settings |= {side: features_from_json(settings[side]) for side in ("user", "item")}
        model = cls(**settings)
        model._fit = AnsweringFactorisation(
            Side.from_json(state.config["side"]),
            state.config["n_items"],
            Posterior(**_named(state, "posterior-")),
            Moods(**_named(state, "moods-")),
            Scale(**state.config["scale"]),
        )
        return model

    def _raw(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        fitted = self._fitted()
        asked = fitted.askers(queries, implicit=self.implicit)
        values = fitted.posterior.expected(asked, rows)
        mood = fitted.moods.at(queries.user_rows, _times(queries))[0]
        return fitted.scale.outward(values + mood[:, None])

    def _kept(self, endless: Iterator[Draw], moods: MoodSampler) -> list[Draw]:
        kept, step = [], (self.sweeps - self.burn_in) / self.draws
        wanted = {self.sweeps - 1 - int(number * step) for number in range(self.draws)}
        for number, draw in zip(range(self.sweeps), endless, strict=False):
            if number >= self.burn_in:
                moods.count()
            if number in wanted:
                kept.append(draw)
        return kept

    def _side_information(
        self, train: Interactions, user: NDArray[np.int32], item: NDArray[np.int32]
    ) -> tuple[Side, tuple[Coordinates, Coordinates]]:
        # how strangers' attributes are read, and what is known of users and items
        sides, _ = encode_all(
            train, ("user_id", *self.user), ("item_id", *self.item), liked_only=False
        )
        user_ids, item_ids = train.user_vocabulary.ids, train.item_vocabulary.ids
        n_users, n_items = shape = len(user_ids), len(item_ids)
        users = None if train.users is None else align(train.users, "user_id", user_ids)
        items = align(train.catalogue.table, "item_id", item_ids)
        lines = [
            attribute_lines(sides[0], users, n_users, "users"),
            attribute_lines(sides[1], items, n_items, "items"),
        ]
        if self.implicit:
            taken = taken_lines(user, item, shape), taken_lines(item, user, (n_items, n_users))
            lines = [beside([t, known]) for t, known in zip(taken, lines, strict=True)]
        user_known, item_known = (Coordinates.of(one, self.side_dim) for one in lines)
        return sides[0], (user_known, item_known)

    def _check_need(self, train: Interactions) -> None:
        n_all, width = len(train.user_vocabulary) + len(train.item_vocabulary), self.dim + 1
        numbers = n_all * (4 * width**2 + 2 * self.draws * width + 4 * self.side_dim)
        need = 8 * (numbers + len(train) * (20 + 8 * len(self.moods))) / _GIGABYTE
        if need > self.max_gigabytes:
            msg = (
                f"Factorisation(dim={self.dim}, draws={self.draws}) of {len(train):,} ratings, {n_all:,} users and items "
                f"needs about {need:.1f} GB; max_gigabytes is {self.max_gigabytes}. Use Biases, lower dim or draws, or raise max_gigabytes"
            )
            raise ConfigError(msg)

    def _fitted(self) -> AnsweringFactorisation:
        if self._fit is None:
            msg = "this Factorisation is not fitted; call fit(train) first"
            raise NotReadyError(msg)
        return self._fit


def _times(queries: Queries) -> NDArray[np.float64]:
    context = queries.context
    if context is None or "timestamp" not in context.columns:
        return np.full(len(queries), np.nan)
    return context["timestamp"].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _named(state: State, start: str) -> dict[str, Any]:
    return {
        k[len(start) :]: np.asarray(a) for k, a in state.arrays.items() if k.startswith(start)
    }
