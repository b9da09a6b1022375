"""Ids as given, rows 0..n-1 inside: the one place where they are converted.

Ids match by their text, so that a 42 from a Parquet file meets a "42" from a URL.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.errors import DataError

_FEW = 256  # ids: up to here a dictionary beats a join

UserOrItemId: TypeAlias = str | int
IdColumn: TypeAlias = pl.Series | Iterable[UserOrItemId]


def id_series(ids: IdColumn, *, name: str = "id") -> pl.Series:
    """Bring ids of any kind into one column of text or whole numbers, without nulls.

    Whole numbers that arrive as floats (pandas does this to columns with gaps) become integers.

    Args:
        ids: a polars column or any iterable of strings and integers.
        name: the column's name, for messages.

    Returns:
        A polars Series of dtype String or Int64.

    Raises:
        DataError: an id is missing, or is neither text nor a whole number.
    """
    series = ids if isinstance(ids, pl.Series) else _from_python(list(ids), name)
    if series.dtype == pl.Null and len(series) == 0:
        series = series.cast(pl.String)
    if series.null_count():
        row = int(series.is_null().arg_max() or 0)
        msg = f"column {name!r}, row {row}: the id is missing; every row needs one. Remove the row or give it an id"
        raise DataError(msg)
    if isinstance(series.dtype, pl.Categorical | pl.Enum):
        series = series.cast(pl.String)
    if series.dtype.is_integer():
        numbers = series.cast(pl.Int64, strict=False)
        if numbers.null_count():  # 64-bit hashes without a sign: too large, so they go as text
            return series.cast(pl.String).alias(name)
        return numbers.alias(name)
    whole = series.dtype.is_float() and bool((series == series.floor()).all())
    if whole and bool((series.abs() <= 2**53).all()):  # also refuses NaN and infinity
        return series.cast(pl.Int64).alias(name)
    if series.dtype != pl.String:
        msg = f"column {name!r} holds {series.dtype}; ids are text or whole numbers. Convert the column first"
        raise DataError(msg)
    return series.alias(name)


def _from_python(values: list[UserOrItemId | None], name: str) -> pl.Series:
    if any(isinstance(v, str) for v in values):
        values = [None if v is None else str(v) for v in values]
    return pl.Series(name, values, strict=False)


class Vocabulary:
    """A list of distinct ids; the position of an id is its row.

    Args:
        ids: the ids in row order. Two ids with the same text are refused.
        name: ``"user_id"`` or ``"item_id"``, used in messages.

    Raises:
        DataError: an id is missing or stands twice.
    """

    def __init__(self, ids: IdColumn, *, name: str) -> None:
        listed = None if isinstance(ids, pl.Series) else list(ids)
        self.ids = id_series(ids if listed is None else listed, name=name)
        self.name = name
        self._keys = self.ids.cast(pl.String)
        if self._keys.n_unique() != len(self._keys):
            twice = self._keys.filter(self._keys.is_duplicated())[0]
            same = [v for v in listed or [] if str(v) == twice]
            cause = (
                f"{same[0]!r} and {same[1]!r} have the same text"
                if len(set(same)) > 1
                else f"{twice!r} stands twice"
            )
            msg = f"{name}: {cause}; ids match by their text, so each may stand once. Rename or merge one of them"
            raise DataError(msg)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"Vocabulary({self.name}, {len(self):,} ids)"

    def rows(self, ids: IdColumn) -> NDArray[np.int32]:
        """Convert ids to rows.

        Args:
            ids: (n,) ids as given.

        Returns:
            (n,) int32 rows; -1 where the id is not known.
        """
        wanted = id_series(ids, name=self.name)
        if len(wanted) <= _FEW:
            rows = [self._by_text.get(str(one), -1) for one in wanted.to_list()]
            return np.array(rows, dtype=np.int32)
        both_numbers = wanted.dtype == pl.Int64 and self.ids.dtype == pl.Int64
        wanted = wanted if both_numbers else wanted.cast(pl.String)
        keys = self.ids if both_numbers else self._keys
        table = pl.DataFrame({"key": keys, "row": np.arange(len(keys), dtype=np.int32)})
        found = (
            wanted.alias("key")
            .to_frame()
            .join(table, on="key", how="left", maintain_order="left")
        )
        return found["row"].fill_null(-1).to_numpy().astype(np.int32)

    def row(self, one: UserOrItemId) -> int:
        """Convert one id to its row.

        Args:
            one: an id as given.

        Returns:
            The row; -1 where the id is not known.
        """
        return self._by_text.get(str(one), -1)

    def decode(self, rows: NDArray[np.integer]) -> pl.Series:
        """Convert rows back to ids.

        Args:
            rows: (n,) rows; -1 stands for nothing.

        Returns:
            (n,) ids as they were given; null where the row is -1.
        """
        index = pl.Series(np.where(rows < 0, 0, rows).astype(np.uint32))
        if len(self.ids) == 0:
            return pl.Series(self.name, [None] * len(rows), dtype=self.ids.dtype)
        taken = self.ids.gather(index)
        return taken.to_frame().select(
            pl.when(pl.Series(rows >= 0)).then(pl.col(taken.name)).alias(self.name)
        )[self.name]

    @cached_property
    def _by_text(self) -> dict[str, int]:
        return {key: row for row, key in enumerate(self._keys)}


def align(table: pl.DataFrame, key: str, ids: pl.Series) -> pl.DataFrame:
    """Bring a table into the order of given ids.

    Args:
        table: one row per id.
        key: its id column.
        ids: (n,) ids, which may repeat; those that the table lacks get nulls.

    Returns:
        (n rows) the table without its id column.
    """
    left = ids.cast(pl.String).alias("_key").to_frame()
    right = table.with_columns(pl.col(key).cast(pl.String).alias("_key")).drop(key)
    return left.join(right, on="_key", how="left", maintain_order="left").drop("_key")


def same_kind(ids: pl.Series, new: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Two columns of ids as one kind: whole numbers where all are, text otherwise.

    Args:
        ids: known ids.
        new: further ids.

    Returns:
        Both, of the same dtype.
    """
    if ids.dtype == new.dtype:
        return ids, new
    numbers = new.cast(ids.dtype, strict=False)
    if not numbers.null_count() and bool(
        (numbers.cast(pl.String) == new.cast(pl.String)).all()
    ):
        return ids, numbers
    return ids.cast(pl.String), new.cast(pl.String)
