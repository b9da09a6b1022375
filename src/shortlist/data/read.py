"""The door for tables: any file or frame becomes checked Interactions.

Rows that cannot be used stop the reader with file, column, row and remedy, or go to a side file
with the reason; none is dropped in silence.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from shortlist.data import conversion
from shortlist.data.catalogue import Catalogue
from shortlist.data.columns import (
    INTERACTION_FIELDS,
    ITEM_FIELDS,
    USER_FIELDS,
    Named,
    check_named,
    check_names,
    find_columns,
    renamed,
)
from shortlist.data.faults import Fault, find_faults
from shortlist.data.interactions import Interactions
from shortlist.data.metadata import (
    item_columns,
    lift,
    tidy_items,
    tidy_users,
    user_columns,
)
from shortlist.data.quarantine import write_quarantine
from shortlist.data.sources import Loaded, Source, load
from shortlist.errors import ConfigError, DataError

log = logging.getLogger("shortlist.data")


@dataclass(frozen=True, eq=False)
class Typed:
    """Interactions with our names and types, and the rows of them that cannot be used.

    Attributes:
        loaded: as they came.
        table: the same rows, with our names and types.
        faults: what is wrong, one entry per kind.
        theirs: ours -> theirs.
    """

    loaded: Loaded
    table: pl.DataFrame
    faults: list[Fault]
    theirs: Mapping[str, str]

    @property
    def bad(self) -> pl.Series:
        """(rows,) True for rows with any fault."""
        bad = pl.repeat(False, len(self.table), dtype=pl.Boolean, eager=True)
        for fault in self.faults:
            bad |= fault.bad
        return bad

    def told(self, fault: Fault) -> str:
        """A fault with its file, the name the column has there, and the row's number there.

        Args:
            fault: one of ``faults``.

        Returns:
            A sentence, and a remedy.
        """
        at = int(fault.bad.arg_max() or 0)
        row = int(self.loaded.numbers[at])
        line = f" (line {row + 2})" if self.loaded.is_text else ""
        more = int(fault.bad.sum()) - 1
        also = f" and {more:,} more" if more else ""
        column = self.theirs.get(fault.column, fault.column)
        remedy = fault.remedy
        if self.bad.all():  # nothing would be left
            remedy = remedy.removesuffix(f", {conversion.QUARANTINE}")
        return (
            f"{self.loaded.where}: column {column!r}, row {row}{line}{also}: "
            f"{fault.reason}. {remedy}"
        )


def read(
    source: Source,
    *,
    items: "Source | None" = None,
    users: "Source | None" = None,
    columns: Named | None = None,
    positive: str | None = None,
    on_bad_rows: str = "stop",
    quarantine: str | Path | None = None,
) -> Interactions:
    """Read a table of interactions, and what is known of items and users.

    Columns are found by their names (``userId``, ``movie_id``, ``stars``, ``unix``, ...), or named.
    Ids come back as given. Dates and milliseconds become seconds; where times are missing on most
    rows and another column gives the order (``seq``), that one is the time. Without an items table,
    titles, genres and years that stand beside the interactions become the catalogue, and
    the users' columns likewise their table.

    Args:
        source: a path to a CSV, TSV or Parquet file (also ``.csv.gz``), a polars DataFrame or
            LazyFrame, a pandas DataFrame or a pyarrow Table.
        items: the items, one row each, or None.
        users: the users, one row each, or None.
        columns: our name -> the name in the tables, where the guess would fail. Ours are user_id,
            item_id, rating, timestamp, weight, event, title, year, genres. None as a value: there
            is no such column, whatever the names say.
        positive: an expression such as ``"rating >= 4"`` that says which rows count as liked.
        on_bad_rows: ``"stop"``, or ``"quarantine"`` to write rows that cannot be used to a side
            file with the reason, and go on without them.
        quarantine: path of that file, CSV or Parquet; None: ``<source>.quarantine.csv`` beside the
            source. A table in memory needs it.

    Returns:
        Interactions in the order of the source.

    Raises:
        DataError: a file is missing, empty or unreadable, a column is missing or ambiguous, a row
            cannot be used, or all rows are the same.
        ConfigError: a setting is unknown.
    """
    _check_settings(source, on_bad_rows, quarantine)
    named = columns or {}
    check_names(named)
    item_table = None if items is None else load(items, what="the items table")
    user_table = None if users is None else load(users, what="the users' table")
    typed = typed_interactions(source, named, item_table, user_table)
    table = _without_bad_rows(typed, on_bad_rows, quarantine)
    if len(table) > 1 and table.row(0) == table.row(-1) and table.n_unique() == 1:
        msg = (
            f"{typed.loaded.where}: all {len(table):,} rows are duplicates of one row "
            f"({table.row(0, named=True)}); check how the file was written"
        )
        raise DataError(msg)
    return assemble(table, item_table, user_table, named, positive)


def read_items(source: Source, *, columns: Named | None = None) -> Catalogue:
    """Read a table of items alone, as :func:`read` does beside interactions.

    Args:
        source: as for :func:`read`.
        columns: our name -> the name in the table, where the guess would fail.

    Returns:
        A Catalogue.
    """
    named = columns or {}
    check_names(named)
    loaded = load(source, what="the items table")
    check_named(named, [(loaded.where, loaded.table.columns)])
    return _catalogue(loaded, named)


def assemble(
    table: pl.DataFrame,
    items: Loaded | None,
    users: Loaded | None,
    named: Named,
    positive: str | None,
) -> Interactions:
    """Join good rows with what is known of items and users.

    Args:
        table: interactions with our names and types.
        items: the items table as it came, or None to take it from the rows.
        users: the users' table as it came, or None to take it from the rows.
        named: ours -> theirs, from the user.
        positive: which rows count as liked.

    Returns:
        Interactions.

    Raises:
        DataError: an id is missing or stands twice in the items or users' table.
    """
    held = user_rows = None
    if items is None:
        found, others = item_columns(table, named)
        table, lifted = lift(table, "item_id", [*found.values(), *others])
        if lifted is not None:
            found = {ours: c for ours, c in found.items() if c in lifted.columns}
            held = Catalogue(tidy_items(renamed(lifted, found, ())))
    else:
        held = _catalogue(items, named)
    if users is None:
        table, lifted = lift(table, "user_id", user_columns(table))
        user_rows = None if lifted is None else tidy_users(lifted)
    else:
        user_rows = tidy_users(_metadata(users, USER_FIELDS, "user_id", named))
    if held is None:
        return Interactions(table, users=user_rows, positive=positive)
    return Interactions(table, held, user_rows, positive)


def _catalogue(items: Loaded, named: Named) -> Catalogue:
    try:
        return Catalogue(tidy_items(_metadata(items, ITEM_FIELDS, "item_id", named)))
    except DataError as error:
        where = "" if str(error).startswith(items.where) else f"{items.where}: "
        msg = f"{where}{error}"
        raise DataError(msg) from None


def typed_interactions(source: Source, named: Named, *beside: Loaded | None) -> Typed:
    """Load interactions, name the columns and bring them to their types, without judging rows.

    Args:
        source: as for ``read``.
        named: ours -> theirs, from the user.
        *beside: further tables, which may have the columns that ``named`` names.

    Returns:
        The rows, and what is wrong with them.

    Raises:
        DataError: the table cannot be read, or a column is missing or ambiguous.
    """
    loaded = load(source)
    held = [table for table in (loaded, *beside) if table is not None]
    check_named(named, [(one.where, one.table.columns) for one in held])
    raw = loaded.table
    found = find_columns(
        raw.columns,
        INTERACTION_FIELDS,
        named=named,
        required=("user_id", "item_id"),
        sparse=[c for c in raw.columns if raw[c].null_count() * 2 > len(raw)],
        where=loaded.where,
    )
    log.info("%s: columns %s", loaded.where, found)
    if found.get("timestamp", "timestamp") != "timestamp" and "timestamp" in raw.columns:
        log.warning("%s: time is taken from %r", loaded.where, found["timestamp"])
    table = renamed(raw, found, INTERACTION_FIELDS)
    table, faults = _typed(table, loaded, found)
    unread = {fault.column for fault in faults}
    for fault in find_faults(table):
        told = [f.bad for f in faults if f.column == fault.column]
        bad = fault.bad
        for before in told if fault.column in unread else ():
            bad &= ~before  # its text has already been reported
        if bad.any():
            faults.append(Fault(fault.column, fault.reason, fault.remedy, bad))
    return Typed(loaded, table, faults, found)


def _typed(
    table: pl.DataFrame, loaded: Loaded, theirs: Mapping[str, str]
) -> tuple[pl.DataFrame, list[Fault]]:
    faults: list[Fault] = []
    new: list[pl.Series] = []
    for name in table.columns:
        column, wrong = table[name].alias(theirs.get(name, name)), list[Fault]()
        if name in {"user_id", "item_id"}:
            column = conversion.ids(column)
            column = conversion.whole_numbers(column) if loaded.is_text else column
        elif name in {"rating", "weight"}:
            column, wrong = conversion.numbers(column, loaded.where)
        elif name == "timestamp":
            column, wrong = conversion.times(column, loaded.where)
        elif loaded.is_text and name != "event":
            column = conversion.natural(column)
        new.append(column.alias(name))
        faults += [replace(fault, column=name) for fault in wrong]
    return pl.DataFrame(new), faults


def _metadata(loaded: Loaded, fields: tuple[str, ...], key: str, named: Named) -> pl.DataFrame:
    table = loaded.table
    if plain_id := next((c for c in table.columns if c.lower() == "id"), None):
        try:
            found = find_columns(table.columns, (key,), named=named, where=loaded.where)
        except DataError:
            found = {}
        if key not in found:  # in a table of items, a bare "id" is the item's
            table = table.rename({plain_id: key})
    found = find_columns(
        table.columns, fields, named=named, required=(key,), where=loaded.where
    )
    table = renamed(table, found, fields)
    table = table.with_columns(conversion.ids(table[key]))
    if loaded.is_text:
        own = [conversion.whole_numbers(table[key])]
        own += [conversion.natural(table[c]) for c in table.columns if c not in {*fields}]
        table = table.with_columns(own)
    missing = table[key].is_null()
    if missing.any():
        row = int(loaded.numbers[int(missing.arg_max() or 0)])
        msg = (
            f"{loaded.where}: column {found[key]!r}, row {row}: the id is missing; "
            "give the row an id or remove it"
        )
        raise DataError(msg)
    return table


def _check_settings(source: Source, on_bad_rows: str, quarantine: str | Path | None) -> None:
    if on_bad_rows not in {"stop", "quarantine"}:
        msg = f"on_bad_rows must be 'stop' or 'quarantine'; got {on_bad_rows!r}"
        raise ConfigError(msg)
    if (
        on_bad_rows == "quarantine"
        and quarantine is None
        and not isinstance(source, str | Path)
    ):
        msg = "a table in memory has no place for its bad rows; pass quarantine='bad.csv'"
        raise ConfigError(msg)
    if quarantine is not None and Path(quarantine).suffix not in {".csv", ".parquet"}:
        msg = f"quarantine must be a .csv or .parquet path; got {str(quarantine)!r}"
        raise ConfigError(msg)


def _without_bad_rows(
    typed: Typed, on_bad_rows: str, quarantine: str | Path | None
) -> pl.DataFrame:
    if not typed.faults:
        return typed.table
    if on_bad_rows == "stop":
        raise DataError(typed.told(typed.faults[0]))
    loaded, bad = typed.loaded, typed.bad
    if bad.all():
        msg = f"{loaded.where}: none of {len(bad):,} rows can be used; the first reason: {typed.told(typed.faults[0])}"
        raise DataError(msg)
    path = Path(quarantine if quarantine is not None else f"{loaded.path}.quarantine.csv")
    write_quarantine(loaded.table, loaded.numbers, typed.faults, path)
    kept = typed.table.filter(~bad)
    log.warning(
        "%s: %d rows = %d kept + %d in quarantine (%s)",
        *(loaded.where, len(bad), len(kept), int(bad.sum()), path),
    )
    for fault in typed.faults:
        log.warning("%d rows: column %r: %s", fault.bad.sum(), fault.column, fault.reason)
    return kept
