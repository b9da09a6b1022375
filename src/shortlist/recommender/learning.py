"""How a recommender comes to know rows: fitted on them, or told of what came after."""

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

import polars as pl

from shortlist.data.catalogue import Catalogue
from shortlist.data.interactions import Interactions, check_table
from shortlist.data.lists import ListRanker
from shortlist.data.read import read_items
from shortlist.data.snapshot import Snapshot
from shortlist.errors import DataError
from shortlist.recommender.context import with_inner
from shortlist.recommender.growing import refits_at_once, what_it_makes, with_items, with_rows
from shortlist.recommender.growth import Growth
from shortlist.recommender.joined import Joined
from shortlist.recommender.second_stage import earlier_lists, later_lists

if TYPE_CHECKING:
    from shortlist.data.sources import Source

_log = logging.getLogger(__name__)


def insist_extras(parts: Iterable[object]) -> None:
    """Insist that what parts need to learn is installed.

    Args:
        parts: retrievers and rankers; what they are made of counts too.

    Raises:
        MissingExtraError: something is not.
    """
    for part in with_inner(parts):
        if (needed := getattr(part, "learning_needs", None)) is not None:
            needed.insist()


class Learning(Joined):
    """The parts, and how they learn; :class:`Recommender` adds the answers."""

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
            MissingExtraError: what a part needs to learn is not installed; nothing was fitted.
        """
        check_table(train, "train")
        if not len(train):
            msg = "train has no rows; there is nothing to learn from"
            raise DataError(msg)
        if not train.liked.any():
            msg = f"none of the {len(train):,} rows of train counts as liked: positive={train.positive!r}. Loosen the condition"
            raise DataError(msg)
        insist_extras(self.parts)
        snapshot = Snapshot.of(train)
        # a rule that cannot be kept fails before training
        standing = self._standing_on(snapshot)
        # parts fitted on different rows must not answer together
        self._snapshot, self._growth, self.metrics, self.events_through = None, None, {}, 0
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

    def add_items(self, items: "Source | Catalogue") -> Self:
        """Make new items recommendable at once, without training.

        A new item is described by its columns (genres, tags, words of the title, year; in a catalogue
        without any of these by the others that it has) and scores the weighted mean of the ten known
        items it is most like (cosine of TF-IDF); in a history it stands for the nearest of them. One
        that is like none comes last, as does every one where the catalogue has ids only.

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
