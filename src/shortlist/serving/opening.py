"""From a bundle and the items that came since to what answers."""

import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl

from shortlist.data.catalogue import Catalogue
from shortlist.data.snapshot import Snapshot
from shortlist.errors import BundleError, ShortlistError
from shortlist.recommender.bundle import load
from shortlist.recommender.recommender import Recommender
from shortlist.serving import logs, remarks
from shortlist.serving.asking import Question, answer_batch
from shortlist.serving.events import Store
from shortlist.serving.overlay import Overlay
from shortlist.serving.running import Running, kind_said
from shortlist.serving.settings import Arm

_LARGEST = float(np.finfo(np.float32).max)


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


def pointer_if_any(path: Path) -> str:
    """What a bundle's CURRENT says.

    Args:
        path: the bundle's folder.

    Returns:
        Version and digest; nothing where it cannot be read: that is told once, as of any bundle that cannot
        be taken.
    """
    try:
        return pointer_of(path)
    except ShortlistError:
        return ""


def open_warm(path: Path, new_items: Sequence[tuple[str, str]], arm: Arm) -> Running:
    """Load the current version of a bundle, and let it answer once.

    Args:
        path: the bundle's folder.
        new_items: id and JSON of the columns; those that it cannot hold are told in the log.
        arm: in which it answers.

    Returns:
        What answers.

    Raises:
        BundleError: the bundle cannot be trusted.
    """
    running, refused = open_running(path, new_items, arm=arm)
    remarks.items_left_out(refused)
    # the first answer builds what the others use: it must not be somebody's
    questions = [Question(user_id=""), Question(history=running.item_ids[:1])]
    answer_batch(running, Overlay(str), questions)
    return running


def open_running(
    path: Path, new_items: Sequence[tuple[str, str]], *, arm: Arm = "champion"
) -> tuple[Running, dict[str, str]]:
    """Load the current version of a bundle, with the items that came since.

    Args:
        path: the bundle's folder.
        new_items: id and JSON of the columns; those that the bundle knows are left alone.
        arm: in which it answers.

    Returns:
        What answers, and of new items that it cannot hold the ids, and why.

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
        recommender.events_through,
        datetime.now(UTC).isoformat(timespec="seconds"),
        str(manifest["created"]),
        arm,
    )
    return grown(running, new_items)


def go_on_after(store: Store, running: Running) -> None:
    """Let later events count as later: those below what a bundle was trained on are taken as learned from.

    Args:
        store: of the events; the log tells where it knew less than the bundle.
        running: of the bundle.
    """
    if store.go_on_after(running.through):
        logs.say("state_behind", level="warning", arm=running.arm, through=running.through)


def grown(
    running: Running, new_items: Sequence[tuple[str, str]]
) -> tuple[Running, dict[str, str]]:
    """The same with further items; the old one goes on answering until it is replaced.

    Args:
        running: what answers now.
        new_items: id and JSON of the columns; those that are known are left alone.

    Returns:
        What answers next, and of items that it cannot hold the ids, and why in words without any
        input.
    """
    known = running.snapshot.item_vocabulary
    new = [(item_id, columns) for item_id, columns in new_items if known.row(item_id) < 0]
    if not new:
        return running, {}
    refused: dict[str, str] = {}
    try:
        made = _with(running.recommender, new)
    except ShortlistError:  # one that cannot be held must not keep the others out
        made = running.recommender
        for one in new:
            try:
                made = _with(made, [one])
            except BundleError as error:
                refused[one[0]] = str(error)
            except ShortlistError as error:
                refused[one[0]] = (
                    "the bundle's own parts cannot take the item in; the log tells why"
                )
                logs.say("item_refused", level="error", arm=running.arm, reason=str(error))
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
        BundleError: the catalogue lacks a column, or a value is not of its column's kind; the words
            repeat nothing that was given.
    """
    held = snapshot.catalogue.table.drop("item_id").schema
    given: list[dict[str, Any]] = [json.loads(columns) for _, columns in new]
    names = {name for row in given for name in row}
    if names - set(held):
        columns = ", ".join(f"{name} ({kind_said(kind)})" for name, kind in held.items())
        there = (
            f"its columns are {columns}" if held else "it has none, so give the item_id alone"
        )
        msg = f"an item has a column that the bundle's catalogue lacks; {there}"
        raise BundleError(msg)
    ids = pl.Series("item_id", [new_id for new_id, _ in new], dtype=pl.String)
    columns_of = [
        _column(name, kind, [row.get(name) for row in given])
        for name, kind in held.items()
        if name in names
    ]
    return Catalogue(pl.DataFrame([ids, *columns_of]))


def _column(name: str, kind: pl.DataType, values: list[object]) -> pl.Series:
    msg = f"an item's value of the column {name!r} does not fit the catalogue's, which is: {kind_said(kind)}"
    if not all(_fits(kind, value) for value in values):
        raise BundleError(msg)
    read = getattr(kind.to_python(), "fromisoformat", None)  # JSON has dates as text
    try:
        rows = [{name: read(one) if read and one is not None else one} for one in values]
        column = pl.DataFrame(rows, schema={name: kind}, strict=True)[name]
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as error:
        raise BundleError(msg) from error
    if column.null_count() != values.count(None):  # what cannot be converted becomes null
        raise BundleError(msg)
    return column


def _fits(kind: pl.DataType, value: object) -> bool:
    # polars would make 1 of true, 1995 of 1995.5, "7" of 7, and infinity of what is too large
    if value is None:
        return True
    if isinstance(kind, pl.List | pl.Array):
        inner = cast("pl.DataType", kind.inner)
        return isinstance(value, list) and all(_fits(inner, one) for one in value)
    if isinstance(value, bool) or kind == pl.Boolean():
        return isinstance(value, bool) and kind == pl.Boolean()
    if not kind.is_numeric():
        return isinstance(value, str)
    if not isinstance(value, int | float):
        return False
    if kind.is_integer():
        return float(value).is_integer()
    return kind != pl.Float32() or abs(value) <= _LARGEST
