"""A snapshot with further items and rows: what the recommender knows after the last fit."""

import logging
from dataclasses import replace

import polars as pl

from shortlist.data.catalogue import Catalogue
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import Fittable, Ranker
from shortlist.data.snapshot import Snapshot
from shortlist.data.vocabulary import same_kind
from shortlist.errors import DataError, closest

_log = logging.getLogger(__name__)
_KEPT = ("rating", "timestamp", "weight")


def with_items(snapshot: Snapshot, items: Catalogue) -> Snapshot:
    """Append items.

    Args:
        snapshot: what is known.
        items: their ids must be new.

    Returns:
        A Snapshot whose item rows start with the old ones, in their order.

    Raises:
        DataError: an item is there already, or a column holds something else than the catalogue's.
    """
    held = snapshot.catalogue.table
    known = snapshot.item_vocabulary.rows(items.table["item_id"]) >= 0
    if known.any():
        twice = items.table["item_id"].filter(pl.Series(known))
        msg = f"{len(twice)} of {len(items)} items are there already: {twice.head(5).to_list()}. Give the new ones only"
        raise DataError(msg)
    for name in items.table.columns:
        if name not in held.columns:
            msg = f"the new items have a column {name!r}, which the catalogue lacks; it has {held.columns}.{closest(name, held.columns)} Drop or rename it"
            raise DataError(msg)
    old_ids, new_ids = same_kind(held["item_id"], items.table["item_id"])
    kinds = {name: held.schema[name] for name in items.table.columns if name != "item_id"}
    try:
        added = items.table.with_columns(new_ids).cast(kinds)  # type: ignore[arg-type]
    except pl.exceptions.PolarsError as error:
        msg = f"a column of the new items is not of the catalogue's kind ({error}). The catalogue has {dict(held.schema)}"
        raise DataError(msg) from error
    table = pl.concat([held.with_columns(old_ids), added], how="diagonal")
    grown = Snapshot.of(replace(snapshot.interactions(), catalogue=Catalogue(table)))
    return replace(grown, positive=snapshot.positive)


def with_rows(snapshot: Snapshot, rows: Interactions) -> Snapshot:
    """Append rows, and users whom nobody knew.

    Args:
        snapshot: what is known.
        rows: of known items; the snapshot's idea of liked is applied to them.

    Returns:
        A Snapshot whose user rows start with the old ones, in their order.

    Raises:
        DataError: a row is about an unknown item, or lacks a column that the known rows have.
    """
    before = snapshot.interactions()
    ids = rows.table["item_id"]
    unknown = ids.filter(pl.Series(snapshot.item_vocabulary.rows(ids) < 0))
    if len(unknown):
        msg = f"{len(unknown)} of {len(rows)} rows are about items that are not known: {unknown.unique(maintain_order=True).head(5).to_list()}. Call add_items() with them first"
        raise DataError(msg)
    new = replace(rows, positive=snapshot.positive)
    table = new.table
    for name in _KEPT:
        if name in before.table.columns and name not in table.columns:
            msg = f"the new rows lack column {name!r}, which the rows before them have"
            raise DataError(msg)
        if name in table.columns and name not in before.table.columns:
            _log.warning("update: column %r is left out; the rows before have none", name)
    if snapshot.positive is not None:
        table = table.with_columns(liked=pl.Series(new.liked))
    users = same_kind(before.table["user_id"], table["user_id"])
    items = same_kind(before.table["item_id"], table["item_id"])
    both = pl.concat(
        [
            before.table.with_columns(users[0], items[0]),
            table.with_columns(users[1], items[1]).select(before.table.columns),
        ]
    )
    grown = Snapshot.of(replace(before, table=both, users=_users(snapshot, rows)))
    return replace(grown, positive=snapshot.positive)


def what_it_makes(part: Fittable) -> str:
    """What a part makes of rows that came after its fit.

    Args:
        part: a retriever or a ranker.

    Returns:
        A sentence.
    """
    if refits_at_once(part):
        return "fitted again on all rows"
    if isinstance(part, Ranker):
        return "predicts as of the last fit"
    if getattr(part, "reads_history", True):
        return "answers from all histories at once; its weights are those of the last fit"
    return (
        "known users keep what the last fit learned of them; new users are answered from their "
        "histories at once"
    )


def refits_at_once(part: Fittable) -> bool:
    """Whether a part is so quick to fit that every growth fits it anew.

    Args:
        part: a retriever or a ranker; it says so by an attribute ``refits_at_once``.

    Returns:
        True or False.
    """
    return bool(getattr(part, "refits_at_once", False))


def _users(snapshot: Snapshot, rows: Interactions) -> pl.DataFrame | None:
    if snapshot.users is None or rows.users is None:
        return snapshot.users
    held, new = same_kind(snapshot.users["user_id"], rows.users["user_id"])
    fresh = rows.users.with_columns(new).filter(~new.is_in(held.implode()))
    shared = [name for name in snapshot.users.columns if name in fresh.columns]
    kinds = {name: snapshot.users.schema[name] for name in shared if name != "user_id"}
    return pl.concat(
        [snapshot.users.with_columns(held), fresh.select(shared).cast(kinds)],  # type: ignore[arg-type]
        how="diagonal",
    )
