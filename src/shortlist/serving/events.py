"""Events: what users did, which items came, and who is to be forgotten; what keeps them on disk.

:mod:`shortlist.serving.sqlite` keeps them in one file, :mod:`shortlist.serving.postgres` in a database.
"""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from shortlist.errors import DataError

_TRIES, _PAUSE_SECONDS = 40, 0.25  # to empty a log that is read
_URLS = ("postgresql://", "postgres://")


class StoreError(DataError):
    """The store of the events cannot do what was asked."""


class StoreFull(StoreError):
    """Nothing more can be written; what was committed stays, and reading goes on."""


class StoreAway(StoreError):
    """The store cannot be reached, or is damaged; what was committed stays. Try again."""


class StoreBusy(StoreError):
    """Somebody was forgotten, but the log still has the bytes: it is read, or the disk is full. Try again."""


class Kept(Struct, frozen=True, gc=False):
    """An event as it is kept.

    Attributes:
        event_id: given, or made where none was given.
        user_id: as text.
        item_id: as text.
        event: watch, rating, purchase or dismiss.
        timestamp: seconds, UTC.
        rating: of a rating.
        seq: place in the order of arrival, from 1; 0 before it is kept.
    """

    event_id: str
    user_id: str
    item_id: str
    event: str
    timestamp: int
    rating: float | None = None
    seq: int = 0


News = tuple[int, int, list[Kept], dict[str, int], list[tuple[str, str]]]


class Store(Protocol):
    """What keeps events. One thread writes, and every method may be called from it only, but for reads."""

    def append(self, batch: Sequence[Kept]) -> list[Kept | None]:
        """Keep events, flushed to disk; None for those whose ``event_id`` was there already."""
        ...

    def add_items(self, items: Sequence[tuple[str, str]]) -> int:
        """Keep items (id, JSON of columns), flushed to disk; how many were new or other than before.

        One with other columns than before takes a new place.
        """
        ...

    def forget(self, user_id: str) -> tuple[int, int]:
        """Remove a user's events, and remember a hash of the id.

        How many events there were, and the place that the forgetting takes in the order of arrival.
        Their bytes may stay in a log until :meth:`empty_log`.
        """
        ...

    def empty_log(self) -> bool:
        """Take the bytes of what was removed out of the log; False, soon, where somebody reads it."""
        ...

    def events_after(self, seq: int) -> list[Kept]:
        """Events in the order of arrival."""
        ...

    def events_about(self, item_ids: Sequence[str], through: int) -> list[Kept]:
        """Events about items, up to a place, in the order of arrival."""
        ...

    def events_of(self, user_id: str) -> list[Kept]:
        """Everything that a user did, in the order of arrival."""
        ...

    def items(self) -> list[tuple[str, str]]:
        """All new items, in the order of arrival."""
        ...

    def forgotten(self) -> dict[str, int]:
        """Hashes of the users to be forgotten, with the place of each forgetting."""
        ...

    def marks(self) -> tuple[int, int]:
        """The last place that an event or a forgetting took, and how many new items there are."""
        ...

    def go_on_after(self, seq: int) -> bool:
        """Give later events and forgettings places after ``seq``; whether they would have been lower."""
        ...

    def hash_of(self, user_id: str) -> str:
        """The hash under which a user would be forgotten."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


def keep_items(store: Store, items: Sequence[tuple[str, str]]) -> int:
    """Keep items that no bundle holds: what the store has of one was refused, and is replaced.

    Args:
        store: keeps them.
        items: id and JSON of the columns.

    Returns:
        The last place that an item took then.
    """
    store.add_items(items)
    return store.marks()[1]


def news_after(store: Store, after: int, known: int) -> News | None:
    """What other processes wrote.

    Args:
        store: theirs too.
        after: the last place that is known.
        known: how many posted items are.

    Returns:
        The last place taken, how many items there are, the later events, all the forgotten, and all
        items where there are more; None where there is nothing.
    """
    last, n_items = store.marks()
    if (last, n_items) == (after, known):
        return None
    items = store.items() if n_items != known else []
    return last, n_items, store.events_after(after), store.forgotten(), items


def beside(bundle: Path) -> Path:
    """Where events are kept if nothing else is said.

    Args:
        bundle: the bundle's folder.

    Returns:
        ``MOVIES.state`` beside ``MOVIES.bundle``.
    """
    return bundle.with_name(f"{bundle.name.removesuffix('.bundle')}.state")


def open_store(where: str) -> Store:
    """Open the events, or begin new ones.

    Args:
        where: a folder, or the URL of a PostgreSQL database.

    Returns:
        A store.
    """
    if where.startswith(_URLS):
        from shortlist.serving.postgres import PostgresStore

        return PostgresStore(where)
    from shortlist.serving.sqlite import SqliteStore

    return SqliteStore(Path(where))


def out_of_events(store: Store, users: Sequence[str]) -> int:
    """Remove users' events, and wait until their bytes are gone; others may write meanwhile.

    Args:
        store: of the events.
        users: ids as text.

    Returns:
        How many events there were.

    Raises:
        StoreBusy: the log still has the bytes.
        StoreError: not everybody was removed.
    """
    count = sum(store.forget(one)[0] for one in users)
    for _ in range(_TRIES):
        if store.empty_log():
            return count
        time.sleep(_PAUSE_SECONDS)
    msg = "the log cannot be emptied: somebody reads it"
    raise StoreBusy(msg)


def existing_store(where: str) -> Store:
    """Open events that are there.

    Args:
        where: a folder, or the URL of a PostgreSQL database.

    Returns:
        A store.

    Raises:
        DataError: there are none.
    """
    if not where.startswith(_URLS) and not (Path(where) / "events.sqlite").is_file():
        msg = f"{where} holds no events: give the state folder of the service"
        raise DataError(msg)
    return open_store(where)


def salted_hash(salt: bytes, user_id: str) -> str:
    """The hash under which every store forgets a user: salted, so that a list of ids does not tell.

    Args:
        salt: of the store.
        user_id: as text.

    Returns:
        A text.
    """
    return hashlib.sha256(salt + user_id.encode()).hexdigest()
