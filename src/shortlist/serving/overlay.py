"""What happened since the bundle was written, laid over it by id, in memory.

It is made of the store's events alone, so a restart or another bundle makes it again.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from shortlist.serving.events import Kept
from shortlist.serving.running import Running
from shortlist.serving.waiting import learned


class Asker(NamedTuple):
    """Someone who asks, in the terms of one running recommender.

    Attributes:
        user_row: -1 for a stranger to the bundle.
        rows: (m,) int32 history, oldest first.
        liked: (m,) bool.
        times: (m,) int64 seconds, or None.
        ratings: (m,) float32, or None.
    """

    user_row: int
    rows: NDArray[np.int32]
    liked: NDArray[np.bool_]
    times: NDArray[np.int64] | None
    ratings: NDArray[np.float32] | None


class _Live(NamedTuple):
    # a user's events that a bundle was not trained on, in the order of arrival, in its terms
    rows: NDArray[np.int32]
    liked: NDArray[np.bool_]
    times: NDArray[np.int64]
    ratings: NDArray[np.float32]
    events: list[Kept]


_Lives = dict[
    str, tuple[list[Kept], int, _Live]
]  # with the events, and how many, it is made of


class Overlay:
    """Live events by user.

    Args:
        hash_of: makes the hash under which a user is forgotten.
        forgotten: hashes of the users whose rows in older bundles must not be used, with the place
            of each forgetting in the order of arrival.
    """

    def __init__(
        self, hash_of: Callable[[str], str], forgotten: Mapping[str, int] | None = None
    ) -> None:
        self._hash_of, self._forgotten = hash_of, dict(forgotten or {})
        self._events: dict[str, list[Kept]] = {}
        self._by_hash: dict[str, str] = {}  # the users of these events
        self._texts: dict[str, str] = {}  # by themselves: what many events say is held once
        # a bundle that was replaced must not be held by those who have not asked since
        self._lives: WeakKeyDictionary[Running, _Lives] = WeakKeyDictionary()
        self._ahead: set[int] = set()  # places taken in that lie after those followed
        self.followed = 0
        self.latest = 0

    def apply(self, events: Iterable[Kept]) -> None:
        """Take events in; those known by their place are left alone.

        Args:
            events: any, from the one thread that writes here.
        """
        for one in events:
            if one.seq > self.followed and one.seq not in self._ahead:
                self._ahead.add(one.seq)
                self._meet(one.user_id)
                _take(self._events, self._texts, one)
                self.latest = max(self.latest, one.timestamp)

    def follow(self, events: Iterable[Kept], last: int) -> None:
        """Take in whatever the store holds after ``followed``, whoever wrote it.

        Args:
            events: all of them.
            last: the last place that was taken when they were read.
        """
        self.apply(events)
        self.followed = max(self.followed, last)
        self._ahead = {seq for seq in self._ahead if seq > self.followed}

    def recall(self, events: Iterable[Kept]) -> None:
        """Take in events that were left out before, as nobody knew their items; those known are left alone.

        Args:
            events: from before those followed, in the order of arrival.
        """
        for one in events:
            mine = self._events.get(one.user_id, [])
            if all(one.seq != known.seq for known in mine) and not self._is_forgotten(one):
                self._meet(one.user_id)
                aside = {one.user_id: list(mine)}  # somebody may read the list
                _take(aside, self._texts, one)
                self._events[one.user_id] = sorted(aside[one.user_id], key=lambda e: e.seq)
                self.latest = max(self.latest, one.timestamp)

    def _meet(self, user_id: str) -> None:
        if user_id not in self._events:
            self._by_hash[self._hash_of(user_id)] = user_id

    def _is_forgotten(self, event: Kept) -> bool:
        # it was read before its user was forgotten
        return event.seq < self._forgotten.get(self._hash_of(event.user_id), 0)

    def forget(self, forgotten: Mapping[str, int]) -> None:
        """Leave out what is known of users from before they were forgotten.

        Args:
            forgotten: hashes of all of them, with the place of each forgetting.
        """
        new = {one: seq for one, seq in forgotten.items() if seq > self._forgotten.get(one, 0)}
        if not new:
            return
        self._forgotten |= new
        for hashed in new.keys() & self._by_hash.keys():
            user_id, seq = self._by_hash[hashed], new[hashed]
            left = [one for one in self._events[user_id] if one.seq > seq]
            if len(left) < len(self._events[user_id]):
                self._events[user_id] = left
                for lives in list(self._lives.values()):
                    lives.pop(user_id, None)
            if not left:
                self._events.pop(user_id)
                self._by_hash.pop(hashed)

    def replace(self, events: Iterable[Kept], last: int) -> None:
        """Begin again with other events, as after a swap to a bundle that was trained on fewer or more.

        Args:
            events: all that the running recommenders were not trained on, in the order of arrival.
            last: the last place that was taken when they were read.
        """
        made: dict[str, list[Kept]] = {}
        texts: dict[str, str] = {}
        ahead = set()
        for one in events:
            _take(made, texts, one)
            self.latest = max(self.latest, one.timestamp)
            if one.seq > last:
                ahead.add(one.seq)
        hashes = {user_id: hashed for hashed, user_id in self._by_hash.items()}
        self._by_hash = {hashes.get(one) or self._hash_of(one): one for one in made}
        self._events, self._texts, self.followed, self._ahead = made, texts, last, ahead
        self._lives = WeakKeyDictionary()

    def takers(self, item_id: str) -> set[str]:
        """Users with live events about an item; it reads all live events.

        Args:
            item_id: as text.

        Returns:
            Their ids.
        """
        return {
            user_id
            for user_id, events in list(self._events.items())  # others come meanwhile
            if any(one.item_id == item_id for one in events)
        }

    @property
    def forgotten(self) -> Mapping[str, int]:
        """Hashes of the users who were forgotten, with the place of each forgetting."""
        return self._forgotten

    @property
    def forgotten_count(self) -> int:
        """How many users were forgotten."""
        return len(self._forgotten)

    def user_row(self, running: Running, user_id: str) -> int:
        """A user's row in the bundle.

        Args:
            running: whose bundle.
            user_id: as text.

        Returns:
            The row; -1 for someone unknown, or forgotten.
        """
        row = running.snapshot.user_vocabulary.row(user_id)
        if row < 0 or not self._forgotten:
            return row
        return -1 if self._forgotten.get(self._hash_of(user_id), 0) > running.through else row

    def asker(self, running: Running, user_id: str) -> Asker:
        """A user with all that is known.

        Args:
            running: gives the bundle's history.
            user_id: as text.

        Returns:
            An Asker; the bundle's history and the live events are joined by time.
        """
        before = _of_bundle(running, self.user_row(running, user_id))
        events = self._events.get(user_id)
        return _joined(before, self._live(running, before, events)) if events else before

    def told(self, running: Running, user_id: str) -> tuple[Asker, list[Kept | None]]:
        """A user, and the live events behind the history.

        Args:
            running: gives the bundle's history.
            user_id: as text.

        Returns:
            An Asker, and for each entry the event; None where it is a row of the bundle.
        """
        before = _of_bundle(running, self.user_row(running, user_id))
        n, events = len(before.rows), self._events.get(user_id)
        if not events:
            return before, [None] * n
        new = self._live(running, before, events)
        each: list[Kept | None] = [*[None] * n, *new.events]
        return _joined(before, new), [each[place] for place in _order(before, new)]

    def _live(self, running: Running, before: Asker, events: list[Kept]) -> _Live:
        lives = self._lives.setdefault(running, {})
        user_id, count = events[0].user_id, len(events)
        held = lives.get(user_id)
        if held and held[0] is events and held[1] == count:
            return held[2]
        made = _live(running, before, [e for e in events[:count] if not learned(running, e)])
        lives[user_id] = (events, count, made)
        return made


def _take(events: dict[str, list[Kept]], texts: dict[str, str], one: Kept) -> None:
    # not by sys.intern: its table, of the whole process, would only grow. Names of events are not held
    # at all: only the store asks for them
    mine = events.setdefault(one.user_id, [])
    user_id = mine[0].user_id if mine else one.user_id
    item_id = texts.setdefault(one.item_id, one.item_id)
    event = texts.setdefault(one.event, one.event)
    mine.append(Kept("", user_id, item_id, event, one.timestamp, one.rating, one.seq))


def guest(rows: list[int]) -> Asker:
    """Someone who brings what they like.

    Args:
        rows: of items, oldest first.

    Returns:
        An Asker.
    """
    return Asker(-1, np.array(rows, np.int32), np.ones(len(rows), bool), None, None)


def _of_bundle(running: Running, row: int) -> Asker:
    held = running.snapshot.histories
    start, stop = (0, 0) if row < 0 else held.offsets[row : row + 2]
    return Asker(
        row,
        held.item_rows[start:stop],
        held.liked[start:stop],
        None if held.timestamps is None else held.timestamps[start:stop],
        None if held.ratings is None else held.ratings[start:stop],
    )


def _live(running: Running, before: Asker, events: list[Kept]) -> _Live:
    new = _news(running, before, events)
    stars = [running.nearest(one.rating) for _, one in new]
    liked = [running.liked(one.event, star) for star, (_, one) in zip(stars, new, strict=True)]
    means = running.mean_ratings
    given = [
        means[0 if like else 1] if star is None else star
        for like, star in zip(liked, stars, strict=True)
    ]
    return _Live(
        np.array([row for row, _ in new], np.int32),
        np.array(liked, bool),
        np.array([one.timestamp for _, one in new], np.int64),
        np.array(given, np.float32),
        [one for _, one in new],
    )


def _joined(before: Asker, new: _Live) -> Asker:
    n = len(before.rows)
    rows = np.concatenate([before.rows, new.rows])
    likes = np.concatenate([before.liked, new.liked])
    against = np.concatenate([np.zeros(n, bool), ~new.liked])
    order = _order(before, new)
    times = None
    if before.times is not None:
        times = np.concatenate([before.times, new.times])[order]
    rows, likes = rows[order], likes[order]
    likes &= ~_taken_back(rows, against[order])
    ratings = None
    if before.ratings is not None:
        ratings = np.concatenate([before.ratings, new.ratings])[order]
    return Asker(before.user_row, rows, likes, times, ratings)


def _order(before: Asker, new: _Live) -> NDArray[np.intp]:
    # (m,) places of entries by time: of the bundle's, then of the live ones
    n = len(before.rows)
    if before.times is None:
        return np.append(np.arange(n), n + np.argsort(new.times, kind="stable"))
    return np.argsort(np.concatenate([before.times, new.times]), kind="stable")


def _news(running: Running, before: Asker, live: list[Kept]) -> list[tuple[int, Kept]]:
    # events with their item's row; one that the bundle was trained on counts once, and a dismissal
    # was that only where the bundle's row of that second is not liked
    there: set[tuple[int, int]] = set()
    disliked: set[tuple[int, int]] = set()
    if before.times is not None:
        keys = zip(before.rows.tolist(), before.times.tolist(), strict=True)
        for key, like in zip(keys, before.liked.tolist(), strict=True):
            there.add(key)
            if not like:
                disliked.add(key)
    known = running.snapshot.item_vocabulary
    found = [(known.row(one.item_id), one) for one in live]
    return [
        (row, one)
        for row, one in found
        if row >= 0
        and (row, one.timestamp) not in (disliked if one.event == "dismiss" else there)
    ]


def _taken_back(rows: NDArray[np.int32], against: NDArray[np.bool_]) -> NDArray[np.bool_]:
    # (m,) entries, by time, whose item is dismissed, or rated as not liked, later
    at = np.flatnonzero(against)[::-1]
    if not len(at):
        return np.zeros(len(rows), bool)
    items, first = np.unique(rows[at], return_index=True)
    place = np.minimum(np.searchsorted(items, rows), len(items) - 1)
    later = np.arange(len(rows)) < at[first][place]
    return np.asarray(later & (items[place] == rows))
