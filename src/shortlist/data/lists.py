"""Candidate lists with what followed: what a list model learns from."""

from dataclasses import dataclass, replace
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from shortlist.data.interactions import Interactions
from shortlist.data.protocols import AnsweringRanker, Ranker
from shortlist.data.queries import Queries
from shortlist.data.ragged import take_lines
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import Candidates
from shortlist.errors import ShapeError


@dataclass(frozen=True, eq=False)
class Followed:
    """What askers took after they were asked about.

    Attributes:
        asker: (rows,) int64 which asker, 0 to n - 1.
        rows: (rows,) int64 item rows.
        liked: (rows,) bool.
        ratings: (rows,) float32, or None.
    """

    asker: NDArray[np.int64]
    rows: NDArray[np.int64]
    liked: NDArray[np.bool_]
    ratings: NDArray[np.float32] | None


@dataclass(frozen=True, eq=False, repr=False)
class Lists:
    """Candidates of n askers, and which of them their askers took afterwards.

    Attributes:
        known: the rows known at the time of asking; item rows are those of its vocabulary.
        queries: n askers with their histories in ``known``.
        candidates: (n, m), as they would have been served then.
        liked: (n, m) bool, whether the asker took, and liked, the item afterwards.
        ratings: (n, m) float32, how they rated it; NaN where they did not. None without ratings.
    """

    known: Interactions
    queries: Queries
    candidates: Candidates
    liked: NDArray[np.bool_]
    ratings: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        want = self.candidates.rows.shape
        if len(self.queries) != want[0] or self.liked.shape != want:
            msg = f"{len(self.queries)} queries, candidates {want} and liked {self.liked.shape} must line up"
            raise ShapeError(msg)

    def __len__(self) -> int:
        return len(self.queries)

    def __repr__(self) -> str:
        n, m = self.candidates.rows.shape
        return f"Lists({n:,} askers x {m} candidates, {int(self.liked.sum()):,} of them taken)"

    @classmethod
    def of(
        cls, known: Interactions, queries: Queries, candidates: Candidates, followed: "Followed"
    ) -> "Lists":
        """Label candidates with what followed.

        Args:
            known: the rows known at the time of asking.
            queries: n askers.
            candidates: their lists.
            followed: what they took afterwards.

        Returns:
            Lists.
        """
        rows = candidates.rows.astype(np.int64)
        span = len(known.item_vocabulary) + 1
        places = np.arange(len(queries))[:, None] * span + rows
        places[rows < 0] = -1
        taken = followed.asker * span + followed.rows
        liked = np.isin(places, taken[followed.liked])
        ratings = None
        if followed.ratings is not None:
            key, first = np.unique(np.append(taken, -1), return_index=True)
            given = np.append(followed.ratings, np.nan)[first]
            at = np.minimum(np.searchsorted(key, places), len(key) - 1)
            ratings = np.where(key[at] == places, given[at], np.nan).astype(np.float32)
        return cls(known, queries, candidates, liked, ratings)

    def some(self, lines: NDArray[np.int64]) -> "Lists":
        """The lists of some askers.

        Args:
            lines: (n,) rising.

        Returns:
            Lists of these askers.
        """
        return Lists(
            self.known,
            _askers(self.queries, lines),
            candidates_of(self.candidates, lines),
            self.liked[lines],
            None if self.ratings is None else self.ratings[lines],
        )


def candidates_of(candidates: Candidates, lines: NDArray[np.int64] | slice) -> Candidates:
    """The candidates of some askers.

    Args:
        candidates: of all.
        lines: which askers.

    Returns:
        Candidates.
    """
    return Candidates(
        candidates.rows[lines],
        candidates.scores[lines],
        candidates.sources,
        candidates.source_scores[:, lines],
        candidates.source_ranks[:, lines],
    )


def askings(
    known: Interactions, followed: Interactions, *, most: int, seed: int
) -> tuple[Queries, Followed]:
    """Whom to ask about, when, and what they took then.

    With times, each liked row that followed is asked for by itself, with the history just before it: the
    known rows, and what followed before. Without times each user is asked once, with the known history.
    Where there are too many, users take turns, and a lot decides within and among them.

    Args:
        known: the rows known before.
        followed: rows that came after; users and items that nobody knew are left out.
        most: how many askings at most.
        seed: of the lot.

    Returns:
        n Queries over the rows of ``known``, and what followed each.
    """
    snapshot, rng = Snapshot.of(known), np.random.default_rng([seed, 5])
    users = known.user_vocabulary.rows(followed.table["user_id"])
    items = known.item_vocabulary.rows(followed.table["item_id"])
    there = (users >= 0) & (items >= 0)
    users, items, liked = users[there], items[there], followed.liked[there]
    ratings = None if followed.ratings is None else followed.ratings[there]
    if known.timestamps is not None and followed.timestamps is not None:
        later = _Sequence.of(known, users, items, liked, followed.timestamps[there], ratings)
        return later.askings(snapshot, most, rng)
    asked = np.unique(users)
    asked = np.sort(rng.permutation(asked)[:most])
    held = np.isin(users, asked)
    asker = np.searchsorted(asked, users[held]).astype(np.int64)
    given = None if ratings is None else ratings[held]
    told = Followed(asker, items[held].astype(np.int64), liked[held], given)
    return snapshot.queries_of_rows(asked.astype(np.int32)), told


