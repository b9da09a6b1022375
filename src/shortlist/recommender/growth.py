"""Users and items that came after the parts were fitted, in the terms of those that the parts know."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.interactions import Interactions
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.index.select import select_top_k
from shortlist.retrieval.content import Content, describing

_NEIGHBOURS = 10
_CELLS = 1 << 22  # likenesses at a time: 16 MB


@dataclass(frozen=True, eq=False)
class Growth:
    """What the fitted parts know, and what each newer item is like.

    Attributes:
        n_users: users of the last fit; later users have rows from here on.
        n_items: items of the last fit; later items have rows from here on.
        alike: (new items, n_items) CSR float32; a line sums to 1 over the known items that are most
            like the new one, or is empty where nothing known is like it.
    """

    n_users: int
    n_items: int
    alike: sp.csr_array

    @classmethod
    def of(cls, snapshot: Snapshot, n_users: int, n_items: int) -> "Growth":
        """Describe every item by its columns, and the new ones by their nearest known items.

        Args:
            snapshot: of all users and items.
            n_users: how many of the users the parts know.
            n_items: how many of the items the parts know.

        Returns:
            A Growth; new items are described by those known items that somebody took. Where the
            catalogue has no columns to describe any by, they are like none.
        """
        new = snapshot.n_items - n_items
        if not new:
            return cls(n_users, n_items, _like_nothing(0, n_items))
        taken = snapshot.item_counts[:n_items] > 0
        return cls(n_users, n_items, _nearest(snapshot.interactions(), n_items, taken))

    @cached_property
    def nearest(self) -> NDArray[np.int32]:
        """(n_items + new,) the known item that stands for each; -1 for a new one like none."""
        lines = self.alike
        found = np.full(lines.shape[0], -1, np.int32)
        for line in range(lines.shape[0]):
            some = slice(lines.indptr[line], lines.indptr[line + 1])
            if some.stop > some.start:
                found[line] = lines.indices[some][lines.data[some].argmax()]
        return np.concatenate([np.arange(self.n_items, dtype=np.int32), found])

    def kept(self, queries: Queries) -> NDArray[np.bool_]:
        """Which entries of the histories the parts can be told of.

        Args:
            queries: n askers.

        Returns:
            (len(queries.history_rows),) bool.
        """
        return np.asarray(self.nearest[queries.history_rows] >= 0)

    def known(self, queries: Queries) -> Queries:
        """The askers as the parts know them.

        Args:
            queries: n askers.

        Returns:
            n Queries: new users are strangers with a history, new items in histories are the known
            ones that they are most like, those like none are left out.
        """
        old_users = np.where(queries.user_rows < self.n_users, queries.user_rows, -1)
        rows, keep = self.nearest[queries.history_rows], self.kept(queries)
        counts = np.bincount(queries.askers[keep], minlength=len(queries))
        ages, ratings = queries.history_ages, queries.history_ratings
        return replace(
            queries,
            user_rows=old_users.astype(np.int32),
            history_rows=rows[keep],
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            history_liked=queries.history_liked[keep],
            history_ages=None if ages is None else ages[keep],
            history_ratings=None if ratings is None else ratings[keep],
        )

    def means(
        self, scores: NDArray[np.floating], rows: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """Scores of the new items from scores of the known ones they are like.

        Args:
            scores: (n, m) of the known items ``rows``.
            rows: (m,) known items, rising; all that :attr:`neighbours` names are among them.

        Returns:
            (n, new) float32 weighted means; the lowest finite number where nothing is alike.
        """
        lines = self.alike
        at = np.searchsorted(rows, lines.indices)
        places = sp.csr_array(
            (lines.data.astype(np.float64), at, lines.indptr), shape=(lines.shape[0], len(rows))
        )
        # line by line over the new items: an asker's numbers do not depend on the others
        means = (places @ scores.T.astype(np.float64)).T.astype(np.float32)
        means[:, np.diff(lines.indptr) == 0] = np.finfo(np.float32).min
        return np.ascontiguousarray(means)

    @property
    def like_none(self) -> NDArray[np.int64]:
        """Item rows of new items like which nothing is known."""
        return self.n_items + np.flatnonzero(np.diff(self.alike.indptr) == 0)

    @cached_property
    def neighbours(self) -> NDArray[np.int32]:
        """Known items that some new item is described by, rising."""
        return np.unique(self.alike.indices).astype(np.int32)


def _nearest(train: Interactions, n_items: int, taken: NDArray[np.bool_]) -> sp.csr_array:
    # (new, n_items): cosines of the nearest known items that somebody took, over their sum
    columns = describing(train.catalogue.table)
    if not columns:
        return _like_nothing(len(train.item_vocabulary) - n_items, n_items)
    items = Content(features=columns).fit(train).item_lines
    old, new = items[:n_items], items[n_items:]
    step = max(1, _CELLS // max(1, n_items))
    line, row, weight = [], [], []
    for start in range(0, new.shape[0], step):
        cosine = np.asarray((new[start : start + step] @ old.T).toarray(), np.float32)
        cosine[:, ~taken] = 0.0
        top = select_top_k(cosine, min(_NEIGHBOURS, n_items))
        there = top.scores > 0
        line.append(np.nonzero(there)[0] + start)
        row.append(top.rows[there])
        weight.append(top.scores[there])
    shape = (new.shape[0], n_items)
    alike = sp.csr_array(
        (np.concatenate(weight), (np.concatenate(line), np.concatenate(row))), shape=shape
    )
    alike.sort_indices()
    total = np.asarray(alike.sum(axis=1), np.float64).ravel()
    alike.data /= np.repeat(np.maximum(total, 1e-12), np.diff(alike.indptr)).astype(np.float32)
    return alike


def _like_nothing(new: int, n_items: int) -> sp.csr_array:
    nothing = np.empty(0, np.float32), (np.empty(0, np.int32), np.empty(0, np.int32))
    return sp.csr_array(nothing, shape=(new, n_items))
