"""What list models share: they learn from candidate lists, over features of the pair."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from shortlist.data import split
from shortlist.data.interactions import Interactions
from shortlist.data.lists import Lists, candidates_of
from shortlist.data.protocols import State
from shortlist.data.queries import Queries
from shortlist.data.topk import Candidates, TopK
from shortlist.errors import ConfigError, DataError, NotReadyError
from shortlist.ranking.calibration import Calibration, Curve, check_curve
from shortlist.ranking.examples import Examples, popular_lists
from shortlist.ranking.order import order_by
from shortlist.ranking.pairs import PairFeatures

_PAIRS = 1 << 17  # through the model at a time
_FOR_CALIBRATION = 0.25  # of the lists


@dataclass(eq=False, kw_only=True)
class ListModel:
    """A ranker over pair features; kinds add ``_learn``, ``_score`` and their state.

    Attributes:
        holdout: rows of train that the lists are labelled with: ``"latest"``, ``"time"``,
            ``"last-out"`` or ``"random"``; None: ``"latest"`` where there are times, else ``"random"``.
        share: of the rows, held back so; ``"last-out"`` holds one row of each user back.
        askers: lists to learn from at most; with times, each row held back makes one. Where there are more, users
            take turns and a lot decides.
        calibrated: ``"isotonic"`` or ``"platt"``: ``predict`` gives the probability that the asker takes the
            item next, learned on a quarter of the lists, kept from the model. None: ``predict`` gives the
            scores that lists are ordered by.
        seed: of all that is random.
    """

    holdout: str | None = None
    share: float = 0.1
    askers: int = 20_000
    calibrated: Curve | None = None
    seed: int = 0
    _features: PairFeatures | None = field(init=False, repr=False, default=None)
    _curve: Calibration | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigError: a setting is out of range.
        """
        check_curve(self.calibrated)
        if not 0 < self.share < 1 or self.askers < 1:
            msg = f"share must lie between 0 and 1 and askers be at least 1; got {self.share} and {self.askers}"
            raise ConfigError(msg)
        if self.holdout is not None and self.holdout not in split.HOLDOUTS:
            msg = f"holdout must be one of {', '.join(split.HOLDOUTS)}; got {self.holdout!r}"
            raise ConfigError(msg)

    def fit(self, train: Interactions, *, validate: Interactions | None = None) -> Self:
        """Learn without retrievers: the lists are the most popular items that the asker lacks.

        ``Recommender.fit`` gives it the lists that are served.

        Args:
            train: rows; the share held back labels the lists.
            validate: rows that choose, or None.

        Returns:
            Itself, fitted.
        """
        parts = split.holdout(train, self.holdout, share=self.share, seed=self.seed)
        lists = popular_lists(parts.train, parts.test, askers=self.askers, seed=self.seed)
        chooses = (
            None
            if validate is None
            else popular_lists(train, validate, askers=self.askers, seed=self.seed)
        )
        return self.fit_lists(lists, train, validate=chooses)

    def fit_lists(
        self, lists: Lists, train: Interactions, *, validate: Lists | None = None
    ) -> Self:
        """Learn from candidate lists.

        Args:
            lists: with what followed.
            train: all rows: what is said of items when answering.
            validate: later lists that choose, such as when to stop; None or without a taken
                item: nothing is chosen.

        Returns:
            Itself, fitted.

        Raises:
            DataError: no list holds an item that its asker took.
        """
        if not lists.liked.any():
            msg = f"none of {len(lists):,} candidate lists holds what its asker took next, so there is nothing to learn. Hold more rows back (share=), or raise candidates"
            raise DataError(msg)
        features = PairFeatures.of(lists.known, lists.candidates.sources)
        kept = None
        if self.calibrated is not None:
            lot = np.random.default_rng([self.seed, 7]).permutation(len(lists))
            cut = max(1, round(_FOR_CALIBRATION * len(lists)))
            kept, lists = lists.some(np.sort(lot[:cut])), lists.some(np.sort(lot[cut:]))
        chooses = None
        if validate is not None and validate.liked.any():
            chooses = Examples.of(features.at(validate.known), _telling(validate))
        self._curve = None
        self._learn(Examples.of(features, _telling(lists)), chooses, features.names)
        if kept is not None and self.calibrated is not None:
            held = Examples.of(features, kept)
            self._curve = Calibration.fit(self.calibrated, self._score(held.x), held.liked)
        self._features = features.at(train)
        return self

    def settled(self) -> Self:
        """An unfitted copy, with what validation chose.

        Returns:
            One of the same kind.
        """
        return replace(self)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the retrievers whose scores and places it reads; none before it is fitted."""
        return () if self._features is None else self._features.sources

    @property
    def user_columns(self) -> tuple[str, ...]:
        """Columns of the users' table that it reads; none before it is fitted."""
        return () if self._features is None else self._features.user.names

    @property
    def predicts_ratings(self) -> bool:
        """Whether :meth:`predict` answers ratings; else a probability or a score."""
        return False

    @property
    def feature_names(self) -> tuple[str, ...]:
        """What it reads of a pair."""
        return self._fitted().names

    def values(self, queries: Queries, candidates: Candidates) -> NDArray[np.float32]:
        """What lists are ordered by.

        Args:
            queries: n askers.
            candidates: (n, m); row -1 is an unknown item.

        Returns:
            (n, m) float32.
        """
        return self._over(queries, candidates, self._score)

    def predictions(self, queries: Queries, candidates: Candidates) -> NDArray[np.float32]:
        """What :meth:`predict` answers, of candidates that know who proposed them.

        Args:
            queries: n askers.
            candidates: (n, m); row -1 is an unknown item.

        Returns:
            (n, m) float32.
        """
        values = self._over(queries, candidates, self._predict)
        return values if self._curve is None else self._curve(values)

    def rank(self, queries: Queries, candidates: Candidates) -> TopK:
        """Candidates, the likeliest first.

        Args:
            queries: n askers.
            candidates: n lists.

        Returns:
            A TopK of the same items.
        """
        return order_by(self.values(queries, candidates), candidates)

    def predict(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Scores, or probabilities where calibrated, of items that no retriever has proposed.

        ``Recommender.predict`` asks the retrievers first.

        Args:
            queries: n askers.
            rows: (n, m) item rows; -1 is an unknown item.

        Returns:
            (n, m) float32.
        """
        sources = self._fitted().sources
        shape = (len(sources), *rows.shape)
        bare = Candidates(
            rows,
            np.zeros(rows.shape, np.float32),
            sources,
            np.full(shape, np.nan, np.float32),
            np.zeros(shape, np.int32),
        )
        return self.predictions(queries, bare)

    def state(self) -> State:
        """Everything needed to answer.

        Returns:
            Settings, features, facts of the items, and the model.
        """
        features = self._fitted()
        settings = {one.name: getattr(self, one.name) for one in fields(self) if one.init}
        settings = {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()}
        curve = self._curve
        arrays = {f"pairs-{name}": one for name, one in features.arrays().items()}
        if curve is not None:
            arrays |= {"curve_at": curve.at, "curve_probability": curve.probability}
        inner = self._inner_state()
        config = {"settings": settings, "features": features.to_json(), **inner.config}
        return State(config, {**arrays, **inner.arrays}, inner.graphs)

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild, without what it was fitted with.

        Args:
            state: what :meth:`state` gave.

        Returns:
            A fitted model.
        """
        model = cls(**state.config["settings"])
        start = "pairs-"
        facts = {k[len(start) :]: a for k, a in state.arrays.items() if k.startswith(start)}
        model._features = PairFeatures.from_parts(state.config["features"], facts)
        if model.calibrated is not None:
            at, probability = state.arrays["curve_at"], state.arrays["curve_probability"]
            model._curve = Calibration(model.calibrated, at, probability)
        model._set_inner(state.config, state.arrays, state.graphs)
        return model

    def _over(
        self,
        queries: Queries,
        candidates: Candidates,
        read: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    ) -> NDArray[np.float32]:
        # what ``read`` makes of the features, some askers at a time
        features, (n, m) = self._fitted(), candidates.rows.shape
        values = np.empty((n, m), np.float32)
        if not values.size:
            return values
        step = max(1, _PAIRS // max(1, m))
        for start in range(0, n, step):
            some = slice(start, min(start + step, n))
            x = features.table(
                queries.slice(some.start, some.stop), candidates_of(candidates, some)
            )
            values[some] = read(x.reshape(-1, x.shape[2])).reshape(-1, m)
        return values

    def _fitted(self) -> PairFeatures:
        if self._features is None:
            msg = f"this {type(self).__name__} is not fitted; call Recommender(..., rank=...).fit(train), or fit(train), first"
            raise NotReadyError(msg)
        return self._features

    def _learn(
        self, examples: Examples, chooses: Examples | None, names: tuple[str, ...]
    ) -> None:
        raise NotImplementedError

    def _score(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        # (pairs, features) to (pairs,): what lists are ordered by
        raise NotImplementedError

    def _predict(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._score(x)

    def _inner_state(self) -> State:
        raise NotImplementedError

    def _set_inner(
        self,
        config: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]],
        graphs: Mapping[str, bytes],
    ) -> None:
        raise NotImplementedError


def _telling(lists: Lists) -> Lists:
    # of a list in which nothing was taken, the order says nothing
    return lists.some(np.flatnonzero(lists.liked.any(axis=1)))