@dataclass(frozen=True, eq=False)
class _Sequence:
    # known and later rows of all users, by user and time

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    liked: NDArray[np.bool_]
    times: NDArray[np.int64]
    ratings: NDArray[np.float32] | None
    late: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        known: Interactions,
        users: NDArray[np.int32],
        items: NDArray[np.int32],
        liked: NDArray[np.bool_],
        times: NDArray[np.int64],
        ratings: NDArray[np.float32] | None,
    ) -> "_Sequence":
        before = known.timestamps if known.timestamps is not None else times[:0]
        user = np.concatenate([known.user_rows, users]).astype(np.int64)
        time = np.concatenate([before, times])
        order = np.lexsort((time, user))  # ties: what is known came first
        both = None
        if ratings is not None and known.ratings is not None:
            both = np.concatenate([known.ratings, ratings])[order]
        return cls(
            user[order],
            np.concatenate([known.item_rows, items]).astype(np.int64)[order],
            np.concatenate([known.liked, liked])[order],
            time[order],
            both,
            (np.arange(len(user)) >= len(known))[order],
        )

    def askings(
        self, snapshot: Snapshot, most: int, rng: np.random.Generator
    ) -> tuple[Queries, Followed]:
        at = rng.permutation(np.flatnonzero(self.late & self.liked))
        turn = np.empty(len(at), np.int64)  # of a user's rows, in the order of the lot
        by_user = np.argsort(self.users[at], kind="stable")
        counts = np.bincount(self.users[at], minlength=snapshot.n_users)
        turn[by_user] = np.arange(len(at)) - np.repeat(np.cumsum(counts) - counts, counts)
        at = np.sort(at[np.argsort(turn, kind="stable")[:most]])
        starts = np.searchsorted(self.users, self.users[at])
        lengths = at - starts
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        before = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        now = self.times.max() if len(self.times) else 0
        queries = replace(
            snapshot.queries_of_rows(self.users[at].astype(np.int32)),
            history_rows=self.items[before].astype(np.int32),
            offsets=offsets,
            history_liked=self.liked[before],
            history_ages=(now - self.times[before]).astype(np.float64),
            history_ratings=None if self.ratings is None else self.ratings[before],
        )
        given = None if self.ratings is None else self.ratings[at]
        return queries, Followed(np.arange(len(at)), self.items[at], self.liked[at], given)


def _askers(queries: Queries, lines: NDArray[np.int64]) -> Queries:
    at, offsets = take_lines(queries.offsets, lines)
    ages, ratings = queries.history_ages, queries.history_ratings
    return Queries(
        queries.user_rows[lines],
        queries.history_rows[at],
        offsets,
        queries.history_liked[at],
        None if ages is None else ages[at],
        None if ratings is None else ratings[at],
        None if queries.users is None else queries.users[lines],
        None if queries.context is None else queries.context[lines],
    )


@runtime_checkable
class AnsweringListRanker(AnsweringRanker, Protocol):
    """What a list model answers once it is fitted."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the retrievers whose scores and ranks it reads."""
        ...

    @property
    def predicts_ratings(self) -> bool:
        """Whether ``predict`` answers ratings; else a probability or a score."""
        ...

    def values(self, queries: Queries, candidates: Candidates) -> NDArray[np.float32]:
        """(n, m) what :meth:`rank` orders by, also at the places of row -1: an unknown item."""
        ...

    def predictions(self, queries: Queries, candidates: Candidates) -> NDArray[np.float32]:
        """(n, m) what :meth:`predict` answers, for candidates that know who proposed them."""
        ...


@runtime_checkable
class ListRanker(AnsweringListRanker, Ranker, Protocol):
    """A ranker that learns from candidate lists, and not from rows.

    ``Recommender.fit`` sees to the order in time: it holds back ``share`` of the rows by ``holdout``, fits
    copies of the retrievers on the others, and asks them for the lists of at most ``askers`` askings.
    """

    holdout: str | None
    share: float
    askers: int
    seed: int

    @property
    def user_columns(self) -> tuple[str, ...]:
        """Columns of the users' table that it reads."""
        ...

    def fit_lists(
        self, lists: Lists, train: Interactions, *, validate: Lists | None = None
    ) -> Self:
        """Learn from lists; afterwards answer with what ``train``, all of it, says of items."""
        ...


@runtime_checkable
class ExplainsRank(Protocol):
    """A list model that says what each feature adds."""

    def explain(
        self, queries: Queries, candidates: Candidates
    ) -> dict[str, NDArray[np.float32]]:
        """Feature to (n, m) what it adds to the scores, the strongest feature of all first."""
        ...
