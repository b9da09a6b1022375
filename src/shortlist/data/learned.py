"""What train teaches a feature of one column, and how a column becomes weighted feature columns."""

import zlib
from collections import Counter
from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.features import (
    Bucket,
    Category,
    Hash,
    Number,
    Tags,
    Text,
    features_from_json,
    features_to_json,
)
from shortlist.data.protocols import Json
from shortlist.errors import ConfigError, DataError

ColumnFeature = Bucket | Category | Hash | Number | Tags | Text
_EQUAL = 1e-12  # of the largest number: numbers that spread less are equal but for rounding
_FARTHEST = 5.0  # standard deviations: an outlier at answering time must not drown the rest


@dataclass(frozen=True)
class Learned:
    """A feature and what train taught it.

    Attributes:
        feature: as declared.
        values: categories, tags or words, in column order.
        edges: between the buckets, rising.
        mean: of a number.
        spread: standard deviation of a number.
    """

    feature: ColumnFeature
    values: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()
    mean: float = 0.0
    spread: float = 1.0

    @property
    def size(self) -> int:
        """Feature columns; where there is one for the unknown, it is the last."""
        if isinstance(self.feature, Number):
            return 1
        if isinstance(self.feature, Bucket):
            return len(self.edges) + 2
        if isinstance(self.feature, Hash):
            return self.feature.buckets + 1
        return len(self.values) + isinstance(self.feature, Category)

    def encode(self, column: pl.Series) -> sp.csr_array:
        """Turn a column into feature columns.

        Args:
            column: (n,) values; nulls and values that train never had are fine.

        Returns:
            (n, size) float32 CSR.

        Raises:
            DataError: the column is of a kind that the feature cannot read.
        """
        n, unknown = len(column), self.size - 1
        if isinstance(self.feature, Number):
            far = (_numbers(column, self.feature.column) - self.mean) / self.spread
            near = np.clip(np.nan_to_num(far), -_FARTHEST, _FARTHEST).astype(np.float32)
            return sp.csr_array((near, np.zeros(n, np.int64), np.arange(n + 1)), shape=(n, 1))
        if isinstance(self.feature, Bucket):
            numbers = _numbers(column, self.feature.column)
            at = np.searchsorted(self.edges, numbers, side="right")
            return _one_each(np.where(np.isnan(numbers), unknown, at), self.size)
        if isinstance(self.feature, Hash):
            if column.dtype.is_nested():
                msg = f"feature {self.feature.column!r} is declared a Hash but holds {column.dtype}; use Tags"
                raise DataError(msg)
            texts = column.cast(pl.String)
            at = np.array(
                [unknown if t is None else zlib.crc32(t.encode()) % unknown for t in texts],
                np.int64,
            )
            return _one_each(at, self.size)
        return self._encode_tokens(column)

    def to_json(self) -> Json:
        """Itself, as JSON values.

        Returns:
            A dictionary for :meth:`from_json`.
        """
        (feature,) = features_to_json([self.feature])
        numbers = {"edges": list(self.edges), "mean": self.mean, "spread": self.spread}
        return {"feature": feature, "values": list(self.values), **numbers}

    @classmethod
    def from_json(cls, value: Json) -> "Learned":
        """Rebuild from :meth:`to_json`.

        Args:
            value: the dictionary.

        Returns:
            The same.

        Raises:
            ConfigError: the feature is not one of a column.
        """
        (feature,) = features_from_json([value["feature"]])
        if not isinstance(feature, ColumnFeature):
            msg = f"{feature!r} is not a feature of a column"
            raise ConfigError(msg)
        values, edges = tuple(value["values"]), tuple(value["edges"])
        return cls(feature, values, edges, value["mean"], value["spread"])

    def _encode_tokens(self, column: pl.Series) -> sp.csr_array:
        n, known = len(column), pl.Series(self.values, dtype=pl.String)
        number = pl.DataFrame({"token": known, "col": np.arange(len(known))})
        flat = pl.DataFrame({"row": np.arange(n), "token": _tokens(self.feature, column)})
        found = flat.explode("token").join(
            number, on="token", how="left", maintain_order="left"
        )
        if isinstance(self.feature, Category):
            found = found.with_columns(pl.col("col").fill_null(len(self.values)))
        found = found.drop_nulls("col")
        rows, cols = found["row"].to_numpy(), found["col"].to_numpy()
        share = 1.0 / np.maximum(np.bincount(rows, minlength=n), 1)
        weights = share[rows].astype(np.float32)
        return sp.csr_array((weights, (rows, cols)), shape=(n, self.size))


