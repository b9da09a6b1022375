"""Candidate lists as list models read them, and lists where there is no retriever to make any."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from shortlist.data.interactions import Interactions
from shortlist.data.lists import Lists, askings
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import Candidates
from shortlist.ranking.pairs import PairFeatures

_ALONE = 100  # candidates where no retriever gives any


@dataclass(frozen=True, eq=False)
class Examples:
    """Lists as a model reads them: pairs one after the other, without the empty places.

    Attributes:
        x: (pairs, features) float32.
        liked: (pairs,) bool.
        sizes: (lists,) int64 pairs of each list, at least 1.
        ratings: (pairs,) float32, NaN where there is none; None without ratings.
    """

    x: NDArray[np.float32]
    liked: NDArray[np.bool_]
    sizes: NDArray[np.int64]
    ratings: NDArray[np.float32] | None

    @classmethod
    def of(cls, features: PairFeatures, lists: Lists) -> Self:
        """Flatten lists.

        Args:
            features: with the facts of the time of asking.
            lists: n askers' candidates.

        Returns:
            Examples of the lists that hold anything.
        """
        filled = lists.candidates.rows >= 0
        x = features.table(lists.queries, lists.candidates)[filled]
        sizes = filled.sum(axis=1).astype(np.int64)
        ratings = None if lists.ratings is None else lists.ratings[filled]
        return cls(x, lists.liked[filled], sizes[sizes > 0], ratings)


def popular_lists(
    known: Interactions, followed: Interactions, *, askers: int, seed: int
) -> Lists:
    """The most popular items that each asker lacks, labelled by what followed.

    Args:
        known: the rows known at the time of asking.
        followed: rows that came after.
        askers: lists at most, drawn by lot.
        seed: of the lot.

    Returns:
        Lists of 100 candidates, without sources.
    """
    snapshot = Snapshot.of(known)
    queries, told = askings(known, followed, most=askers, seed=seed)
    k = min(_ALONE, snapshot.n_items)
    most = np.argsort(-snapshot.item_counts, kind="stable").astype(np.int32)
    rows = np.full((len(queries), k), -1, np.int32)
    for asker, line in enumerate(rows):
        has = queries.history_rows[queries.offsets[asker] : queries.offsets[asker + 1]]
        first = most[: k + len(has)]
        lacks = first[~np.isin(first, has)][:k]
        line[: len(lacks)] = lacks
    scores = np.where(rows >= 0, snapshot.item_counts[rows], -np.inf).astype(np.float32)
    nobody = np.empty((0, *rows.shape), np.float32)
    candidates = Candidates(rows, scores, (), nobody, nobody.astype(np.int32))
    return Lists.of(known, queries, candidates, told)
