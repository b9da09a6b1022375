"""From a bundle and the items that came since to what answers."""

import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from shortlist.data.catalogue import Catalogue
from shortlist.data.snapshot import Snapshot
from shortlist.errors import BundleError, ShortlistError
from shortlist.recommender.bundle import load
from shortlist.recommender.recommender import Recommender
from shortlist.serving.running import Running
from shortlist.serving.settings import Arm


def pointer_of(path: Path) -> str:
    """What a bundle's CURRENT says.

    Args:
        path: the bundle's folder.

    Returns:
        Version and digest.

    Raises:
        BundleError: it cannot be read.
    """
    try:
        return (path / "CURRENT").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} is no bundle: its file CURRENT cannot be read ({error}). Give the folder that save() or --out wrote"
        raise BundleError(msg) from error


def open_running(
    path: Path, new_items: Sequence[tuple[str, str]], *, arm: Arm = "champion"
) -> tuple[Running, list[str]]:
    """Load the current version of a bundle, with the items that came since.

    Args:
        path: the bundle's folder.
        new_items: id and JSON of the columns; those that the bundle knows are left alone.
        arm: in which it answers.

    Returns:
        What answers, and the ids of new items that the bundle's catalogue cannot hold.

    Raises:
        BundleError: the bundle cannot be trusted.
    """
    for _ in range(3):
        pointer = pointer_of(path)
        recommender = load(path)
        if pointer_of(path) == pointer:
            break
    else:
        msg = f"{path} changed again and again while it was opened; try again when publishing is over"
        raise BundleError(msg)
    version = pointer.partition(" ")[0]
    manifest = json.loads((path / "versions" / version / "manifest.json").read_bytes())
    running = Running(
        recommender,
        path,
        version,
        pointer,
        int(manifest.get("events_through") or 0),
        datetime.now(UTC).isoformat(timespec="seconds"),
        str(manifest["created"]),
        arm,
    )
    return grown(running, new_items)


def grown(running: Running, new_items: Sequence[tuple[str, str]]) -> tuple[Running, list[str]]:
    """The same with further items; the old one goes on answering until it is replaced.

    Args:
        running: what answers now.
        new_items: id and JSON of the columns; those that are known are left alone.

    Returns:
        What answers next, and the ids of items that the catalogue cannot hold.
    """
    known = running.snapshot.item_vocabulary
    new = [(item_id, columns) for item_id, columns in new_items if known.row(item_id) < 0]
    if not new:
        return running, []
    refused: list[str] = []
    try:
        made = _with(running.recommender, new)
    except ShortlistError:  # one that cannot be held must not keep the others out
        made = running.recommender
        for one in new:
            try:
                made = _with(made, [one])
            except ShortlistError:
                refused.append(one[0])
    return replace(running, recommender=made), refused


def _with(recommender: Recommender, new: Sequence[tuple[str, str]]) -> Recommender:
    made = copy.copy(recommender)  # add_items replaces its parts, and changes none
    return made.add_items(catalogue_of(recommender.snapshot, new))


def catalogue_of(snapshot: Snapshot, new: Sequence[tuple[str, str]]) -> Catalogue:
    """New items as a table of the catalogue's kind.

    Args:
        snapshot: gives the kind of each column.
        new: id and JSON of the columns.

    Returns:
        A Catalogue.

    Raises:
        BundleError: a value is not of its column's kind.
    """
    held = snapshot.catalogue.table.schema
    rows: list[dict[str, Any]] = [
        {"item_id": item_id, **json.loads(columns)} for item_id, columns in new
    ]
    names = {name for row in rows for name in row}
    kinds = {
        name: held[name] if name != "item_id" else pl.String() for name in held if name in names
    }
    unknown = names - set(held)
    if unknown:
        msg = (
            f"the catalogue lacks {len(unknown)} of the new items' columns; it has {list(held)}"
        )
        raise BundleError(msg)
    msg = "a new item's column holds another kind of value than the catalogue's"
    try:
        table = pl.DataFrame(rows, schema=kinds, strict=True)
    except (pl.exceptions.PolarsError, TypeError, OverflowError) as error:
        raise BundleError(msg) from error
    for name in kinds:  # a text where a list should be becomes null
        if table[name].null_count() != sum(row.get(name) is None for row in rows):
            raise BundleError(msg)
    return Catalogue(table)
