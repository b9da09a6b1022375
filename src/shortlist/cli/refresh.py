"""``shortlist refresh``: the events of the service in a new version of its bundle."""

from pathlib import Path
from typing import Annotated

import typer

from shortlist.cli.options import AsJson, BundleDir
from shortlist.cli.printing import as_json, progress, show

EXAMPLE = "Example: shortlist refresh movies.bundle --state movies.state"


def refresh(
    bundle: BundleDir,
    *,
    state: Annotated[
        str | None,
        typer.Option(
            envvar="SHORTLIST_STATE",
            help="The events, as given to serve: a folder or a PostgreSQL URL; MOVIES.state beside the bundle.",
        ),
    ] = None,
    held_back: Annotated[
        float, typer.Option(help="Share of the new rows, the latest, to judge on.")
    ] = 0.2,
    force: Annotated[
        bool, typer.Option("--force", help="Publish also what is worse, or cannot be judged.")
    ] = False,
    keep: Annotated[
        int | None, typer.Option(help="How many versions stay once one is published.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the intervals.")] = 0,
    json: AsJson = False,
) -> None:
    """Train a bundle again with the events that came since, and publish it if it is not worse.

    Judged on the latest rows, against the running version. A service that watches the bundle takes the new
    version by itself. Exit codes: 0 published, nothing new, or too little yet to judge on (the events wait for the
    next time); 1 shown to be worse, and not published; 2 it could not be done.
    """  # noqa: DOC501
    from shortlist.serving.events import beside, existing_store
    from shortlist.serving.opening import pointer_of
    from shortlist.serving.refreshing import refresh as run

    pointer_of(Path(bundle))  # a bundle that is not there is no fault of its events
    store = existing_store(state or str(beside(Path(bundle))))
    try:
        made = run(
            bundle,
            store,
            held_back=held_back,
            force=force,
            keep=keep,
            seed=seed,
            say=progress,
        )
    finally:
        store.close()
    if json:
        as_json(
            {
                "bundle": str(bundle),
                "published": made.version,
                "judged": made.gate is not None,
                "worse": made.worse,
                "verdict": made.verdict,
                "events": made.events,
                "unknown_items": made.unknown_items,
                "known_rows": made.repeated,
                "off_scale": made.off_scale,
                "new_items": made.items,
                "held_back": made.held_back,
                "state_behind": made.behind,
            }
        )
    elif made.version is None:
        show(f"Not published: {made.verdict}")
    else:
        show(f"{bundle} is at version {made.version}: {made.verdict}")
    if made.worse:
        raise typer.Exit(1)
