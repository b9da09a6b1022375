"""``shortlist forget``: take people out of a bundle."""

from typing import Annotated

import typer

from shortlist.cli.options import AsJson, BundleDir
from shortlist.cli.printing import as_json, show

EXAMPLE = "Example: shortlist forget movies.bundle --user 42"


def forget(
    bundle: BundleDir,
    *,
    user: Annotated[list[str], typer.Option(help="Id of a user. May be repeated.")],
    json: AsJson = False,
) -> None:
    """Take people out of every version of a bundle.

    Their ids, rows, columns and vectors go. What many users taught together (item vectors, layers,
    similarities, counts) stays until the next training.
    """
    import shortlist as sl

    renamed = sl.forget(bundle, user)
    if json:
        as_json({"bundle": str(bundle), "users": user, "versions": renamed})
    elif renamed:
        pairs = ", ".join(f"{old} is now {new}" for old, new in renamed.items())
        show(
            f"{bundle} was written anew without them: {pairs}",
            "Item vectors, layers, similarities and counts, which many users taught together, stay as they are until the next training.",
        )
    else:
        show(f"no version of {bundle} knows any of them")
