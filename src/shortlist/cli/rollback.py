"""``shortlist rollback``: an earlier version of a bundle answers again."""

from typing import Annotated

import typer

from shortlist.cli.options import AsJson, BundleDir
from shortlist.cli.printing import as_json, show

EXAMPLE = "Example: shortlist rollback movies.bundle --to 0002"


def rollback(
    bundle: BundleDir,
    *,
    to: Annotated[
        str | None, typer.Option(help="A version; the one before the current without it.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Make another version of a bundle the current one.

    A service that watches the bundle takes it within seconds. Nothing is removed: the newer versions stay.
    """
    from shortlist.recommender.publishing import pointed_at, roll_back, versions

    before = pointed_at(bundle)[0]
    now = roll_back(bundle, to)
    if json:
        held = versions(bundle)
        as_json({"bundle": str(bundle), "before": before, "version": now, "versions": held})
    else:
        show(f"{bundle} is at version {now}; it was at {before}")
