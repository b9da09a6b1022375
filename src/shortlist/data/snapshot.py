"""What was known when a model was fitted: the ids, the items, the users and everyone's history.

It is the door between the outside (ids) and the inside (rows): it makes the Queries.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.catalogue import Catalogue
from shortlist.data.interactions import Interactions
from shortlist.data.queries import Queries
from shortlist.data.ragged import take_lines
from shortlist.data.vocabulary import IdColumn, UserOrItemId, Vocabulary, align, id_series
from shortlist.errors import ConfigError, DataError, closest

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, repr=False)
class Histories:
    """Every known user's rows, by user, then time, oldest first.

    Attributes:
        item_rows: flat int32.
        offsets: (n_users + 1,) int64.
        liked: flat bool.
        timestamps: flat int64, or None.
        ratings: flat float32, or None.
        weights: flat float32, or None.
    """

    item_rows: NDArray[np.int32]
    offsets: NDArray[np.int64]
    liked: NDArray[np.bool_]
    timestamps: NDArray[np.int64] | None
    ratings: NDArray[np.float32] | None
    weights: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, train: Interactions) -> "Histories":
        """Sort the rows by user and time.

        Args:
            train: what the model may know.

        Returns:
            Histories over the train users.
        """
        order = train.time_order
        counts = np.bincount(train.user_rows, minlength=len(train.user_vocabulary))
        return cls(
            train.item_rows[order],
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            train.liked[order],
            None if train.timestamps is None else train.timestamps[order],
            None if train.ratings is None else train.ratings[order],
            None if train.weights is None else train.weights[order],
        )

    def of_users(self, rows: NDArray[np.int32]) -> "Histories":
        """The rows of some users.

        Args:
            rows: user rows.

        Returns:
            Histories over these users, in their order.
        """
        at, offsets = take_lines(self.offsets, rows)
        return Histories(
            self.item_rows[at],
            offsets,
            self.liked[at],
            None if self.timestamps is None else self.timestamps[at],
            None if self.ratings is None else self.ratings[at],
            None if self.weights is None else self.weights[at],
        )


@dataclass(frozen=True, eq=False, repr=False)
class Snapshot:
    """Vocabularies, catalogue, users' table and histories.

    Attributes:
        user_vocabulary: user ids of train.
        item_vocabulary: item ids of catalogue and train.
        catalogue: aligned with ``item_vocabulary``, one row per item.
        histories: everyone's rows in train.
        users: the users' table, or None.
        positive: which rows counted as liked, or None for all.
    """

    user_vocabulary: Vocabulary
    item_vocabulary: Vocabulary
    catalogue: Catalogue
    histories: Histories
    users: pl.DataFrame | None = None
    positive: str | None = None

    def __repr__(self) -> str:
        return f"Snapshot({self.n_users:,} users, {self.n_items:,} items, {len(self.histories.item_rows):,} rows)"

    @classmethod
    def of(cls, train: Interactions) -> "Snapshot":
        """Remember what train says.

        Args:
            train: the rows a model is fitted on.

        Returns:
            A Snapshot.
        """
        return cls(
            train.user_vocabulary,
            train.item_vocabulary,
            train.catalogue.aligned(train.item_vocabulary.ids),
            Histories.of(train),
            train.users,
            train.positive,
        )

    @property
    def n_users(self) -> int:
        """Known users."""
        return len(self.user_vocabulary)

    @property
    def n_items(self) -> int:
        """Known items."""
        return len(self.item_vocabulary)

    @cached_property
    def item_counts(self) -> NDArray[np.int64]:
        """(n_items,) train rows per item."""
        return np.bincount(self.histories.item_rows, minlength=self.n_items)

    @cached_property
    def last_time(self) -> int | None:
        """The latest time in train, or None."""
        times = self.histories.timestamps
        return None if times is None or not len(times) else int(times.max())

    @cached_property
    def _users_by_row(self) -> pl.DataFrame:
        # the users' columns in row order, then a line of nulls: a join at each request would cost
        users = self.users if self.users is not None else pl.DataFrame({"user_id": []})
        known = align(users, "user_id", self.user_vocabulary.ids)
        return known.vstack(known.clear(1))

    def interactions(self) -> Interactions:
        """The rows of train again, by user and time.

        Returns:
            Interactions with the same rows, catalogue, users and idea of liked.
        """
        held = self.histories
        users = np.repeat(np.arange(self.n_users), np.diff(held.offsets))
        columns = {
            "user_id": self.user_vocabulary.decode(users),
            "item_id": self.item_vocabulary.decode(held.item_rows),
        }
        if held.ratings is not None:
            columns["rating"] = pl.Series(held.ratings)
        if held.timestamps is not None:
            columns["timestamp"] = pl.Series(held.timestamps)
        if held.weights is not None:
            columns["weight"] = pl.Series(held.weights)
        positive = self.positive
        if (
            positive is not None
        ):  # the expression may name a column that is not kept: its answer is
            columns["liked"] = pl.Series(held.liked)
            positive = "liked == true"
        return Interactions(pl.DataFrame(columns), self.catalogue, self.users, positive)

    def queries(self, users: IdColumn) -> Queries:
        """Questions of users by id, with the histories that train has of them.

        Args:
            users: (n,) ids; whoever is unknown comes without a history.

        Returns:
            n Queries.
        """
        ids = id_series(users, name="user_id")
        rows = self.user_vocabulary.rows(ids)
        if self.users is None or (rows >= 0).all():
            return self.queries_of_rows(rows)
        return self.queries_of_rows(
            rows, align(self.users, "user_id", ids)
        )  # it may know strangers

    def queries_of_rows(
        self, rows: NDArray[np.int32], users: pl.DataFrame | None = None
    ) -> Queries:
        """Questions of users by row.

        Args:
            rows: (n,) int32; -1 for someone unknown.
            users: (n rows) the users' own columns, or None to look them up.

        Returns:
            n Queries.
        """
        held = self.histories
        at, offsets = take_lines(held.offsets, rows)
        ages = None
        if held.timestamps is not None and self.last_time is not None:
            ages = (self.last_time - held.timestamps[at]).astype(np.float64)
        if users is None and self.users is not None:
            users = self._users_by_row[np.where(rows < 0, self.n_users, rows)]
        return Queries(
            rows,
            held.item_rows[at],
            offsets,
            held.liked[at],
            ages,
            None if held.ratings is None else held.ratings[at],
            users,
        )

    def guest(
        self,
        history: Iterable[UserOrItemId] = (),
        *,
        about: Mapping[str, object] | None = None,
    ) -> Queries:
        """The question of someone new, who brings liked items, or columns of their own, or both.

        Args:
            history: item ids, or titles that only one item has, oldest first. Those that are not
                known are left out with a logged warning.
            about: columns of the users' table -> the guest's values; the others are unknown.

        Returns:
            Queries of length 1.

        Raises:
            ConfigError: ``about`` names a column that the users' table lacks.
        """
        given = list(history)
        found = [self.find_item(item) for item in given]
        unknown = [item for item, row in zip(given, found, strict=True) if row < 0]
        if unknown:
            _log.warning(
                "history: %d of %d items are unknown and left out: %r",
                len(unknown),
                len(given),
                unknown[:5],
            )
        rows = np.array([row for row in found if row >= 0], np.int32)
        offsets = np.array([0, len(rows)], np.int64)
        return Queries(
            np.array([-1], np.int32),
            rows,
            offsets,
            np.ones(len(rows), bool),
            users=self._stated(about or {}),
        )

    def guests(self, users: IdColumn, histories: Interactions) -> Queries:
        """The questions of strangers who each bring a history, as :meth:`guest` asks for one.

        Args:
            users: (n,) ids; whoever has no row in ``histories`` brings nothing.
            histories: rows of these users; the liked ones are what a guest would name, oldest first.
                Items that are not known are left out with a logged warning.

        Returns:
            n Queries, with the users' own columns where the users' table has them.

        Raises:
            DataError: someone is no stranger.
        """
        ids = id_series(users, name="user_id")
        met = self.user_vocabulary.rows(ids) >= 0
        if met.any():
            msg = (
                f"histories are for users whom train never saw; {ids[int(met.argmax())]!r} is known. "
                "Split with new_users, or ask without histories"
            )
            raise DataError(msg)
        liked = histories.subset(histories.liked)
        rows = self.item_vocabulary.rows(liked.table["item_id"])[liked.time_order]
        owner = liked.user_rows[liked.time_order][rows >= 0]
        if (rows < 0).any():
            _log.warning(
                "histories: %d of %d rows name unknown items and are left out",
                int((rows < 0).sum()),
                len(rows),
            )
        counts = np.bincount(owner, minlength=len(liked.user_vocabulary))
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        at, taken = take_lines(offsets, liked.user_vocabulary.rows(ids))
        about = None if self.users is None else align(self.users, "user_id", ids)
        nobody = np.full(len(ids), -1, np.int32)
        return Queries(nobody, rows[rows >= 0][at], taken, np.ones(len(at), bool), users=about)

    def _stated(self, about: Mapping[str, object]) -> pl.DataFrame | None:
        columns = (
            [] if self.users is None else [c for c in self.users.columns if c != "user_id"]
        )
        for name in about:
            if name not in columns:
                msg = f"about names column {name!r}, which the users' table lacks; it has {columns}.{closest(name, columns)}"
                raise ConfigError(msg)
        if not columns:
            return None
        return pl.DataFrame({name: [about.get(name)] for name in columns}, strict=False)

    def find_item(self, item: UserOrItemId) -> int:
        """Find an item by id, or by a title that only one item has.

        Args:
            item: an id or a title.

        Returns:
            Its row; -1 where nothing has that id or title.
        """
        row = self.item_vocabulary.row(item)
        return row if row >= 0 else self.catalogue.row_of_title(str(item))

    def item_row(self, item: UserOrItemId) -> int:
        """Find an item that must be there.

        Args:
            item: an id, or a title that only one item has.

        Returns:
            Its row.

        Raises:
            DataError: nothing has that id or title, or several items have that title.
        """
        row = self.find_item(item)
        if row < 0:
            hint = closest(str(item), self.catalogue.titles.to_list())
            msg = f"no item has the id or the title {item!r}.{hint}"
            raise DataError(msg)
        return row
