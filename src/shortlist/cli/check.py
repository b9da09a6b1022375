"""``shortlist check``: the data doctor."""

from pathlib import Path
from typing import Annotated

import typer

from shortlist.cli.options import (
    TABLE,
    AsJson,
    Columns,
    ItemsFile,
    Positive,
    UsersFile,
    named_columns,
    read_table,
)
from shortlist.cli.printing import as_json, show

EXAMPLE = "Example: shortlist check ratings.csv --items movies.csv"


def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help=f"Interactions: {TABLE}.")],
    *,
    items: ItemsFile = None,
    users: UsersFile = None,
    column: Columns = None,
    positive: Positive = None,
    json: AsJson = False,
) -> None:
    """Examine a table and say what to do about it.

    Counts what would stop training, and changes nothing. The exit code is 0 whatever is found.
    """
    import shortlist as sl

    if Path(file).is_file() and Path(file).suffix != ".zip":
        found = sl.diagnose(
            Path(file),
            items=items,
            users=users,
            columns=named_columns(column),
            positive=positive,
        )
    else:
        found = sl.check(
            read_table(file, items=items, users=users, column=column, positive=positive)
        )
    if json:
        as_json({"file": file, **found.to_dict()})
    else:
        from shortlist.cli.words import as_flags

        show(as_flags(str(found)))
