"""What a recommender is made of: its parts, and what they were fitted on."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from shortlist.data.lists import ListRanker
from shortlist.data.protocols import (
    AnsweringRanker,
    AnsweringRetriever,
    Json,
    Ranker,
    Reranker,
    Retriever,
)
from shortlist.data.snapshot import Snapshot
from shortlist.errors import ConfigError, NotReadyError
from shortlist.recommender.context import judged_context
from shortlist.recommender.growing import refits_at_once
from shortlist.recommender.grown import GrownListRanker, GrownRanker, GrownRetriever
from shortlist.recommender.growth import Growth
from shortlist.recommender.kinds import Standing, rerankers_of, rules_of, several
from shortlist.recommender.rules import Rule, Seen, joint_mask
from shortlist.recommender.stages import Stages
from shortlist.rerank import Explore
from shortlist.retrieval.popularity import Popularity

_log = logging.getLogger(__name__)


class Parts(TypedDict, total=False):
    """Arguments of a recommender's constructor."""

    retrieve: Retriever | Sequence[Retriever]
    rank: Ranker | None
    rules: Sequence[Rule]
    fallback: Retriever
    candidates: int
    name: str
    rank_lists: bool
    rerank: Reranker | Sequence[Reranker]
    explore: Explore | None


@dataclass(eq=False, repr=False)
class Joined:
    """The parts, fitted on the same rows; what adds fitting and answers is built on it.

    Attributes: see :class:`Recommender`.
    """

    retrieve: Retriever | Sequence[Retriever]
    rank: Ranker | None = None
    rules: Sequence[Rule] = (Seen(),)
    fallback: Retriever = field(default_factory=Popularity)
    candidates: int = 200
    name: str = ""
    rank_lists: bool = True
    rerank: Reranker | Sequence[Reranker] = ()
    explore: Explore | None = None
    metrics: dict[str, Json] = field(init=False, default_factory=dict)
    events_through: int = field(init=False, default=0)  # the last live event it was trained on
    _snapshot: Snapshot | None = field(init=False, default=None)
    _growth: Growth | None = field(init=False, default=None)
    _standing: Standing | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Check the parts.

        Raises:
            ConfigError: no retriever, two of the same name, or no candidates.
        """
        retrievers = several(self.retrieve, Retriever, "retriever", "retrieval.EASE()")
        several(self.fallback, Retriever, "retriever", "retrieval.Popularity()")
        several(() if self.rank is None else self.rank, Ranker, "ranker", "ranking.Biases()")
        several(
            () if self.explore is None else self.explore,
            Explore,
            "exploration",
            "rerank.Explore()",
        )
        self.retrieve, self.rules = retrievers, rules_of(self.rules)
        self.rerank = rerankers = rerankers_of(self.rerank)
        names = [part.name for part in retrievers]
        if not names or len(set(names)) < len(names):
            msg = f"retrieve needs at least one retriever, each kind once; got {names}"
            raise ConfigError(msg)
        if self.candidates < 1:
            msg = f"candidates must be at least 1; got {self.candidates}"
            raise ConfigError(msg)
        if not self.name:
            # behind the lists, or beside them for predictions only
            second = " > " if self.rank_lists else " | "
            self.name = "+".join(names) + ("" if self.rank is None else second + self.rank.name)
            last = [one.kind for one in rerankers]
            last += [] if self.explore is None else [f"explore by {self.explore.how}"]
            self.name += f" ~ {'+'.join(last)}" if last else ""

    def __repr__(self) -> str:
        ready = repr(self._snapshot) if self._snapshot is not None else "not fitted"
        return f"Recommender({self.name}; {ready})"

    @property
    def retrievers(self) -> tuple[Retriever, ...]:
        """The retrievers, always as a tuple."""
        return self.retrieve if isinstance(self.retrieve, tuple) else (self.retrieve,)

    @property
    def rerankers(self) -> tuple[Reranker, ...]:
        """The re-rankers, always as a tuple."""
        return self.rerank if isinstance(self.rerank, tuple) else rerankers_of(self.rerank)

    @property
    def snapshot(self) -> Snapshot:
        """What train said: ids, catalogue, users, histories.

        Raises:
            NotReadyError: not fitted yet.
        """
        if self._snapshot is None:
            msg = "this Recommender is not fitted; call fit(train) first, or load a bundle"
            raise NotReadyError(msg)
        return self._snapshot

    @classmethod
    def from_parts(
        cls,
        snapshot: Snapshot,
        *,
        metrics: dict[str, Json],
        growth: Growth | None = None,
        events_through: int = 0,
        **parts: Unpack[Parts],
    ) -> Self:
        """Join parts that are fitted already, on the same rows.

        Args:
            snapshot: of those rows.
            metrics: figures measured earlier.
            growth: what came after the fit, or None.
            events_through: the last live event among those rows.
            **parts: as for the constructor, fitted.

        Returns:
            A Recommender that answers.
        """
        made = cls(**parts)
        made._snapshot, made._growth = snapshot, growth
        made.metrics, made.events_through = metrics, events_through
        return made

    def with_parts(
        self,
        *,
        snapshot: Snapshot | None = None,
        metrics: dict[str, Json] | None = None,
        growth: Growth | None = None,
        **changed: Unpack[Parts],
    ) -> Self:
        """A fitted copy in which some parts are others; all else is as it is here, the name too.

        Args:
            snapshot: of the rows that the parts were fitted on; None for the same.
            metrics: figures of the copy; None for the same.
            growth: what came after the fit; None for the same.
            **changed: as for the constructor, fitted; an empty name is built from the parts.

        Returns:
            A Recommender that answers, where it has a snapshot.
        """
        made = replace(self, **changed)
        made._snapshot = self._snapshot if snapshot is None else snapshot
        made._growth = self._growth if growth is None else growth
        made.metrics = self.metrics if metrics is None else metrics
        made.events_through = self.events_through
        return made

    @property
    def parts(self) -> tuple[Retriever | Ranker, ...]:
        """Everything that is fitted: retrievers, ranker, fallback."""
        return (*self.retrievers, *(() if self.rank is None else (self.rank,)), self.fallback)

    @property
    def context_columns(self) -> tuple[str, ...]:
        """Columns known at the time of asking that a part reads."""
        return judged_context(self.parts)

    def settled(self) -> Self:
        """An unfitted copy with everything that validation chose written into its settings.

        Returns:
            A Recommender.
        """
        return replace(
            self,
            retrieve=[part.settled() for part in self.retrievers],
            rank=None if self.rank is None else self.rank.settled(),
            fallback=self.fallback.settled(),
        )

    def only_predicting(self) -> Self:
        """An unfitted copy whose ranker predicts ratings and leaves the lists alone.

        Returns:
            A Recommender.
        """
        return replace(self, rank_lists=False, name="")

    @property
    def answering(self) -> tuple[AnsweringRetriever, ...]:
        """The retrievers over all that is known, also what came after they were fitted."""
        return tuple(self._grown(part) for part in self.retrievers)

    @property
    def growth(self) -> Growth | None:
        """What came after the parts were fitted; None where nothing did."""
        return self._growth

    def _grown(self, part: Retriever) -> AnsweringRetriever:
        if self._growth is None or refits_at_once(part):
            return part
        return GrownRetriever(part, self._growth)

    @property
    def _personal(self) -> Sequence[AnsweringRetriever]:
        # one that answers everyone alike moves everyone's scores alike
        return [
            self._grown(part) for part in self.retrievers if getattr(part, "personal", True)
        ]

    def mask(self, rules: Sequence[Rule] = ()) -> NDArray[np.bool_] | None:
        """(n_items,) which items the standing rules, and a request's own, allow; None for all.

        Args:
            rules: of the request.

        Returns:
            A mask.
        """
        held = self._standing
        if held is None or held.snapshot is not self.snapshot or held.rules is not self.rules:
            held = self._standing = self._standing_on(self.snapshot)
        further = joint_mask(rules, self.snapshot)
        both = [one for one in (held.mask, further) if one is not None]
        mask = np.logical_and.reduce(both) if both else None
        if mask is not None and not mask.any():
            _log.warning("no item meets the rules: %r", [*self.rules, *rules])
        return mask

    def _standing_on(self, snapshot: Snapshot) -> Standing:
        return Standing(snapshot, self.rules, joint_mask(self.rules, snapshot))

    def _ranker(self) -> AnsweringRanker:
        if self.rank is None:
            msg = "this Recommender has no ranker, so it predicts no ratings; give rank=shortlist.ranking.RatingNetwork(), or Biases()"
            raise NotReadyError(msg)
        if self._growth is None or refits_at_once(self.rank):
            return self.rank
        if isinstance(self.rank, ListRanker):
            return GrownListRanker(self.rank, self._growth)
        return GrownRanker(self.rank, self._growth)

    def stages(self) -> Stages:
        """The parts that answer, over all that is known.

        Returns:
            Stages.
        """
        ranker = None if self.rank is None or not self.rank_lists else self._ranker()
        return Stages(self.answering, ranker, self._grown(self.fallback), self.candidates)
