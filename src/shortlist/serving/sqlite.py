"""Events in one file: SQLite in WAL mode with ``synchronous=FULL``.

A commit returns after the log is flushed to disk. Several processes may have the file open.
"""

import contextlib
import json
import os
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from shortlist.errors import DataError
from shortlist.serving.events import Kept, StoreAway, StoreBusy, StoreFull, salted_hash

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL,
    item_id TEXT NOT NULL, event TEXT NOT NULL, timestamp INTEGER NOT NULL, rating REAL) STRICT;
CREATE INDEX IF NOT EXISTS events_of_user ON events (user_id);
CREATE INDEX IF NOT EXISTS events_of_item ON events (item_id);
CREATE TABLE IF NOT EXISTS items (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, item_id TEXT NOT NULL UNIQUE, attributes TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS forgotten (user_hash TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS salt (value BLOB NOT NULL) STRICT;
"""
_BUSY = "PRAGMA busy_timeout=5000"
_SOON = "PRAGMA busy_timeout=50"  # for what keeps every other write waiting
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC}


class SqliteStore:
    """Events in one file.

    Args:
        folder: made where it is not there.

    Raises:
        DataError: the file cannot be opened, or is no store.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = sqlite3.connect(
                folder / "events.sqlite", isolation_level=None, check_same_thread=False
            )
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA secure_delete=ON")
            self._db.execute(_BUSY)
            self._db.executescript(_SCHEMA)
            self._salt = self._salted()
        except (OSError, sqlite3.Error) as error:
            msg = f"the events in {folder} cannot be opened: {error}. Check the folder's permissions and the free space, or give another with --state"
            raise DataError(msg) from error

    def append(self, batch: Sequence[Kept]) -> list[Kept | None]:
        """Keep events in one transaction.

        Args:
            batch: any number.

        Returns:
            Each event with its place; None for one whose ``event_id`` was there already.
        """
        kept: list[Kept | None] = []

        def write() -> None:
            kept.clear()
            for one in batch:
                row = self._db.execute(
                    "INSERT INTO events (event_id, user_id, item_id, event, timestamp, rating)"
                    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (event_id) DO NOTHING RETURNING seq",
                    (
                        one.event_id,
                        one.user_id,
                        one.item_id,
                        one.event,
                        one.timestamp,
                        one.rating,
                    ),
                ).fetchone()
                kept.append(
                    None
                    if row is None
                    else Kept(
                        one.event_id,
                        one.user_id,
                        one.item_id,
                        one.event,
                        one.timestamp,
                        one.rating,
                        row[0],
                    )
                )

        self._committed(write)
        return kept

    def add_items(self, items: Sequence[tuple[str, str]]) -> int:
        """Keep items in one transaction. Other columns replace those of one that is there, at a new place.

        Args:
            items: id and JSON of the columns.

        Returns:
            How many were new, or have other columns now.
        """
        written = 0

        def write() -> None:
            nonlocal written
            self._db.executemany(
                "DELETE FROM items WHERE item_id = ? AND attributes <> ?", items
            )
            written = self._db.executemany(
                "INSERT INTO items (item_id, attributes) VALUES (?, ?) ON CONFLICT (item_id) DO NOTHING",
                items,
            ).rowcount

        self._committed(write)
        return written

    def forget(self, user_id: str) -> tuple[int, int]:
        """Remove a user's events; the bytes in the file are overwritten. The log has them until :meth:`empty_log`.

        Args:
            user_id: as text.

        Returns:
            How many events there were, and the place of the forgetting in the order of arrival.

        Raises:
            StoreFull: nothing was removed, now or by an earlier try.
        """
        found = seq = 0

        def write() -> None:
            nonlocal found, seq
            found = self._db.execute(
                "DELETE FROM events WHERE user_id = ?", (user_id,)
            ).rowcount
            taken = self._db.execute(
                "INSERT INTO events (event_id, user_id, item_id, event, timestamp)"
                " VALUES (?, '', '', '', 0) RETURNING seq",
                (uuid.uuid4().hex,),
            )
            seq = taken.fetchone()[0]
            self._db.execute("DELETE FROM events WHERE seq = ?", (seq,))
            self._db.execute(
                "INSERT OR REPLACE INTO forgotten VALUES (?, ?)", (self.hash_of(user_id), seq)
            )

        try:
            self._committed(write)
        except StoreFull:
            found, seq = 0, self._forgotten_at(user_id)
            if not seq:
                raise
        return found, seq

    def empty_log(self) -> bool:
        """Write what the log says into the file, and cut the log to nothing.

        Returns:
            Whether it is empty; not where somebody reads it, who is not waited for.

        Raises:
            StoreBusy: it cannot be written, as when the disk is full.
        """
        try:
            self._db.execute(_SOON)
            held = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.Error as error:
            msg = f"the log cannot be emptied: {error}"
            raise StoreBusy(msg) from error
        finally:
            self._db.execute(_BUSY)
        return not held

    def events_after(self, seq: int) -> list[Kept]:
        """Events in the order of arrival.

        Args:
            seq: of the last one not wanted; 0 for all.

        Returns:
            The events.
        """
        return self._events("seq > ?", seq)

    def events_about(self, item_ids: Sequence[str], through: int) -> list[Kept]:
        """Events about some items.

        Args:
            item_ids: any number.
            through: the place of the last one wanted.

        Returns:
            The events, in the order of arrival.
        """
        where = "item_id IN (SELECT value FROM json_each(?)) AND seq <= ?"
        return self._events(where, json.dumps(item_ids), through)

    def events_of(self, user_id: str) -> list[Kept]:
        """Everything that a user did.

        Args:
            user_id: as text.

        Returns:
            Events in the order of arrival.
        """
        return self._events("user_id = ?", user_id)

    def items(self) -> list[tuple[str, str]]:
        """All new items.

        Returns:
            Id and JSON of the columns, in the order of arrival.
        """
        return self._rows("SELECT item_id, attributes FROM items ORDER BY seq")

    def forgotten(self) -> dict[str, int]:
        """Hashes of the users to be forgotten.

        Returns:
            With the place of each forgetting in the order of arrival.
        """
        return dict(self._rows("SELECT user_hash, seq FROM forgotten"))

    def marks(self) -> tuple[int, int]:
        """What there is, in two numbers.

        Returns:
            The last place that an event or a forgetting took, and how many new items there are.
        """
        rows = self._rows(
            "SELECT max(coalesce((SELECT max(seq) FROM events), 0),"
            " coalesce((SELECT max(seq) FROM forgotten), 0)),"
            " coalesce((SELECT max(seq) FROM items), 0)"
        )
        last, items = rows[0]
        return last, items

    def go_on_after(self, seq: int) -> bool:
        """Give later events and forgettings places after one.

        Args:
            seq: the last place that a bundle was trained on.

        Returns:
            Whether they would have been lower: the bundle was trained on other events than these.
        """
        held = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)"
        if self._rows(held)[0][0] >= seq:
            return False

        def write() -> None:  # AUTOINCREMENT counts on from here
            last = max(seq, self._rows(held)[0][0])
            self._db.execute("DELETE FROM sqlite_sequence WHERE name = 'events'")
            self._db.execute("INSERT INTO sqlite_sequence VALUES ('events', ?)", (last,))

        self._committed(write)
        return True

    def hash_of(self, user_id: str) -> str:
        """The hash under which a user would be forgotten.

        Args:
            user_id: as text.

        Returns:
            A text.
        """
        return salted_hash(self._salt, user_id)

    def close(self) -> None:
        """Give the file back."""
        self._db.close()

    def _salted(self) -> bytes:
        self._db.execute(
            "INSERT INTO salt SELECT ? WHERE NOT EXISTS (SELECT 1 FROM salt)",
            (os.urandom(16),),
        )
        found: bytes = self._db.execute("SELECT value FROM salt").fetchone()[0]
        return found

    def _forgotten_at(self, user_id: str) -> int:
        # the place of a forgetting after which nothing came; 0 where there is none
        found = self._rows(
            "SELECT seq FROM forgotten WHERE user_hash = ?"
            " AND NOT EXISTS (SELECT 1 FROM events WHERE user_id = ?)",
            self.hash_of(user_id),
            user_id,
        )
        return int(found[0][0]) if found else 0

    def _events(self, where: str, *values: object) -> list[Kept]:
        columns = "event_id, user_id, item_id, event, timestamp, rating, seq"
        query = f"SELECT {columns} FROM events WHERE {where} ORDER BY seq"
        return [Kept(*row) for row in self._rows(query, *values)]

    def _rows(self, query: str, *values: object) -> list[Any]:
        with self._told():
            return self._db.execute(query, values).fetchall()

    def _committed(self, write: "_Write") -> None:
        with self._told():
            try:
                self._db.execute("BEGIN IMMEDIATE")
                write()
                self._db.execute("COMMIT")
            except Exception:
                with contextlib.suppress(sqlite3.Error):  # the first error is the one to tell
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            where = f"the events in {self._folder} cannot be read or written: {error}"
            if getattr(error, "sqlite_errorcode", None) in _FULL:
                raise StoreFull(where) from error
            if isinstance(error, sqlite3.OperationalError):  # locked for all of five seconds
                msg = (
                    f"{where}. Look for who else writes there, and at the disk; then try again"
                )
                raise StoreAway(msg) from error
            if type(error) is sqlite3.DatabaseError:  # its subclasses are defects of ours
                msg = f"{where}. The file is damaged: bring back a backup, or save what `sqlite3 events.sqlite .recover` finds"
                raise StoreAway(msg) from error
            raise


class _Write(Protocol):
    def __call__(self) -> object: ...
