"""``shortlist audience``: users for an item."""

from pathlib import Path
from typing import Annotated

import typer

from shortlist.cli.files import check_out_file, write_table
from shortlist.cli.options import AsJson, BundleDir, K, KeepSeen
from shortlist.cli.printing import as_json, heading, rows_of, show, table_of

EXAMPLE = 'Example: shortlist audience movies.bundle "Toy Story (1995)" --k 100 --out users.csv'


def audience(
    bundle: BundleDir,
    item: Annotated[
        str, typer.Argument(metavar="ITEM", help="An id, or a title only one item has.")
    ],
    *,
    k: K = 10,
    keep_seen: KeepSeen = False,
    out: Annotated[
        Path | None, typer.Option(help="Write the table: .parquet, .csv, .jsonl or .json.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Find users for an item.

    Those most likely to want it, without those who have it.
    """
    import shortlist as sl

    check_out_file(out)
    rec = sl.load(bundle)
    table = rec.audience(item, k=min(k, rec.snapshot.n_users), keep_seen=keep_seen)
    row = rec.snapshot.item_row(item)
    item_id, title = rec.snapshot.item_vocabulary.ids[row], rec.snapshot.catalogue.titles[row]
    if out is not None:
        write_table(table, out)
    if json:
        as_json({"item": {"item_id": item_id, "title": title}, "audience": rows_of(table)})
    elif out is not None:
        show(f"{len(table):,} users for {title}: {out}")
    else:
        heading(f"Who would want {title}")
        show(
            table_of(table), "score: log of the item's share of all that the user might choose"
        )
