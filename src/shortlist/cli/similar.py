"""``shortlist similar``: items like an item."""

from typing import Annotated

import typer

from shortlist.cli.options import AsJson, BundleDir, K
from shortlist.cli.printing import as_json, heading, rows_of, show, table_of

EXAMPLE = 'Example: shortlist similar movies.bundle "Toy Story (1995)" --k 5'


def similar(
    bundle: BundleDir,
    item: Annotated[
        str, typer.Argument(metavar="ITEM", help="An id, or a title only one item has.")
    ],
    *,
    k: K = 10,
    where: Annotated[
        str | None, typer.Option(help='A condition on the catalogue, such as "year < 1980".')
    ] = None,
    json: AsJson = False,
) -> None:
    """Find items like an item."""
    import shortlist as sl

    rec = sl.load(bundle)
    table = rec.similar(item, k=min(k, rec.snapshot.n_items), where=where)
    row = rec.snapshot.item_row(item)
    item_id, title = rec.snapshot.item_vocabulary.ids[row], rec.snapshot.catalogue.titles[row]
    if json:
        as_json({"item": {"item_id": item_id, "title": title}, "similar": rows_of(table)})
    else:
        heading(f"Like {title}")
        show(table_of(table))
