"""The first currency: a table of who did what with which item, and when."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.catalogue import Catalogue
from shortlist.data.expression import Expression
from shortlist.data.faults import find_faults
from shortlist.data.ragged import binary_matrix
from shortlist.data.vocabulary import Vocabulary, id_series
from shortlist.errors import DataError, NotReadyError, closest

_NUMBERS = {"rating": pl.Float32, "weight": pl.Float32, "timestamp": pl.Int64}


def _to_be_built() -> Catalogue:
    return Catalogue(pl.DataFrame({"item_id": []}, schema={"item_id": pl.String}))


@dataclass(frozen=True, eq=False, repr=False)
class Interactions:
    """Rows of user, item and, where there, rating, timestamp, weight, event and context.

    The rows keep the order of the file: it breaks ties in time.

    Attributes:
        table: polars table; ``user_id`` and ``item_id`` (text or integers), ``rating`` and
            ``weight`` (float32), ``timestamp`` (int64; seconds since 1970, or any rising number).
        catalogue: what is known of the items; built from the ids of the rows where none is given.
        users: what is known of the users, one row per ``user_id``, or None.
        positive: an expression such as ``"rating >= 4"`` that says which rows count as liked;
            None: all of them. The others still count as seen.
    """

    table: pl.DataFrame
    catalogue: Catalogue = field(default_factory=_to_be_built)
    users: pl.DataFrame | None = None
    positive: str | None = None

    def __post_init__(self) -> None:
        for name in ("user_id", "item_id"):
            if name not in self.table.columns:
                msg = f"interactions need a column {name!r}; got {self.table.columns}.{closest(name, self.table.columns)}"
                raise DataError(msg)
        for name in _NUMBERS.keys() & set(self.table.columns):
            held = self.table.schema[name]
            if not held.is_numeric() and not isinstance(held, pl.Boolean | pl.Null):
                msg = f"column {name!r} holds {held}; it must hold numbers. Convert it, or let read() do so"
                raise DataError(msg)
        for fault in find_faults(self.table):
            raise DataError(str(fault))
        ids = [id_series(self.table[name], name=name) for name in ("user_id", "item_id")]
        numbers = [
            self.table[name].cast(kind)
            for name, kind in _NUMBERS.items()
            if name in self.table.columns
        ]
        object.__setattr__(self, "table", self.table.with_columns(*ids, *numbers))
        if len(self.catalogue) == 0:
            object.__setattr__(
                self,
                "catalogue",
                Catalogue.of_ids(self.table["item_id"].unique(maintain_order=True)),
            )
        if self.users is not None:
            object.__setattr__(self, "users", _checked_users(self.users))
        _ = (
            self.liked
        )  # an expression that cannot be read must fail here, not in the middle of a fit

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        return (
            f"Interactions({len(self):,} rows, {self.table['user_id'].n_unique():,} users, "
            f"{self.table['item_id'].n_unique():,} items: {', '.join(self.table.columns)})"
        )

    def subset(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> "Interactions":
        """Some of the rows, in their order, with the same catalogue, users and idea of liked.

        Args:
            rows: row numbers in rising order, or a mask.

        Returns:
            New Interactions; their vocabularies hold only what they contain.
        """
        mask = rows if rows.dtype == np.bool_ else np.isin(np.arange(len(self)), rows)
        return replace(self, table=self.table.filter(pl.Series(mask)))

    def having(self, *columns: str) -> "Interactions":
        """Insist on columns.

        Args:
            *columns: names that must be there.

        Returns:
            Itself.

        Raises:
            NotReadyError: a column is missing.
        """
        for name in columns:
            if name not in self.table.columns:
                msg = f"this needs a column {name!r}; the table has {self.table.columns}. Name it when reading, or choose another method"
                raise NotReadyError(msg)
        return self

    @cached_property
    def liked(self) -> NDArray[np.bool_]:
        """(rows,) which rows count as liked."""
        if self.positive is None:
            return np.ones(len(self), bool)
        return Expression(self.positive).mask(self.table)

    @cached_property
    def user_vocabulary(self) -> Vocabulary:
        """The users of these rows, in order of appearance."""
        return Vocabulary(self.table["user_id"].unique(maintain_order=True), name="user_id")

    @cached_property
    def item_vocabulary(self) -> Vocabulary:
        """The catalogue's items, then those that only the rows have."""
        ours, listed = (
            self.table["item_id"].unique(maintain_order=True),
            self.catalogue.table["item_id"],
        )
        if ours.dtype == listed.dtype == pl.Int64:
            extra = ours.filter(~ours.is_in(listed.implode()))
            return Vocabulary(pl.concat([listed, extra]), name="item_id")
        known = listed.cast(pl.String)
        extra = ours.filter(~ours.cast(pl.String).is_in(known.implode()))
        ids = pl.concat([known, extra.cast(pl.String)])
        if (
            ours.dtype == pl.Int64
        ):  # the rows say how ids look, where the catalogue's can follow
            numbers = ids.cast(pl.Int64, strict=False)
            ids = (
                numbers
                if not numbers.null_count() and bool((numbers.cast(pl.String) == ids).all())
                else ids
            )
        return Vocabulary(ids, name="item_id")

    @cached_property
    def user_rows(self) -> NDArray[np.int32]:
        """(rows,) int32 row of each row's user."""
        return self.user_vocabulary.rows(self.table["user_id"])

    @cached_property
    def item_rows(self) -> NDArray[np.int32]:
        """(rows,) int32 row of each row's item."""
        return self.item_vocabulary.rows(self.table["item_id"])

    @cached_property
    def ratings(self) -> NDArray[np.float32] | None:
        """(rows,) ratings, or None."""
        return self.table["rating"].to_numpy() if "rating" in self.table.columns else None

    @cached_property
    def timestamps(self) -> NDArray[np.int64] | None:
        """(rows,) times, or None."""
        return self.table["timestamp"].to_numpy() if "timestamp" in self.table.columns else None

    @cached_property
    def weights(self) -> NDArray[np.float32] | None:
        """(rows,) sample weights, or None."""
        return self.table["weight"].to_numpy() if "weight" in self.table.columns else None

    def liked_matrix(self) -> sp.csr_array:
        """Who liked what.

        Returns:
            (n_users, n_items) float32 CSR, sorted columns, each entry 1.
        """
        shape = (len(self.user_vocabulary), len(self.item_vocabulary))
        return binary_matrix(self.user_rows[self.liked], self.item_rows[self.liked], shape)

    @cached_property
    def time_order(self) -> NDArray[np.int64]:
        """(rows,) row numbers by user, then time; ties keep the order of the file."""
        times = (
            self.timestamps if self.timestamps is not None else np.zeros(len(self), np.int64)
        )
        return np.lexsort((times, self.user_rows))


def check_table(given: object, name: str) -> None:
    """Insist on Interactions where a bare table would be a mistake.

    Args:
        given: what was passed.
        name: of the argument.

    Raises:
        DataError: it is something else.
    """
    if not isinstance(given, Interactions):
        kind = f"{type(given).__module__.split('.')[0]}.{type(given).__name__}"
        msg = f"{name} must be Interactions; got {kind}. Tables and files become Interactions by shortlist.read(...)"
        raise DataError(msg)


def _checked_users(users: pl.DataFrame) -> pl.DataFrame:
    if "user_id" not in users.columns:
        msg = f"the users' table needs a column 'user_id'; got {users.columns}.{closest('user_id', users.columns)}"
        raise DataError(msg)
    ids = id_series(users["user_id"], name="user_id")
    if ids.n_unique() != len(ids):
        msg = f"the users' table has user_id {ids.filter(ids.is_duplicated())[0]!r} more than once; keep one row per user"
        raise DataError(msg)
    return users.with_columns(ids)
