"""``shortlist update``: new items and new rows in a bundle, without training."""

from pathlib import Path
from typing import Annotated

import typer

from shortlist.cli.fitting import timed
from shortlist.cli.options import (
    TABLE,
    AsJson,
    BundleDir,
    Columns,
    ItemsFile,
    OnBadRows,
    UsersFile,
    named_columns,
    only_with,
    read_table,
)
from shortlist.cli.printing import as_json, progress, rows_of, show, table_of
from shortlist.errors import ConfigError

EXAMPLE = "Example: shortlist update movies.bundle --items new_films.csv --rows today.csv"


def update(
    bundle: BundleDir,
    *,
    rows: Annotated[
        str | None, typer.Option(help=f"What happened since, also of new users: {TABLE}.")
    ] = None,
    items: ItemsFile = None,
    users: UsersFile = None,
    column: Columns = None,
    on_bad_rows: OnBadRows = "stop",
    json: AsJson = False,
) -> None:
    """Add new items and new rows to a bundle.

    A new version is published beside the old one; nothing is trained. New items are recommended for what they are like, new users for what they have; what each part makes of the new rows is printed.
    """
    import shortlist as sl
    from shortlist.data.read import read_items

    _insist_on_something(rows, items)
    if rows is None:
        quarantine = on_bad_rows != "stop"
        only_with("--rows", users=users, on_bad_rows=quarantine)
    rec = sl.load(bundle)
    before = rec.snapshot
    parts = []
    if items is not None:
        table = read_items(items, columns=named_columns(column)).table
        new = table.filter(before.item_vocabulary.rows(table["item_id"]) < 0)
        progress(f"{len(new):,} of {len(table):,} items in {items} are new")
        if len(new):
            with timed("describing them by their columns"):
                rec.add_items(new)
    if rows is not None:
        since = read_table(rows, users=users, column=column, on_bad_rows=on_bad_rows)
        with timed(f"adding {len(since):,} rows"):
            parts = rows_of(made := rec.update(since))
        if rec.events_through:
            progress(
                "note: this bundle was trained on a service's events; whoever was forgotten there and stands in these rows is known again. "
                "Forget them once more: shortlist forget"
            )
    version = rec.save(bundle)
    counts = {
        "items": rec.snapshot.n_items - before.n_items,
        "users": rec.snapshot.n_users - before.n_users,
        "rows": len(rec.snapshot.histories.item_rows) - len(before.histories.item_rows),
    }
    if json:
        as_json(
            {"bundle": str(bundle), "version": version.name, "added": counts, "parts": parts}
        )
        return
    if rows is not None:
        show(table_of(made))
    added = ", ".join(f"{count:,} {what}" for what, count in counts.items())
    show(f"Added {added}; {bundle} is at version {version.name}")


def _insist_on_something(rows: str | None, items: Path | None) -> None:
    if rows is None and items is None:
        msg = "there is nothing to add: give --rows, --items, or both"
        raise ConfigError(msg)
