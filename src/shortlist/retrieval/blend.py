"""Blend: several retrievers as one, each with the weight that rows it did not see gave it.

The score of an item is ``sum_p w_p * level_p(item)``, where ``level_p`` makes the parts' scores
comparable for each asker: z-scores over the catalogue, or reciprocal ranks (Cormack, Clarke and
Buettcher, "Reciprocal Rank Fusion", SIGIR 2009). The weights are at least 0 and sum to 1; they
maximise the NDCG of rows that the parts were not fitted on: the validation rows where there are any,
else rows held back from train, after which the parts are fitted again on all of it.
"""

import logging
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import KW_ONLY, dataclass, field, replace
from itertools import compress
from typing import ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from shortlist.data import split
from shortlist.data.eligible import Eligible
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import Explains, Retriever, State
from shortlist.data.queries import Queries
from shortlist.data.states import joined, taken_apart, without_users
from shortlist.data.topk import TopK
from shortlist.errors import ConfigError, DataError, LikenessError, NotReadyError
from shortlist.retrieval.als import ALS
from shortlist.retrieval.dense import DenseRetriever
from shortlist.retrieval.explaining import leaving_out
from shortlist.retrieval.graph_filter import GraphFilter
from shortlist.retrieval.weights import LEVELS, best_weights, proposals, spreads

By = Literal["scores", "ranks"]
_log = logging.getLogger(__name__)


def _usual() -> tuple[Retriever, ...]:
    return (ALS(), GraphFilter())


