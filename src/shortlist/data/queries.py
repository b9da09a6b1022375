"""Who is asking: a known user, a guest with three films and an empty query are the same type."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.ragged import binary_matrix, lines_of
from shortlist.errors import ShapeError

LIGHTEST = 1e-4  # what weighs less, of a history that is forgotten step by step, is left out


@dataclass(frozen=True, eq=False, repr=False)
class Queries:
    """A batch of askers.

    Attributes:
        user_rows: (n,) int32; -1 for someone the model never saw.
        history_rows: flat int32 item rows, each asker's in time order, oldest first.
        offsets: (n + 1,) int64; asker i's history is ``history_rows[offsets[i]:offsets[i + 1]]``.
        history_liked: flat bool, whether that row counts as liked.
        history_ages: flat float64 seconds before the time of asking; None without times.
        history_ratings: flat float32; None without ratings.
        users: table of the askers' own columns, n rows; None where there is none.
        context: table of columns known at the time of asking, n rows; None where there is none.
    """

    user_rows: NDArray[np.int32]
    history_rows: NDArray[np.int32]
    offsets: NDArray[np.int64]
    history_liked: NDArray[np.bool_]
    history_ages: NDArray[np.float64] | None = None
    history_ratings: NDArray[np.float32] | None = None
    users: pl.DataFrame | None = None
    context: pl.DataFrame | None = None

    def __post_init__(self) -> None:
        n, total = len(self.user_rows), len(self.history_rows)
        if len(self.offsets) != n + 1 or self.offsets[0] != 0 or self.offsets[-1] != total:
            msg = f"offsets must be ({n + 1},) from 0 to {total}"
            raise ShapeError(msg)
        for name in ("history_liked", "history_ages", "history_ratings"):
            values = getattr(self, name)
            if values is not None and len(values) != total:
                msg = f"{name} has {len(values)} entries for {total} history rows"
                raise ShapeError(msg)
        for name in ("users", "context"):
            table = getattr(self, name)
            if table is not None and len(table) != n:
                msg = f"{name} has {len(table)} rows for {n} queries"
                raise ShapeError(msg)

    def __len__(self) -> int:
        return len(self.user_rows)

    def __repr__(self) -> str:
        known = int((self.user_rows >= 0).sum())
        return f"Queries({len(self):,}: {known:,} known users, {len(self.history_rows):,} history rows)"

    def having(self, columns: Sequence[str]) -> NDArray[np.bool_]:
        """Who brings a value in any of some columns of their own.

        Args:
            columns: of the users' table.

        Returns:
            (n,) bool.
        """
        there = [] if self.users is None else [c for c in columns if c in self.users.columns]
        if self.users is None or not there:
            return np.zeros(len(self), bool)
        given = self.users.select(pl.any_horizontal(pl.col(there).is_not_null()).alias("given"))
        return given["given"].to_numpy().astype(bool)

    @cached_property
    def liked_counts(self) -> NDArray[np.int64]:
        """(n,) number of liked history rows."""
        liked = np.concatenate([[0], np.cumsum(self.history_liked)])
        return np.asarray(liked[self.offsets[1:]] - liked[self.offsets[:-1]], np.int64)

    @cached_property
    def askers(self) -> NDArray[np.int64]:
        """(len(history_rows),) whose entry each is, 0..n-1."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @cached_property
    def counted(self) -> NDArray[np.bool_]:
        """(len(history_rows),) liked, and the asker's latest liked entry of its item."""
        at = np.flatnonzero(self.history_liked)[::-1]  # latest first
        n_items = int(self.history_rows.max(initial=0)) + 1
        _, first = np.unique(
            self.askers[at] * n_items + self.history_rows[at], return_index=True
        )
        latest = np.zeros(len(self.history_rows), bool)
        latest[at[first]] = True
        return latest

    def liked_matrix(self, n_items: int, *, last: int | None = None) -> sp.csr_array:
        """The liked histories as a binary matrix.

        Args:
            n_items: number of columns.
            last: count only this many of each asker's latest liked rows; None for all.

        Returns:
            (n, n_items) float32 CSR, sorted columns, each entry 1.
        """
        query = self.askers[self.history_liked]
        rows = self.history_rows[self.history_liked]
        if last is not None:
            ends = np.cumsum(self.liked_counts)[query]  # one past the asker's last liked row
            recent = np.arange(len(rows)) >= ends - last
            query, rows = query[recent], rows[recent]
        return binary_matrix(query, rows, (len(self), n_items))

    def recency(self, decay: float) -> NDArray[np.float32]:
        """How much each entry weighs: ``exp(-decay * steps)``, steps back from the latest that counts.

        Args:
            decay: 0 for entries that weigh the same, whatever their order.

        Returns:
            (len(history_rows),) float32; 0 for entries that do not count, or weigh less than ``LIGHTEST``.
        """
        if decay == 0:
            return self.counted.astype(np.float32)
        counts = np.bincount(self.askers[self.counted], minlength=len(self))
        at = np.flatnonzero(self.counted)
        steps = np.cumsum(counts)[self.askers[at]] - 1 - np.arange(len(at))
        weights = np.exp(-decay * steps)
        entries = np.zeros(len(self.history_rows), np.float32)
        entries[at] = np.where(weights < LIGHTEST, 0.0, weights)
        return entries

    def recent_matrix(self, n_items: int, decay: float) -> sp.csr_array:
        """The liked histories, each item by its :meth:`recency`.

        Args:
            n_items: number of columns.
            decay: per step back in the history; 0 gives :meth:`liked_matrix`.

        Returns:
            (n, n_items) float32 CSR, sorted columns.
        """
        weights = self.recency(decay)
        at = np.flatnonzero(weights)
        offsets = np.searchsorted(at, self.offsets).astype(np.int32)
        matrix = lines_of(weights[at], self.history_rows[at], offsets, (len(self), n_items))
        matrix.sort_indices()
        return matrix

    def signed_matrix(self, n_items: int, *, others: float) -> sp.csr_array:
        """The histories as a matrix of likes and dislikes.

        Args:
            n_items: number of columns.
            others: the entry of what was seen and not liked, 0 or below.

        Returns:
            (n, n_items) float32 CSR, sorted columns: 1 where the latest row of the item is liked,
            ``others`` where it is not.
        """
        query = self.askers
        cell = query * np.int64(n_items) + self.history_rows
        _, last = np.unique(cell[::-1], return_index=True)  # an item's latest row decides
        at = np.sort(len(cell) - 1 - last)
        data = np.where(self.history_liked[at], 1.0, others).astype(np.float32)
        matrix = sp.csr_array(
            (data, (query[at], self.history_rows[at])), shape=(len(self), n_items)
        )
        matrix.sort_indices()
        return matrix

    @classmethod
    def of_items(cls, rows: NDArray[np.int32]) -> "Queries":
        """One question per item: a guest who likes just that.

        Args:
            rows: (n,) int32 item rows.

        Returns:
            n Queries.
        """
        n = len(rows)
        nobody, offsets = np.full(n, -1, np.int32), np.arange(n + 1, dtype=np.int64)
        return cls(nobody, np.asarray(rows, np.int32), offsets, np.ones(n, bool))

    def slice(self, start: int, stop: int) -> "Queries":
        """The askers ``start`` to ``stop``.

        Args:
            start: first asker.
            stop: one past the last asker.

        Returns:
            Queries of ``stop - start`` askers.
        """
        first, last = self.offsets[start], self.offsets[stop]
        return replace(
            self,
            user_rows=self.user_rows[start:stop],
            history_rows=self.history_rows[first:last],
            offsets=self.offsets[start : stop + 1] - first,
            history_liked=self.history_liked[first:last],
            history_ages=None if self.history_ages is None else self.history_ages[first:last],
            history_ratings=None
            if self.history_ratings is None
            else self.history_ratings[first:last],
            users=None if self.users is None else self.users[start:stop],
            context=None if self.context is None else self.context[start:stop],
        )
