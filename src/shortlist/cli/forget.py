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
    state: Annotated[
        str | None,
        typer.Option(help="Also out of the events of a service: its folder or PostgreSQL URL."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Take people out of every version of a bundle.

    Their ids, rows, columns and vectors go. What many users taught together (item vectors, layers,
    similarities, counts) stays until the next training.
    """
    import shortlist as sl

    events = None if state is None else _out_of_events(state, user)
    renamed = sl.forget(bundle, user)
    if json:
        told = {"bundle": str(bundle), "users": user, "versions": renamed}
        as_json(told if events is None else {**told, "events": events})
        return
    if events is not None:
        show(f"{events:,} of their events were removed")
    if renamed:
        pairs = ", ".join(f"{old} is now {new}" for old, new in renamed.items())
        show(
            f"{bundle} was written anew without them: {pairs}",
            "Item vectors, layers, similarities and counts, which many users taught together, stay as they are until the next training.",
        )
    else:
        show(f"no version of {bundle} knows any of them")


def _out_of_events(state: str, users: list[str]) -> int:
    from shortlist.errors import DataError
    from shortlist.serving.events import StoreError, existing_store, out_of_events

    store = existing_store(state)
    try:
        return out_of_events(store, users)
    except StoreError as error:
        msg = f"{state} could not be cleaned of everybody's events ({type(error).__name__}: {error}). Look for free space and for readers of the file, then try again; the bundle was not looked at"
        raise DataError(msg) from error
    finally:
        store.close()
