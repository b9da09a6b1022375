"""Columns of users and items as plain numbers for pair features, with what train taught them."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.features import Category, Number, Tags
from shortlist.data.learned import Learned, guess, learn
from shortlist.data.protocols import Json

_TAGS = 32  # the most frequent ones tell tastes apart; a loop goes over them
_NOT_READ = {"user_id", "item_id", "title"}


@dataclass(frozen=True)
class Columns:
    """What is read of a table of users or items.

    Attributes:
        numbers: columns of numbers, read as z-scores; missing counts as the mean.
        categories: columns of one value each, read as its place in the alphabet; what train never
            had comes after.
        tags: columns of text lists.
    """

    numbers: tuple[Learned, ...] = ()
    categories: tuple[Learned, ...] = ()
    tags: tuple[Learned, ...] = ()

    @classmethod
    def learn(cls, table: pl.DataFrame | None, *, tags: bool) -> Self:
        """Look at a table.

        Args:
            table: of users or items; None where there is none.
            tags: whether lists are read; free text never is.

        Returns:
            Columns; those that hold but one value are left out.
        """
        found: dict[type, list[Learned]] = {Number: [], Category: [], Tags: []}
        for name in [] if table is None else table.columns:
            column = table[name] if table is not None else pl.Series()
            if name in _NOT_READ or column.drop_nulls().is_empty():
                continue
            feature = guess(name, column)
            if not isinstance(feature, Number | Category | Tags):
                continue
            learned = learn(feature, column)
            if isinstance(feature, Tags):
                learned = _frequent(learned, column)
            elif column.n_unique() < 2:
                continue
            found[type(feature)].append(learned)
        return cls(
            tuple(found[Number]), tuple(found[Category]), tuple(found[Tags]) if tags else ()
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Numbers, then categories: what :meth:`plain` answers."""
        return tuple(one.feature.column for one in (*self.numbers, *self.categories))

    def plain(self, table: pl.DataFrame, n: int) -> NDArray[np.float32]:
        """The values of numbers and categories.

        Args:
            table: (n rows); columns may be missing.
            n: rows.

        Returns:
            (n, len(names)) float32; a missing column is all mean, or all unknown.
        """
        values = np.zeros((n, len(self.names)), np.float32)
        for place, one in enumerate((*self.numbers, *self.categories)):
            if one.feature.column not in table.columns:
                values[:, place] = 0.0 if isinstance(one.feature, Number) else len(one.values)
                continue
            encoded = one.encode(table[one.feature.column])
            number = isinstance(one.feature, Number)
            values[:, place] = encoded.data if number else encoded.indices
        return values

    def tag_lines(self, table: pl.DataFrame, n: int) -> list[NDArray[np.float32]]:
        """Tags as shares of each row's own.

        Args:
            table: (n rows).
            n: rows.

        Returns:
            For each column of tags (n, tags) float32 lines that sum to 1, or 0 where there is none.
        """
        return [
            one.encode(table[one.feature.column]).toarray()
            if one.feature.column in table.columns
            else np.zeros((n, one.size), np.float32)
            for one in self.tags
        ]

    def to_json(self) -> Json:
        """Itself, as JSON values.

        Returns:
            A dictionary for :meth:`from_json`.
        """
        return {
            name: [one.to_json() for one in getattr(self, name)]
            for name in ("numbers", "categories", "tags")
        }

    @classmethod
    def from_json(cls, value: Json) -> Self:
        """Rebuild.

        Args:
            value: what :meth:`to_json` gave.

        Returns:
            The same.
        """
        return cls(**{k: tuple(Learned.from_json(one) for one in v) for k, v in value.items()})


def _frequent(learned: Learned, column: pl.Series) -> Learned:
    counts = column.explode().cast(pl.String).str.strip_chars().value_counts(sort=True)
    top = counts.drop_nulls().sort("count", column.name, descending=[True, False])
    kept = set(top[column.name].head(_TAGS).to_list())
    return Learned(learned.feature, tuple(one for one in learned.values if one in kept))
