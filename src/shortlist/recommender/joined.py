"""What a recommender is made of, and how its parts are fitted together."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.catalogue import Catalogue
from shortlist.data.interactions import Interactions, check_table
from shortlist.data.lists import ListRanker
from shortlist.data.protocols import (
    AnsweringRanker,
    AnsweringRetriever,
    Json,
    Ranker,
    Reranker,
    Retriever,
)
from shortlist.data.read import read_items
from shortlist.data.snapshot import Snapshot
from shortlist.errors import ConfigError, DataError, NotReadyError
from shortlist.recommender.growing import refits_at_once, what_it_makes, with_items, with_rows
from shortlist.recommender.grown import GrownListRanker, GrownRanker, GrownRetriever
from shortlist.recommender.growth import Growth
from shortlist.recommender.kinds import Standing, check_kinds, several
from shortlist.recommender.rules import Rule, Seen, joint_mask
from shortlist.recommender.second_stage import earlier_lists, later_lists
from shortlist.recommender.stages import Stages
from shortlist.rerank import Explore
from shortlist.retrieval.popularity import Popularity

if TYPE_CHECKING:
    from shortlist.data.sources import Source

_log = logging.getLogger(__name__)


@dataclass(eq=False, repr=False)
class Joined:
    """The parts, fitted on the same rows; :class:`Recommender` adds the answers.

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
        retrievers: tuple[Retriever, ...] = several(self.retrieve)
        self.retrieve, self.rules = retrievers, several(self.rules)
        self.rerank = several(self.rerank)
        check_kinds([*retrievers, self.fallback], Retriever, "retriever", "retrieval.EASE()")
        check_kinds(
            [] if self.rank is None else [self.rank], Ranker, "ranker", "ranking.Biases()"
        )
        check_kinds(self.rerank, Reranker, "re-ranker", "rerank.Diverse(0.2)")
        check_kinds(self.rules, Rule, "rule", "rules.Where('year > 1990')")
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
            last = [one.kind for one in self.rerank]
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
        return self.rerank if isinstance(self.rerank, tuple) else several(self.rerank)

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

    def fit(self, train: Interactions, *, validate: Interactions | None = None) -> Self:
        """Fit every part on train; validation only chooses (when to stop).

        A ranker that learns from lists gets them in the honest order, as
        :mod:`shortlist.recommender.second_stage` tells; then the retrievers are fitted on all of train.

        Args:
            train: the rows to learn from, and to remember as histories.
            validate: later rows of the same users, or None.

        Returns:
            Itself, fitted.

        Raises:
            DataError: train is empty, or none of its rows counts as liked.
        """
        check_table(train, "train")
        if not len(train):
            msg = "train has no rows; there is nothing to learn from"
            raise DataError(msg)
        if not train.liked.any():
            msg = f"none of the {len(train):,} rows of train counts as liked: positive={train.positive!r}. Loosen the condition"
            raise DataError(msg)
        snapshot = Snapshot.of(train)
        # a rule that cannot be kept fails before training
        standing = self._standing_on(snapshot)
        # parts fitted on different rows must not answer together
        self._snapshot, self._growth, self.metrics = None, None, {}
        learning = self.rank if isinstance(self.rank, ListRanker) else None
        lists = None if learning is None else earlier_lists(self, learning, train, validate)
        for part in self.parts:
            if part is not learning:
                part.fit(train, validate=validate)
        if learning is not None and lists is not None:
            later = later_lists(self, learning, train, validate)
            learning.fit_lists(lists, train, validate=later)
        self._snapshot, self._standing = snapshot, standing
        return self

    @classmethod
    def from_parts(
        cls,
        snapshot: Snapshot,
        *,
        retrieve: Sequence[Retriever],
        rank: Ranker | None,
        rules: Sequence[Rule],
        fallback: Retriever,
        candidates: int,
        name: str,
        metrics: dict[str, Json],
        rank_lists: bool = True,
        rerank: Sequence[Reranker] = (),
        explore: Explore | None = None,
        growth: Growth | None = None,
    ) -> Self:
        """Join parts that are fitted already, on the same rows.

        Args:
            snapshot: of those rows.
            retrieve: fitted retrievers.
            rank: a fitted ranker, or None.
            rules: as for the constructor.
            fallback: a fitted retriever.
            candidates: as for the constructor.
            name: as for the constructor.
            metrics: figures measured earlier.
            rank_lists: as for the constructor.
            rerank: as for the constructor.
            explore: as for the constructor.
            growth: what came after the fit, or None.

        Returns:
            A Recommender that answers.
        """
        joined = cls(
            retrieve, rank, rules, fallback, candidates, name, rank_lists, rerank, explore
        )
        joined._snapshot, joined.metrics, joined._growth = snapshot, metrics, growth
        return joined

    @property
    def parts(self) -> tuple[Retriever | Ranker, ...]:
        """Everything that is fitted: retrievers, ranker, fallback."""
        return (*self.retrievers, *(() if self.rank is None else (self.rank,)), self.fallback)

    @property
    def context_columns(self) -> tuple[str, ...]:
        """Columns known at the time of asking that a part reads."""
        read = [one for part in self.parts for one in getattr(part, "context", ())]
        return tuple(sorted({one if isinstance(one, str) else one.column for one in read}))

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

    def add_items(self, items: "Source | Catalogue") -> Self:
        """Make new items recommendable at once, without training.

        A new item is described by its columns (genres, tags, words of the title, year) and scores
        the weighted mean of the ten known items it is most like (cosine of TF-IDF); in a history it
        stands for the nearest of them. One that is like none comes last.

        Args:
            items: a Catalogue, or a table or file as ``shortlist.read`` takes it, one row per item
                and no column that the catalogue lacks.

        Returns:
            Itself.
        """
        given = items if isinstance(items, Catalogue) else read_items(items)
        self._grow(with_items(self.snapshot, given))
        if self.growth is not None and len(lonely := self.growth.like_none):
            titles = self.snapshot.catalogue.titles.gather(lonely).head(5).to_list()
            _log.warning(
                "add_items: %d items are like nothing known, so they come last: %r",
                len(lonely),
                titles,
            )
        return self

    def update(self, rows: Interactions) -> pl.DataFrame:
        """Fold new rows in, without training: histories, and whatever is quick to fit, are up to date.

        Args:
            rows: what happened since the fit, also of new users; items must be known
                (:meth:`add_items`).

        Returns:
            One row per part, ``part`` and ``now``: what it makes of the new rows.
        """
        self._grow(with_rows(self.snapshot, rows))
        said = [(part.name, what_it_makes(part)) for part in self.parts]
        return pl.DataFrame(said, schema=["part", "now"], orient="row")

    def _grown(self, part: Retriever) -> AnsweringRetriever:
        if self._growth is None or refits_at_once(part):
            return part
        return GrownRetriever(part, self._growth)

    def _grow(self, snapshot: Snapshot) -> None:
        # all that may fail comes first: a recommender is never half grown
        before = self._growth
        known = self.snapshot if before is None else before
        growth = Growth.of(snapshot, known.n_users, known.n_items)
        standing, train = self._standing_on(snapshot), snapshot.interactions()
        again = {
            id(part): part.settled().fit(train) if refits_at_once(part) else part
            for part in self.parts
        }
        self.retrieve = tuple(again[id(part)] for part in self.retrievers)  # type: ignore[misc]
        self.fallback = again[id(self.fallback)]  # type: ignore[assignment]
        if self.rank is not None:
            self.rank = again[id(self.rank)]  # type: ignore[assignment]
        self._snapshot, self._growth, self._standing = snapshot, growth, standing

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
