"""One side of a model (users or items): its declared features, with what train taught them.

Every feature turns a row into a few weighted columns: an id or a category into one column, tags and
text tokens into one column each, a number into one column weighted by its z-score. A side is the
features beside one another: a sparse matrix, rows by columns, that one embedding table multiplies.
Training and answering both use that matrix.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.features import (
    Category,
    Declared,
    History,
    Number,
    Tags,
    Text,
    features_from_json,
    features_to_json,
)
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import Json
from shortlist.data.ragged import beside
from shortlist.data.vocabulary import align
from shortlist.errors import ConfigError, DataError, closest

ColumnFeature = Category | Tags | Number | Text


@dataclass(frozen=True)
class _Learned:
    """A feature and what train taught it."""

    feature: ColumnFeature
    values: tuple[str, ...] = ()  # categories, tags or words, in column order
    mean: float = 0.0
    spread: float = 1.0

    @property
    def size(self) -> int:
        if isinstance(self.feature, Number):
            return 1
        return len(self.values) + isinstance(self.feature, Category)  # the last: unknown

    def encode(self, column: pl.Series) -> sp.csr_array:
        n = len(column)
        if isinstance(self.feature, Number):
            data = (_numbers(column, self.feature.column) - self.mean) / self.spread
            return sp.csr_array(np.nan_to_num(data).astype(np.float32)[:, None])
        lists = _tokens(self.feature, column)
        number = pl.DataFrame(
            {
                "token": pl.Series(self.values, dtype=pl.String),
                "col": np.arange(len(self.values)),
            }
        )
        flat = pl.DataFrame({"row": np.arange(n), "token": lists}).explode("token")
        found = flat.join(number, on="token", how="left", maintain_order="left")
        if isinstance(self.feature, Category):
            found = found.with_columns(pl.col("col").fill_null(len(self.values)))
        found = found.drop_nulls("col")
        rows, cols = found["row"].to_numpy(), found["col"].to_numpy()
        share = 1.0 / np.maximum(np.bincount(rows, minlength=n), 1)
        return sp.csr_array(
            (share[rows].astype(np.float32), (rows, cols)), shape=(n, self.size)
        )


class Side:
    """The features of one side, learned.

    Args:
        has_id: whether the row itself is a feature, with its own embedding.
        n_rows: users or items of train; the id column ``n_rows`` stands for the unknown.
        learned: features with what they learned.
        history: how many history items the side reads; 0 for none. Their columns come last.
        n_items: width of the history part.
    """

    def __init__(
        self,
        *,
        has_id: bool,
        n_rows: int,
        learned: Sequence[_Learned],
        history: int = 0,
        n_items: int = 0,
    ) -> None:
        self.has_id = has_id
        self.n_rows = n_rows
        self.learned = tuple(learned)
        self.history = history
        self.n_items = n_items

    @classmethod
    def learn(
        cls,
        declared: Sequence[Declared],
        *,
        id_name: str,
        n_rows: int,
        table: pl.DataFrame | None,
        in_train: NDArray[np.bool_],
        n_items: int = 0,
    ) -> "Side":
        """Learn the features from the rows that train has.

        Args:
            declared: names of columns (the kind follows from the column) or feature objects.
            id_name: ``"user_id"`` or ``"item_id"``; declaring it gives each row its own embedding.
            n_rows: number of users or items.
            table: (n_rows) their columns; None where there is no table.
            in_train: (n_rows,) True for rows that have train interactions; only these teach.
            n_items: number of items, for histories.

        Returns:
            A Side.

        Raises:
            ConfigError: nothing is declared, or a declared column is not there.
        """
        if not declared:
            msg = f"a tower needs at least one feature, such as {id_name!r}"
            raise ConfigError(msg)
        history = 0
        learned = []
        for item in declared:
            if item == id_name:
                continue
            if isinstance(item, History):
                history = _check_history(item, n_items)
                continue
            name = item if isinstance(item, str) else item.column
            known = [] if table is None else table.columns
            if table is None or name not in known:
                msg = f"feature {name!r}: no such column; there are {known}.{closest(name, known)} Give the table that has it, or leave the feature out"
                raise ConfigError(msg)
            feature = _guess(name, table[name]) if isinstance(item, str) else item
            learned.append(_learn(feature, table[name].filter(pl.Series(in_train))))
        return cls(
            has_id=id_name in declared,
            n_rows=n_rows,
            learned=learned,
            history=history,
            n_items=n_items,
        )

    @property
    def id_columns(self) -> int:
        """Columns of the id part: one per row, and the unknown."""
        return self.n_rows + 1 if self.has_id else 0

    @property
    def static_columns(self) -> int:
        """Columns without the history part."""
        return self.id_columns + sum(part.size for part in self.learned)

    @property
    def columns(self) -> int:
        """All columns: the height of the embedding table."""
        return self.static_columns + (self.n_items if self.history else 0)

    def encode(self, rows: NDArray[np.int32], table: pl.DataFrame | None) -> sp.csr_array:
        """The static part: ids and columns, without the history.

        Args:
            rows: (n,) int32; -1 is the unknown.
            table: (n rows) the columns the features need.

        Returns:
            (n, static_columns) float32 CSR.

        Raises:
            DataError: a column is missing.
        """
        n = len(rows)
        parts: list[sp.csr_array] = []
        if self.has_id:
            at = np.where(rows < 0, self.n_rows, rows)
            parts.append(
                sp.csr_array(
                    (np.ones(n, np.float32), at, np.arange(n + 1)), shape=(n, self.id_columns)
                )
            )
        for part in self.learned:
            name = part.feature.column
            if table is None:
                column = pl.Series(name, [None] * n, dtype=pl.String)
            elif name in table.columns:
                column = table[name]
            else:
                msg = f"the model reads column {name!r}; got {table.columns}. Add the column; it may hold nulls"
                raise DataError(msg)
            parts.append(part.encode(column))
        if not parts:  # nothing but a history
            parts.append(sp.csr_array(np.zeros((n, 0), np.float32)))
        return beside(parts)

    def hiding_ids(
        self, lines: sp.csr_array, share: float, rng: np.random.Generator
    ) -> sp.csr_array:
        """Make some ids unknown, so that training also teaches the unknown id.

        Args:
            lines: encoded rows; changed in place.
            share: of the lines whose id is hidden.
            rng: chooses them.

        Returns:
            ``lines``.
        """
        if self.has_id and share:
            hidden = rng.random(lines.shape[0]) < share
            lines.indices[lines.indptr[:-1][hidden]] = (
                self.n_rows
            )  # the id is a line's first entry
        return lines

    def to_json(self) -> Json:
        """What was learned, as JSON values.

        Returns:
            A dictionary for :meth:`from_json`.
        """
        learned: list[Json] = [
            {
                "feature": features_to_json([part.feature])[0],
                "values": list(part.values),
                "mean": part.mean,
                "spread": part.spread,
            }
            for part in self.learned
        ]
        return {
            "has_id": self.has_id,
            "n_rows": self.n_rows,
            "learned": learned,
            "history": self.history,
            "n_items": self.n_items,
        }

    @classmethod
    def from_json(cls, value: Json) -> "Side":
        """Rebuild from :meth:`to_json`.

        Args:
            value: the dictionary.

        Returns:
            The same Side.

        Raises:
            ConfigError: a feature is not one of a column.
        """
        fields = dict(value)
        learned = []
        for part in fields.pop("learned"):
            (feature,) = features_from_json([part["feature"]])
            if not isinstance(feature, ColumnFeature):
                msg = f"{feature!r} is not a feature of a column"
                raise ConfigError(msg)
            learned.append(
                _Learned(feature, tuple(part["values"]), part["mean"], part["spread"])
            )
        return cls(learned=learned, **fields)


def encode_all(
    train: Interactions,
    user: Sequence[Declared],
    item: Sequence[Declared],
    *,
    liked_only: bool,
) -> tuple[tuple[Side, Side], tuple[sp.csr_array, sp.csr_array]]:
    """Learn both sides from train, and encode all its users and items.

    An item that no row of train has stands for the unknown one: its own embedding learned nothing.

    Args:
        train: the rows a model is fitted on.
        user: features of the users.
        item: features of the items.
        liked_only: whether the model learns from the liked rows only.

    Returns:
        The sides, and their (n_users + 1, ...) and (n_items + 1, ...) encoded lines; the last line
        of each is the unknown.
    """
    n_users, n_items = len(train.user_vocabulary), len(train.item_vocabulary)
    user_ids = train.user_vocabulary.ids
    users = None if train.users is None else align(train.users, "user_id", user_ids)
    items = align(train.catalogue.table, "item_id", train.item_vocabulary.ids)
    rows = train.item_rows[train.liked] if liked_only else train.item_rows
    in_train = np.bincount(rows, minlength=n_items) > 0
    sides = (
        Side.learn(
            user,
            id_name="user_id",
            n_rows=n_users,
            table=users,
            in_train=np.ones(n_users, bool),
            n_items=n_items,
        ),
        Side.learn(item, id_name="item_id", n_rows=n_items, table=items, in_train=in_train),
    )
    user_rows = np.append(np.arange(n_users), -1).astype(np.int32)
    item_rows = np.append(np.where(in_train, np.arange(n_items), -1), -1).astype(np.int32)
    return sides, (
        sides[0].encode(user_rows, None if users is None else users.vstack(users.clear(1))),
        sides[1].encode(item_rows, items.vstack(items.clear(1))),
    )


def _check_history(history: History, n_items: int) -> int:
    if n_items == 0:
        msg = "a History belongs to the users' side; it is the mean of a user's latest items"
        raise ConfigError(msg)
    if history.length < 1:
        msg = f"History.length must be at least 1; got {history.length}"
        raise ConfigError(msg)
    return history.length


def _guess(name: str, column: pl.Series) -> ColumnFeature:
    if isinstance(column.dtype, pl.List):
        return Tags(name)
    if column.dtype.is_numeric():
        return Number(name)
    words = column.cast(pl.String).str.count_matches(" ").mean()
    repeated = column.n_unique() < 0.5 * len(column)
    return (
        Text(name)
        if not repeated and isinstance(words, float) and words > 0.5
        else Category(name)
    )


def _learn(feature: ColumnFeature, column: pl.Series) -> _Learned:
    if isinstance(feature, Number):
        data = _numbers(column, feature.column)
        data = data[np.isfinite(data)]
        mean, spread = (float(data.mean()), float(data.std())) if len(data) else (0.0, 1.0)
        return _Learned(feature, mean=mean, spread=spread if spread > 0 else 1.0)
    tokens = _tokens(feature, column).explode().drop_nulls()
    counts = Counter(tokens.to_list())
    least = feature.min_count if isinstance(feature, Text) else 1
    return _Learned(
        feature, tuple(sorted(token for token, count in counts.items() if count >= least))
    )


def _numbers(column: pl.Series, name: str) -> NDArray[np.float64]:
    numbers = column.cast(pl.Float64, strict=False)
    if numbers.null_count() == len(column) > 0 and column.null_count() < len(column):
        msg = f"feature {name!r} is declared a number but holds {column.dtype}, for example {column.drop_nulls()[0]!r}; use Category"
        raise DataError(msg)
    return numbers.fill_null(float("nan")).to_numpy()


def _tokens(feature: ColumnFeature, column: pl.Series) -> pl.Series:
    if isinstance(column.dtype, pl.List):
        return (
            column.cast(pl.List(pl.String))
            .list.eval(pl.element().str.strip_chars())
            .list.unique(maintain_order=True)
        )
    text = column.cast(pl.String)
    if isinstance(feature, Text):
        return (
            text.fill_null("")
            .str.to_lowercase()
            .str.extract_all(r"[\p{L}\p{N}']+")
            .list.unique(maintain_order=True)
        )
    return text.to_frame().select(pl.concat_list(pl.all()))[column.name]
