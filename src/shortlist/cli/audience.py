"""``shortlist audience``: users for an item, or for several."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shortlist.cli.files import check_out_file, write_table
from shortlist.cli.options import AsJson, BundleDir, K, KeepSeen
from shortlist.cli.printing import as_json, heading, rows_of, show, table_of

if TYPE_CHECKING:
    from shortlist.recommender.recommender import Recommender

EXAMPLE = 'Example: shortlist audience movies.bundle "Toy Story (1995)" --k 100 --out users.csv'
_SCORE = "score: log of the item's share of the user's interest, times how much the user takes"


def audience(
    bundle: BundleDir,
    items: Annotated[
        list[str],
        typer.Argument(metavar="ITEM", help="Ids, or titles only one item has."),
    ],
    *,
    k: K = 10,
    keep_seen: KeepSeen = False,
    out: Annotated[
        Path | None, typer.Option(help="Write the table: .parquet, .csv, .jsonl or .json.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Find users for an item, or for each of several.

    Those most likely to take it, without those who have it.
    """
    import shortlist as sl

    check_out_file(out)
    rec = sl.load(bundle)
    k = min(k, rec.snapshot.n_users)
    table = rec.audience(items=items, k=k, keep_seen=keep_seen)
    if len(items) == 1:
        table = table.drop("item_id")
    asked = _asked(rec, items)
    titles = ", ".join(str(one["title"]) for one in asked)
    if out is not None:
        write_table(table, out)
    if json:
        which = {"item": asked[0]} if len(items) == 1 else {"items": asked}
        as_json({**which, "audience": rows_of(table)})
    elif out is not None:
        show(f"{len(table):,} users for {titles}: {out}")
    else:
        heading(f"Who would want {titles}")
        show(table_of(table), _SCORE)


def _asked(rec: "Recommender", items: list[str]) -> list[dict[str, object]]:
    rows = [rec.snapshot.item_row(item) for item in items]
    ids, titles = rec.snapshot.item_vocabulary.ids, rec.snapshot.catalogue.titles
    return [{"item_id": ids[row], "title": titles[row]} for row in rows]
