"""The items and what is known of them: titles, genres, years, any column."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.vocabulary import IdColumn, align, id_series
from shortlist.errors import DataError, closest


@dataclass(frozen=True, eq=False, repr=False)
class Catalogue:
    """A table of items, one row each.

    Attributes:
        table: polars table with ``item_id`` and any other columns; ``title`` and ``genres``
            (a list of text) are the names the rest of the package looks for.
    """

    table: pl.DataFrame

    def __post_init__(self) -> None:
        if "item_id" not in self.table.columns:
            hint = closest("item_id", self.table.columns)
            msg = f"a catalogue needs a column 'item_id'; got {self.table.columns}.{hint}"
            raise DataError(msg)
        ids = id_series(self.table["item_id"], name="item_id")
        if ids.n_unique() != len(ids):
            twice = ids.filter(ids.is_duplicated())[0]
            msg = f"the catalogue has item_id {twice!r} more than once; keep one row per item"
            raise DataError(msg)
        object.__setattr__(self, "table", self.table.with_columns(ids))

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        return f"Catalogue({len(self):,} items: {', '.join(self.table.columns)})"

    @classmethod
    def of_ids(cls, ids: IdColumn) -> "Catalogue":
        """A catalogue that knows nothing but the ids.

        Args:
            ids: distinct item ids.

        Returns:
            A Catalogue with the one column ``item_id``.
        """
        return cls(id_series(ids, name="item_id").to_frame())

    def aligned(self, ids: pl.Series) -> "Catalogue":
        """The same catalogue in the order of a vocabulary; unknown items get empty columns.

        Args:
            ids: (n_items,) ids in row order.

        Returns:
            A Catalogue whose table has one row per id.
        """
        columns = align(self.table, "item_id", ids)
        return Catalogue(columns.insert_column(0, ids.alias("item_id")))

    @cached_property
    def titles(self) -> pl.Series:
        """(n,) a text for each item: its title, or its id where it has none."""
        fallback = self.table["item_id"].cast(pl.String)
        if "title" not in self.table.columns:
            return fallback.alias("title")
        return self.table.select(
            pl.col("title").cast(pl.String).fill_null(fallback).alias("title")
        ).to_series()

    def row_of_title(self, title: str) -> int:
        """Find an item by its exact title.

        Args:
            title: the title, letter for letter.

        Returns:
            The row; -1 where no item has that title.

        Raises:
            DataError: several items share the title.
        """
        rows = np.flatnonzero((self.titles == title).to_numpy())
        if len(rows) > 1:
            ids = self.table["item_id"].gather(rows).to_list()
            msg = f"title {title!r} belongs to {len(rows)} items; say which by item_id: {ids}"
            raise DataError(msg)
        return int(rows[0]) if len(rows) else -1

    def tag_matrix(self, column: str = "genres") -> NDArray[np.float32] | None:
        """Which items carry which tag.

        Args:
            column: a column of text lists.

        Returns:
            (n, tags) float32 of 0 and 1, tags in alphabetical order; None without such a column.
        """
        if column not in self.table.columns or not isinstance(
            self.table.schema[column], pl.List
        ):
            return None
        names = self.table[column].explode().drop_nulls().unique().sort()
        number = {name: i for i, name in enumerate(names)}
        matrix = np.zeros((len(self), len(number)), np.float32)
        for row, tags in enumerate(self.table[column]):
            for tag in tags if tags is not None else ():
                if tag is not None:
                    matrix[row, number[tag]] = 1.0
        return matrix
