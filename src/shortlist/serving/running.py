"""The recommender that answers now. A new one replaces it in one assignment; nothing in it changes."""

import threading
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.expression import Expression
from shortlist.data.snapshot import Snapshot
from shortlist.errors import ShortlistError
from shortlist.recommender.context import read_context
from shortlist.recommender.recommender import Recommender
from shortlist.recommender.rules import Where
from shortlist.recommender.stages import Stages
from shortlist.serving.refusals import Refused, UnknownItem
from shortlist.serving.settings import Arm

_CONDITIONS = 256  # conditions whose answer is remembered
_RATINGS = 4096  # ratings of which it is remembered whether they are liked
SHARED_TITLE = -2


@dataclass(frozen=True, eq=False)
class Running:
    """A recommender with what every request looks up.

    Attributes:
        recommender: answers; it never changes.
        path: of the bundle.
        version: of the bundle, such as ``0003``.
        pointer: what CURRENT said.
        through: the last event (its ``seq``) that the bundle was trained on; later ones overlay it.
        loaded: when, ISO.
        created: when the bundle was written, ISO.
        arm: in which it answers.
    """

    recommender: Recommender
    path: Path
    version: str
    pointer: str
    through: int
    loaded: str
    created: str
    arm: Arm = "champion"

    @property
    def snapshot(self) -> Snapshot:
        """What was known when the bundle was written, and the items that came since."""
        return self.recommender.snapshot

    @cached_property
    def stages(self) -> Stages:
        """The parts that answer."""
        return self.recommender.stages()

    @cached_property
    def ranker(self) -> str | None:
        """The part that puts candidates in order; None where it is the retrievers' own."""
        rank = self.recommender.rank
        return rank.name if rank is not None and self.recommender.rank_lists else None

    @cached_property
    def context_columns(self) -> tuple[str, ...]:
        """Columns known at the time of asking that can change a list."""
        return read_context(self.listing_parts)

    @property
    def listing_parts(self) -> tuple[object, ...]:
        """The parts that a list depends on, as they were fitted."""
        ranker = () if self.stages.rank is None else (self.recommender.rank,)
        return (*self.recommender.retrievers, *ranker, self.recommender.fallback)

    @cached_property
    def about_columns(self) -> tuple[str, ...]:
        """Columns of the users' table, which a guest may bring."""
        users = self.snapshot.users
        return () if users is None else tuple(c for c in users.columns if c != "user_id")

    @cached_property
    def item_ids(self) -> list[str | int]:
        """Ids by row."""
        return self.snapshot.item_vocabulary.ids.to_list()

    @cached_property
    def titles(self) -> list[str]:
        """Titles by row."""
        return self.snapshot.catalogue.titles.to_list()

    @cached_property
    def standing_mask(self) -> NDArray[np.bool_] | None:
        """(n_items,) what the recommender's own rules allow; None for everything."""
        return self.recommender.mask()

    @cached_property
    def mean_ratings(self) -> tuple[float, float]:
        """The mean rating of what is liked, and of what is not; they stand for those not given."""
        held = self.snapshot.histories
        if held.ratings is None or not len(held.ratings):
            return 0.0, 0.0
        middle = float(held.ratings.mean())
        means = [
            float(held.ratings[some].mean()) if some.any() else middle
            for some in (held.liked, ~held.liked)
        ]
        return means[0], means[1]

    @cached_property
    def scale(self) -> tuple[float, float] | None:
        """The lowest and the highest rating that the bundle was trained on; None without ratings."""
        ratings = self.snapshot.histories.ratings
        if ratings is None or not len(ratings):
            return None
        return float(ratings.min()), float(ratings.max())

    def on_scale(self, rating: float | None) -> bool:
        """Whether a rating lies on the bundle's scale.

        Args:
            rating: None for none, which does.

        Returns:
            True also where the bundle has no ratings.
        """
        if rating is None or self.scale is None:
            return True
        lowest, highest = self.scale
        return lowest <= float(np.float32(rating)) <= highest  # the bundle's are float32

    def nearest(self, rating: float | None) -> float | None:
        """A rating on the bundle's scale: the champion's scale decides what is kept, and another arm's may be shorter.

        Args:
            rating: None for none.

        Returns:
            The rating, or the end of the scale that is next to it; None for none.
        """
        if rating is None or self.scale is None:
            return rating
        lowest, highest = self.scale
        return min(max(rating, lowest), highest)

    def row(self, item: str | int) -> int:
        """Find an item by id, or by a title that only one item has.

        Args:
            item: an id or a title.

        Returns:
            Its row; -1 where nothing has that id or title, or several items share the title.
        """
        found = self.snapshot.item_vocabulary.row(item)
        return found if found >= 0 else max(-1, self._rows_of_titles.get(str(item), -1))

    def row_asked(self, item: str | int) -> int:
        """Find the one item that a request is about.

        Args:
            item: an id, or a title that only one item has.

        Returns:
            Its row.

        Raises:
            Refused: several items share the title.
            UnknownItem: nothing has that id or title.
        """
        found = self.row(item)
        if found >= 0:
            return found
        if str(item) in self._rows_of_titles:
            words = "several items have this title; ask by id, which GET /items?search= tells"
            raise Refused(422, "shared_title", words)
        raise UnknownItem

    def rows(self, items: Sequence[str | int]) -> tuple[list[int], int]:
        """Find items.

        Args:
            items: ids or unique titles.

        Returns:
            Rows of those found, in order, and how many were not.
        """
        found = [row for item in items if (row := self.row(item)) >= 0]
        return found, len(items) - len(found)

    def mask_of(self, condition: str) -> NDArray[np.bool_]:
        """What a condition allows.

        Args:
            condition: such as ``year >= 1990``.

        Returns:
            (n_items,) bool.

        Raises:
            Refused: it cannot be read, or names a column that is not there.
        """
        held = self._masks.get(condition)
        if held is None:
            try:
                held = Where(condition).mask(self.snapshot)
            except ShortlistError:
                raise self._unreadable(condition) from None
            with self._lock:
                if len(self._masks) >= _CONDITIONS:
                    self._masks.pop(next(iter(self._masks)))
                self._masks[condition] = held
        return held

    def liked(self, event: str, rating: float | None) -> bool:
        """Whether an event says that the user likes the item.

        Args:
            event: watch, rating, purchase or dismiss.
            rating: of a rating.

        Returns:
            True or False: a dismissal never does; a rating where the bundle's own condition holds, if
            it is one on ratings; anything else does.
        """
        if event == "dismiss":
            return False
        return rating is None or self._likes(rating)

    def search(self, words: str, most: int) -> list[int]:
        """Find items by parts of the title, whatever the case and the accents.

        Args:
            words: that all stand in the title, in any order ("the matrix" finds "Matrix, The"); one
                that starts with them comes first, then one with a word that does, then the others;
                among equals the one taken most.
            most: how many.

        Returns:
            Rows.
        """
        wanted = _folded(words)
        each = wanted.split()
        found = [
            (_place(title, wanted), -int(self._counts[row]), row)
            for row, title in enumerate(self._folded_titles)
            if all(word in title for word in each)
        ]
        return [row for _, _, row in sorted(found)[:most]]

    def attributes(self, row: int) -> dict[str, Any]:
        """An item's columns.

        Args:
            row: of the item.

        Returns:
            By name, without the id and the title.
        """
        columns = self.snapshot.catalogue.table.row(row, named=True)
        return {
            name: value for name, value in columns.items() if name not in {"item_id", "title"}
        }

    @cached_property
    def _lock(self) -> threading.Lock:
        return threading.Lock()

    @cached_property
    def _masks(self) -> dict[str, NDArray[np.bool_]]:
        return {}

    @cached_property
    def _likes(self) -> Callable[[float], bool]:
        # it does not refer to us: a bundle that is replaced must go at once
        positive = (
            None if self.snapshot.positive is None else Expression(self.snapshot.positive)
        )
        if positive is None or positive.columns != {"rating"}:
            return lambda _: True
        return lru_cache(_RATINGS)(
            lambda rating: bool(positive.mask(pl.DataFrame({"rating": [rating]}))[0])
        )

    @cached_property
    def _counts(self) -> NDArray[np.int64]:
        return self.snapshot.item_counts

    @cached_property
    def _rows_of_titles(self) -> dict[str, int]:
        rows: dict[str, int] = {}
        for row, title in enumerate(self.titles):
            rows[title] = SHARED_TITLE if title in rows else row
        return rows

    @cached_property
    def _folded_titles(self) -> list[str]:
        return [_folded(title) for title in self.titles]

    def _unreadable(self, condition: str) -> Refused:
        held = self.snapshot.catalogue.table.schema
        try:
            there = Expression(condition).columns <= set(held)
        except ShortlistError:
            what = "is no condition that can be read"
        else:
            what = (
                "compares a column with something of another kind"
                if there
                else "names a column that is not there"
            )
        columns = ", ".join(f"{name} ({kind_said(kind)})" for name, kind in held.items())
        return Refused(
            422,
            "bad_condition",
            f"where {what}. Write it as: year >= 1990 and 'Comedy' in genres; the columns are {columns}",
        )


def kind_said(kind: pl.DataType) -> str:
    """The kind of a column in a word.

    Args:
        kind: of polars.

    Returns:
        Such as ``text``, ``whole number`` or ``several of: text``.
    """
    if isinstance(kind, pl.List | pl.Array):
        return f"several of: {kind_said(cast('pl.DataType', kind.inner))}"
    if kind.is_numeric():
        return "whole number" if kind.is_integer() else "number"
    return "text" if kind == pl.String() else str(kind).lower()


def _folded(text: str) -> str:
    bare = unicodedata.normalize("NFKD", text)
    return "".join(c for c in bare if not unicodedata.combining(c)).casefold().strip()


def _place(title: str, wanted: str) -> int:
    if title.startswith(wanted):
        return 0
    return 1 if f" {wanted}" in title else 2
