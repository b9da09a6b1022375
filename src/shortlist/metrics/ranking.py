"""Metrics of ranked lists over the full catalogue: what was answered, what was chosen, in; a value per user out.

Every metric takes ``hits`` (n, width), which says of each place whether it holds an item that the
user went on to choose, and ``n_relevant`` (n,), how many items that were. One list of the largest
k gives all the smaller ones. Nothing is sampled: an item is only a hit if it beat the whole catalogue.

A user without a relevant item has no value: NaN, left out of means and counted by the caller.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from shortlist.errors import ConfigError, ShapeError

CELLS_AT_ONCE = 1 << 20  # places of lists worked on together: 8 MB for each float64 array
Metric: TypeAlias = Callable[[NDArray[np.bool_], NDArray[np.int64], int], NDArray[np.float64]]


@dataclass(frozen=True, eq=False, repr=False)
class Relevant:
    """What each user really chose.

    Attributes:
        rows: flat item rows, one per test row, so an item may stand twice. A row of -1 is an item
            that has no row: it counts, can never be hit, and is a different item each time. Rows
            beyond the catalogue do the same for unknown items that can be told apart.
        offsets: (n + 1,) int64; user i chose ``rows[offsets[i]:offsets[i + 1]]``.
    """

    rows: NDArray[np.integer]
    offsets: NDArray[np.int64]

    def __post_init__(self) -> None:
        ends = self.offsets
        if (
            not len(ends)
            or ends[0] != 0
            or ends[-1] != len(self.rows)
            or (np.diff(ends) < 0).any()
        ):
            msg = f"offsets must rise from 0 to the {len(self.rows)} relevant rows, one more of them than users"
            raise ShapeError(msg)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        return f"Relevant({len(self):,} users, {len(self.rows):,} rows)"

    @classmethod
    def of_pairs(
        cls, users: NDArray[np.integer], rows: NDArray[np.integer], n: int
    ) -> "Relevant":
        """Group pairs by user.

        Args:
            users: (m,) numbers of the users, 0 to n - 1, in any order.
            rows: (m,) item row that goes with each.
            n: how many users there are; some may have no pair.

        Returns:
            A Relevant over n users.

        Raises:
            ShapeError: ``users`` and ``rows`` differ in length.
        """
        if len(users) != len(rows):
            msg = f"{len(users)} users for {len(rows)} rows; every pair needs both"
            raise ShapeError(msg)
        order = np.argsort(users, kind="stable")
        counts = np.bincount(users, minlength=n)
        return cls(rows[order], np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))

    @cached_property
    def n_rows(self) -> NDArray[np.int64]:
        """(n,) test rows per user, repeats counted."""
        return np.diff(self.offsets)

    @cached_property
    def n_items(self) -> NDArray[np.int64]:
        """(n,) distinct items per user."""
        return np.bincount(self._keys // max(self._width, 1), minlength=len(self)).astype(
            np.int64
        )

    def count(self, users: NDArray[np.integer], rows: NDArray[np.integer]) -> NDArray[np.int64]:
        """How many of a user's relevant rows name an item.

        Args:
            users: numbers of users, any shape.
            rows: item rows, the same shape (or one that broadcasts); -1 names nothing.

        Returns:
            int64 of the joint shape: 0 where the item is not relevant, above 1 for repeats.
        """
        users, rows = np.broadcast_arrays(users, rows)
        if not len(self._keys):
            return np.zeros(rows.shape, np.int64)
        wanted = users.astype(np.int64) * self._width + rows
        at = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        found = (self._keys[at] == wanted) & (rows >= 0) & (rows < self._top)
        return np.where(found, self._repeats[at], 0)

    @cached_property
    def _top(self) -> int:
        return int(self.rows.max(initial=-1)) + 1

    @cached_property
    def _width(self) -> int:
        return self._top + len(self.rows)

    @cached_property
    def _distinct(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        place = np.arange(len(self.rows), dtype=np.int64)
        item = np.where(self.rows < 0, self._top + place, self.rows)  # each -1 is its own item
        user = np.repeat(np.arange(len(self), dtype=np.int64), self.n_rows)
        return np.unique(user * self._width + item, return_counts=True)

    @property
    def _keys(self) -> NDArray[np.int64]:
        return self._distinct[0]

    @property
    def _repeats(self) -> NDArray[np.int64]:
        return self._distinct[1]


def row_hits(answered: NDArray[np.integer], relevant: Relevant) -> NDArray[np.int32]:
    """How many test rows each answered place satisfies.

    Args:
        answered: (n, width) item rows, best first; -1 where nothing was answered.
        relevant: what the n users chose.

    Returns:
        (n, width) int32: 0 for a miss, 1 for a hit, more where the item was chosen repeatedly.

    Raises:
        ShapeError: ``answered`` is not (n, width) for the n users of ``relevant``.
    """
    if answered.ndim != 2 or len(answered) != len(relevant):
        msg = (
            f"answered must be ({len(relevant)}, width), a list per user; got {answered.shape}. "
            "Were the lists asked for the same users?"
        )
        raise ShapeError(msg)
    found = np.zeros(answered.shape, np.int32)
    for part in blocks(*answered.shape):
        users = np.arange(part.start, part.stop)[:, None]
        found[part] = relevant.count(users, answered[part])  # (block, width)
    return found


def hits(answered: NDArray[np.integer], relevant: Relevant) -> NDArray[np.bool_]:
    """Which answered places hold an item that the user went on to choose.

    Args:
        answered: (n, width) item rows, best first; -1 where nothing was answered.
        relevant: what the n users chose.

    Returns:
        (n, width) bool.
    """
    return row_hits(answered, relevant) > 0


def hit_rate(
    hits: NDArray[np.bool_], n_relevant: NDArray[np.int64], k: int
) -> NDArray[np.float64]:
    """1 for a user with at least one hit among the first k, else 0.

    Args:
        hits: (n, width) bool.
        n_relevant: (n,) relevant items per user.
        k: how many places count.

    Returns:
        (n,) values; NaN without a relevant item.
    """
    return _valued(np.where(hits[:, :k].any(axis=1), 1.0, 0.0), n_relevant)


def recall(
    hits: NDArray[np.bool_], n_relevant: NDArray[np.int64], k: int
) -> NDArray[np.float64]:
    """Share of the relevant items that stand among the first k.

    Args:
        hits: (n, width) bool.
        n_relevant: (n,) relevant items per user.
        k: how many places count.

    Returns:
        (n,) values in 0..1; NaN without a relevant item.
    """
    return _valued(hits[:, :k].sum(axis=1) / np.maximum(n_relevant, 1), n_relevant)


def precision(
    hits: NDArray[np.bool_], n_relevant: NDArray[np.int64], k: int
) -> NDArray[np.float64]:
    """Share of the k places that hold a relevant item; an empty place is a miss.

    Args:
        hits: (n, width) bool.
        n_relevant: (n,) relevant items per user.
        k: how many places count.

    Returns:
        (n,) values in 0..1; NaN without a relevant item.
    """
    return _valued(hits[:, :k].sum(axis=1) / k, n_relevant)


def ndcg(hits: NDArray[np.bool_], n_relevant: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Normalised discounted cumulative gain: a hit at place i (from 1) is worth 1 / log2(i + 1).

    Gains are binary; the ideal list begins with min(k, relevant) hits
    (Järvelin and Kekäläinen, TOIS 2002).

    Args:
        hits: (n, width) bool.
        n_relevant: (n,) relevant items per user.
        k: how many places count.

    Returns:
        (n,) values in 0..1; NaN without a relevant item.
    """
    worth = 1.0 / np.log2(np.arange(2, k + 2))  # (k,)
    gained = hits[:, :k] @ worth[: hits.shape[1]]  # (n,)
    best = np.cumsum(worth)[np.clip(n_relevant, 1, k) - 1]  # (n,)
    share = np.clip(gained / best, 0.0, 1.0)  # rounding may pass 1 by an ulp
    return _valued(share, n_relevant)


