"""One side of a model (users or items): its declared features, with what train taught them.

Every feature turns a row into a few weighted columns: an id or a category into one column, tags and
text tokens into one column each, a number into one column weighted by its z-score. A side is the
features beside one another: a sparse matrix, rows by columns, that one embedding table multiplies.
Training and answering both use that matrix.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.features import Declared, History
from shortlist.data.interactions import Interactions
from shortlist.data.learned import Learned, guess, learn
from shortlist.data.protocols import Json
from shortlist.data.ragged import beside
from shortlist.data.vocabulary import align
from shortlist.errors import ConfigError, DataError, closest


class Side:
    """The features of one side, learned.

    Args:
        has_id: whether the row itself is a feature, with its own embedding.
        n_rows: users or items of train; the id column ``n_rows`` stands for the unknown.
        learned: features with what they learned.
        history: how many history items the side reads; 0 for none. Their columns come last.
        n_items: width of the history part.
        ordered: whether a training row's history is what came before it, not what is beside it.
    """

    def __init__(
        self,
        *,
        has_id: bool,
        n_rows: int,
        learned: Sequence[Learned],
        history: int = 0,
        n_items: int = 0,
        ordered: bool = True,
    ) -> None:
        self.has_id = has_id
        self.n_rows = n_rows
        self.learned = tuple(learned)
        self.history = history
        self.n_items = n_items
        self.ordered = ordered

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
        history, ordered = 0, True
        learned = []
        for item in declared:
            if item == id_name:
                continue
            if isinstance(item, History):
                history, ordered = _check_history(item, n_items), item.ordered
                continue
            name = item if isinstance(item, str) else item.column
            known = [] if table is None else table.columns
            if table is None or name not in known:
                msg = f"feature {name!r}: no such column; there are {known}.{closest(name, known)} Give the table that has it, or leave the feature out"
                raise ConfigError(msg)
            feature = guess(name, table[name]) if isinstance(item, str) else item
            learned.append(learn(feature, table[name].filter(pl.Series(in_train))))
        return cls(
            has_id=id_name in declared,
            n_rows=n_rows,
            learned=learned,
            history=history,
            n_items=n_items,
            ordered=ordered,
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

    def without_rows(self, count: int) -> "Side":
        """The same features for fewer rows; their id columns are to be taken out of the tables.

        Args:
            count: how many rows go.

        Returns:
            A Side.
        """
        return Side.from_json(self.to_json() | {"n_rows": self.n_rows - count})

    def to_json(self) -> Json:
        """What was learned, as JSON values.

        Returns:
            A dictionary for :meth:`from_json`.
        """
        return {
            "has_id": self.has_id,
            "n_rows": self.n_rows,
            "learned": [part.to_json() for part in self.learned],
            "history": self.history,
            "n_items": self.n_items,
            "ordered": self.ordered,
        }

    @classmethod
    def from_json(cls, value: Json) -> "Side":
        """Rebuild from :meth:`to_json`.

        Args:
            value: the dictionary.

        Returns:
            The same Side.
        """
        fields = dict(value)
        learned = [Learned.from_json(part) for part in fields.pop("learned")]
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


def learn_context(
    train: Interactions, declared: Sequence[Declared]
) -> tuple[Side, sp.csr_array] | None:
    """Learn columns that are known at the time of asking, and encode them for the rows of train.

    Args:
        train: the rows; the liked ones teach.
        declared: columns of the interactions, or feature objects; none is fine.

    Returns:
        The side and (rows, columns) encoded lines; None where nothing is declared.
    """
    if not declared:
        return None
    table = train.table.drop("user_id", "item_id")
    side = Side.learn(declared, id_name="", n_rows=0, table=table, in_train=train.liked)
    return side, side.encode(np.full(len(train), -1, np.int32), table)


def _check_history(history: History, n_items: int) -> int:
    if n_items == 0:
        msg = "a History belongs to the users' side; it is the mean of a user's latest items"
        raise ConfigError(msg)
    if history.length < 1:
        msg = f"History.length must be at least 1; got {history.length}"
        raise ConfigError(msg)
    return history.length