def learn(feature: ColumnFeature, column: pl.Series) -> Learned:
    """Learn a feature from a column of train.

    Args:
        feature: as declared.
        column: the values of the users or items that train has.

    Returns:
        The feature with what it learned.
    """
    if isinstance(feature, Hash):
        return Learned(feature)
    if isinstance(feature, Number | Bucket):
        numbers = _numbers(column, feature.column)
        numbers = numbers[np.isfinite(numbers)]
        if isinstance(feature, Bucket):
            shares = np.arange(1, feature.buckets) / feature.buckets
            edges = np.unique(np.quantile(numbers, shares)) if len(numbers) else np.empty(0)
            return Learned(feature, edges=tuple(edges.tolist()))
        mean, spread = (
            (float(numbers.mean()), float(numbers.std())) if len(numbers) else (0.0, 1.0)
        )
        differ = spread > _EQUAL * np.abs(numbers).max(initial=0)
        return Learned(feature, mean=mean, spread=spread if differ else 1.0)
    counts = Counter(_tokens(feature, column).explode().drop_nulls().to_list())
    least = feature.min_count if isinstance(feature, Text) else 1
    return Learned(feature, tuple(sorted(token for token, n in counts.items() if n >= least)))


def guess(name: str, column: pl.Series) -> ColumnFeature:
    """Choose the kind of a feature that was declared by its column's name alone.

    Args:
        name: of the column.
        column: its values.

    Returns:
        Lists are tags, numbers and dates are numbers, mostly different texts of several words are text, and
        the rest are categories.
    """
    if isinstance(column.dtype, pl.List):
        return Tags(name)
    if column.dtype.is_numeric() or isinstance(column.dtype, pl.Date | pl.Datetime):
        return Number(name)
    spaces = column.cast(pl.String).str.count_matches(" ").mean()
    different = column.n_unique() >= 0.5 * len(column)
    return (
        Text(name)
        if different and isinstance(spaces, float) and spaces > 0.5
        else Category(name)
    )


def _one_each(cols: NDArray[np.integer], size: int) -> sp.csr_array:
    n = len(cols)
    return sp.csr_array((np.ones(n, np.float32), cols, np.arange(n + 1)), shape=(n, size))


def _numbers(column: pl.Series, name: str) -> NDArray[np.float64]:
    if column.dtype.is_nested():
        msg = f"feature {name!r} is declared a number but holds {column.dtype}; use Tags"
        raise DataError(msg)
    if isinstance(column.dtype, pl.Date | pl.Datetime):
        column = column.dt.epoch("us")  # in one unit, whichever the column has
    numbers = column.cast(pl.Float64, strict=False)
    if numbers.null_count() == len(column) > 0 and column.null_count() < len(column):
        example = column.drop_nulls()[0]
        msg = f"feature {name!r} is declared a number but holds {column.dtype}, for example {example!r}; use Category"
        raise DataError(msg)
    data = numbers.fill_null(float("nan")).to_numpy()
    return np.where(np.abs(data) <= np.finfo(np.float32).max, data, np.nan)  # infinite: missing


def _tokens(feature: ColumnFeature, column: pl.Series) -> pl.Series:
    if isinstance(column.dtype, pl.List):
        stripped = column.cast(pl.List(pl.String)).list.eval(pl.element().str.strip_chars())
        filled = stripped.list.eval(pl.element().filter(pl.element() != ""))
        return filled.list.unique(maintain_order=True)
    text = column.cast(pl.String)
    if isinstance(feature, Text):
        words = text.fill_null("").str.to_lowercase().str.extract_all(r"[\p{L}\p{N}']+")
        return words.list.unique(maintain_order=True)
    return text.to_frame().select(pl.concat_list(pl.all()))[column.name]