def mrr(hits: NDArray[np.bool_], n_relevant: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Reciprocal of the place of the first hit, 0 without a hit; its mean is the MRR.

    Args:
        hits: (n, width) bool.
        n_relevant: (n,) relevant items per user.
        k: how many places count.

    Returns:
        (n,) values in 0..1; NaN without a relevant item.
    """
    first = hits[:, :k]
    if not first.shape[1]:
        return _valued(np.zeros(len(hits)), n_relevant)
    return _valued(
        np.where(first.any(axis=1), 1.0 / (first.argmax(axis=1) + 1), 0.0), n_relevant
    )


def average_precision(
    hits: NDArray[np.bool_], n_relevant: NDArray[np.int64], k: int
) -> NDArray[np.float64]:
    """Precision at each hit, summed and divided by min(k, relevant); its mean is the MAP.

    Args:
        hits: (n, width) bool.
        n_relevant: (n,) relevant items per user.
        k: how many places count.

    Returns:
        (n,) values in 0..1; NaN without a relevant item.
    """
    first = hits[:, :k]
    at_place = np.cumsum(first, axis=1) / np.arange(1, first.shape[1] + 1)  # (n, k) precision
    return _valued((at_place * first).sum(axis=1) / np.clip(n_relevant, 1, k), n_relevant)


def row_accuracy(
    row_hits: NDArray[np.int32], n_rows: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Top-k categorical accuracy in its parts: the share of test rows whose item is in the top k.

    The mean is taken over rows, not users: sum of the first part over sum of the second.

    Args:
        row_hits: (n, width) int32, from ``row_hits``.
        n_rows: (n,) test rows per user.
        k: how many places count.

    Returns:
        (n,) test rows hit, and (n,) test rows.
    """
    return row_hits[:, :k].sum(axis=1, dtype=np.int64), n_rows


METRICS: Mapping[str, Metric] = {
    "hit_rate": hit_rate,
    "recall": recall,
    "precision": precision,
    "ndcg": ndcg,
    "mrr": mrr,
    "map": average_precision,
}


def values_per_user(
    hits: NDArray[np.bool_], n_relevant: NDArray[np.int64], k: Sequence[int]
) -> dict[str, NDArray[np.float64]]:
    """All the metrics above at several k, from one list per user.

    Args:
        hits: (n, width) bool; width at least the largest k, or lists that ended early.
        n_relevant: (n,) relevant items per user.
        k: the numbers of places to judge.

    Returns:
        ``"ndcg@10"`` and so on, each (n,); NaN for a user without a relevant item.

    Raises:
        ConfigError: a k is below 1.
    """
    if min(k, default=1) < 1:
        msg = f"k must be at least 1; got {list(k)}"
        raise ConfigError(msg)
    values = {f"{name}@{at}": np.empty(len(hits)) for at in k for name in METRICS}
    for part in blocks(*hits.shape):
        for at in k:
            for name, metric in METRICS.items():
                values[f"{name}@{at}"][part] = metric(hits[part], n_relevant[part], at)
    return values


def blocks(n: int, width: int) -> list[slice]:
    """Cut n lists into blocks that fit in memory together.

    Args:
        n: lists.
        width: places in each.

    Returns:
        Slices over the n lists, in order.
    """
    step = max(1, CELLS_AT_ONCE // max(width, 1))
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


def _valued(values: NDArray[np.float64], n_relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.where(n_relevant > 0, values, np.nan)