@dataclass(eq=False)
class Blend(DenseRetriever):
    """A weighted sum of retrievers, which answers for whoever one of them knows.

    A part counts only for the askers it knows; whoever is known to none but parts of weight 0 is
    answered by those.

    Attributes:
        parts: the retrievers, settings only: fitted copies of them answer. By default ALS and the graph
            filter, which fit any catalogue.
        by: what is summed, ``"scores"`` (z-scores of each asker's line) or ``"ranks"``.
        weights: one per part, at least 0; brought to sum to 1. None learns them.
        k: length of the lists whose NDCG the weights maximise.
        holdout: rows of train that the weights are learned on where no validation is given:
            ``"latest"``, ``"time"``, ``"last-out"`` or ``"random"``; None: ``"latest"`` where there
            are times, else ``"random"``.
        share: of the rows, held back so.
        seed: of the lot, for ``"random"``.
    """

    name: ClassVar[str] = "blend"

    parts: Sequence[Retriever] = field(default_factory=_usual)
    _: KW_ONLY
    by: By = "scores"
    weights: Sequence[float] | None = None
    k: int = 50
    holdout: str | None = None
    share: float = 0.1
    seed: int = 0
    _models: tuple[Retriever, ...] | None = field(init=False, repr=False, default=None)
    _chosen: NDArray[np.float64] | None = field(init=False, repr=False, default=None)
    _n_items: int = field(init=False, repr=False, default=0)

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigError: a setting is out of range.
        """
        self.parts = tuple(self.parts)
        parts: Sequence[object] = self.parts
        if not parts or any(isinstance(p, type) or not isinstance(p, Retriever) for p in parts):
            msg = (
                f"a blend takes retrievers, such as Blend([EASE(), ALS()]); got {self.parts!r}"
            )
            raise ConfigError(msg)
        if self.by not in get_args(By) or self.k < 1 or not 0 < self.share < 1:
            msg = f"by must be one of {get_args(By)}, k at least 1 and share between 0 and 1; got {self.by!r}, {self.k} and {self.share}"
            raise ConfigError(msg)
        if self.weights is None:
            return
        given = np.asarray(self.weights, np.float64)
        if given.shape != (len(self.parts),) or not (given >= 0).all() or not given.sum() > 0:
            msg = f"weights must be {len(self.parts)} numbers of at least 0 that are not all 0, one per part; got {self.weights!r}"
            raise ConfigError(msg)
        if abs(given.sum() - 1) > 1e-12:  # what sums to 1 keeps its bits
            given = given / given.sum()
        self.weights = tuple(given.tolist())

    def fit(self, train: Interactions, *, validate: Interactions | None = None) -> Self:
        """Fit the parts, and learn what each should count for.

        Args:
            train: the rows.
            validate: later rows, which choose the weights and what the parts choose by them; None
                holds rows of train back for that, and then fits the parts on all of it. Where too
                few rows are there to hold any back, the weights are equal, with a logged warning.

        Returns:
            Itself, fitted.
        """
        self._models = None
        models, weights = [part.settled() for part in self.parts], self.weights
        if weights is None and validate is None:
            models, weights = self._held_back(train, models)
        for model in models:
            model.fit(train, validate=validate)
        if weights is None and validate is not None:
            weights = self._learned(models, train, validate)
        self._chosen = np.asarray(weights, np.float64)
        self._models, self._n_items = tuple(models), len(train.item_vocabulary)
        return self

    @property
    def chosen_weights(self) -> Mapping[str, float]:
        """What each part counts for: ``"1 ease"`` and so on, in the order of the parts."""
        weights = self._fitted()[1]
        names = [f"{number} {part.name}" for number, part in enumerate(self.parts, start=1)]
        return dict(zip(names, weights.tolist(), strict=True))

    def settled(self) -> Self:
        """An unfitted copy, with the weights that were learned.

        Returns:
            A Blend of settled parts.
        """
        parts = [part.settled() for part in self._models or self.parts]
        weights = self.weights if self._models is None else self._fitted()[1].tolist()
        return replace(self, parts=parts, weights=weights)

    def knows(self, queries: Queries) -> NDArray[np.bool_]:
        """Whoever a part knows.

        Args:
            queries: n askers.

        Returns:
            (n,) bool.
        """
        models, _ = self._fitted()
        known: NDArray[np.bool_] = np.any([model.knows(queries) for model in models], axis=0)
        return known

    @property
    def personal(self) -> bool:
        """Whether a part answers different askers differently."""
        return any(_personal(part) for part in self.parts)

    @property
    def n_items(self) -> int:
        """Width of the catalogue."""
        self._fitted()
        return self._n_items

    def score_all(self, queries: Queries) -> NDArray[np.float32]:
        """Scores of the whole catalogue.

        Args:
            queries: n askers.

        Returns:
            (n, n_items) float32.
        """
        models, _ = self._fitted()
        total = np.zeros((len(queries), self._n_items))
        for model, weights in zip(models, self._weights_for(queries), strict=True):
            if weights.any():
                total += weights[:, None] * LEVELS[self.by](model.score_all(queries))
        return total.astype(np.float32)

    def similar(
        self, rows: NDArray[np.int32], k: int, eligible: Eligible | None = None
    ) -> TopK:
        """What a history of one item speaks for, to the parts that read histories.

        Args:
            rows: (n,) items asked about.
            k: how many, at least 1.
            eligible: what may be answered; None allows everything. The item itself never is.

        Returns:
            A TopK (n, k).

        Raises:
            LikenessError: no part that is personal reads histories.
        """
        models, weights = self._fitted()
        asked = Queries.of_items(rows)
        able = [_personal(model) and bool(model.knows(asked).any()) for model in models]
        if len(rows) and not any(able):
            # no part reads histories, or none learned of these items
            able = [_says_likeness(model, rows[:1]) for model in models]
        if len(rows) and not any(able):
            names = ", ".join(part.name for part in self.parts)
            msg = f"no part of this blend ({names}) reads a history, so it cannot say which items are alike; add EASE"
            raise LikenessError(msg)
        telling = copy(self)  # popularity tells of no likeness, whatever its weight
        telling._models = tuple(compress(models, able))
        telling._chosen = weights[able]
        return DenseRetriever.similar(telling, rows, k, eligible)

    def explain(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """What each entry adds to the parts' scores, as they are weighed and levelled.

        Args:
            queries: n askers.
            rows: (n, m) item rows.

        Returns:
            (len(queries.history_rows), m) float32: for scores the parts' own contributions, which sum
            to the score up to one number per asker, the mean that the levelling takes away, and 0
            for an asker where a part of some weight cannot explain itself; for ranks, the score less what it is
            without the entry.
        """
        models, _ = self._fitted()
        if self.by == "ranks":
            return leaving_out(self, queries, rows)
        added = np.zeros((len(queries.history_rows), rows.shape[1]))
        silent = np.zeros(len(queries), bool)
        for model, weights in zip(models, self._weights_for(queries), strict=True):
            if not isinstance(model, Explains):
                silent |= weights > 0
                continue
            spread = spreads(model.score_all(queries).astype(np.float64))
            added += (weights / spread)[queries.askers, None] * model.explain(queries, rows)
        added[silent[queries.askers]] = 0.0
        return added.astype(np.float32)

    def without_users(self, rows: NDArray[np.int64]) -> Self:
        """Take users out of the parts that hold something of theirs.

        Args:
            rows: user rows, rising.

        Returns:
            A fitted copy.
        """
        left = copy(self)
        left._models = without_users(self._fitted()[0], rows)
        return left

    def state(self) -> State:
        """Everything needed to answer.

        Returns:
            Settings, weights and the states of the parts, their arrays and graphs by number.
        """
        models, weights = self._fitted()
        config = {
            "weights": weights.tolist(),
            "n_items": self._n_items,
            **{name: getattr(self, name) for name in ("by", "k", "holdout", "share", "seed")},
        }
        return joined(models, _known(), config, "blend")

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild.

        Args:
            state: what :meth:`state` gave.

        Returns:
            A fitted Blend.
        """
        models = taken_apart(state, _known(), "blend")
        config = {name: one for name, one in state.config.items() if name != "parts"}
        n_items = config.pop("n_items")
        blend = cls([model.settled() for model in models], **config)
        blend._models, blend._n_items = tuple(models), n_items
        blend._chosen = np.asarray(blend.weights, np.float64)
        return blend

    def _held_back(
        self, train: Interactions, models: list[Retriever]
    ) -> tuple[list[Retriever], Sequence[float]]:
        # the parts with what the rows held back chose for them, not fitted; and the weights
        try:
            parts = split.holdout(train, self.holdout, share=self.share, seed=self.seed)
            for model in models:
                model.fit(parts.train, validate=parts.test)
            weights = self._learned(models, parts.train, parts.test)
        except DataError as error:
            equal = [1 / len(models)] * len(models)
            _log.warning("a blend with equal weights, as none could be learned: %s", error)
            return [part.settled() for part in self.parts], equal
        return [model.settled() for model in models], weights

    def _learned(
        self, models: Sequence[Retriever], train: Interactions, held: Interactions
    ) -> Sequence[float]:
        asked = proposals(models, train, held, level=self.by, k=self.k)
        return best_weights(asked, k=self.k)

    def _weights_for(self, queries: Queries) -> NDArray[np.float64]:
        # (parts, n): the weights of the parts that know the asker, summing to 1
        models, weights = self._fitted()
        knows = np.array([model.knows(queries) for model in models])
        counts = weights[:, None] * knows
        spare = counts.sum(axis=0) == 0
        nobody = ~np.any(knows, axis=0)
        counts[:, spare] = np.where(nobody[None, spare], weights[:, None], knows[:, spare])
        counts[:, counts.sum(axis=0) == 0] = 1.0  # nobody knows them, and the weights are 0
        shares: NDArray[np.float64] = counts / counts.sum(axis=0)
        return shares

    def _fitted(self) -> tuple[tuple[Retriever, ...], NDArray[np.float64]]:
        if self._models is None or self._chosen is None:
            msg = "this Blend is not fitted; call fit(train) first"
            raise NotReadyError(msg)
        return self._models, self._chosen


def _says_likeness(part: Retriever, row: NDArray[np.int32]) -> bool:
    try:
        part.similar(row, 1)
    except LikenessError:
        return False
    return True


def _personal(part: Retriever) -> bool:
    return bool(getattr(part, "personal", True))


def _known() -> Mapping[str, type[Retriever]]:
    from shortlist.retrieval import RETRIEVERS  # which lists Blend itself

    return RETRIEVERS
