"""``shortlist serve``: answer over HTTP."""

import os
from pathlib import Path
from typing import Annotated

import typer

from shortlist.cli.options import BundleDir

EXAMPLE = "Example: shortlist serve movies.bundle --port 8000"


def serve(
    bundle: BundleDir,
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0 takes a free one.")
    ] = None,
    state: Annotated[
        str | None,
        typer.Option(
            help="Folder of the events, or a PostgreSQL URL; MOVIES.state beside the bundle."
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that answer.")] = None,
    challenger: Annotated[
        str | None, typer.Option(metavar="DIR", help="A bundle for a share of the users.")
    ] = None,
    share: Annotated[float | None, typer.Option(help="Of the users; 0.1 by default.")] = None,
    shadow: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="A bundle that answers to be compared only."),
    ] = None,
    settings: Annotated[
        Path | None, typer.Option(help="TOML file of settings; flags win over it.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The model's name in /v1 and /v2.")] = None,
    certificate: Annotated[str | None, typer.Option(help="Certificate file, for TLS.")] = None,
    private_key: Annotated[str | None, typer.Option(help="Key file, for TLS.")] = None,
    access_log: Annotated[
        bool | None,
        typer.Option("--access-log/--no-access-log", help="Log every request; on by default."),
    ] = None,
) -> None:
    """Answer over HTTP, until told to stop.

    Every setting can also stand in the file, or in the environment as SHORTLIST_PORT and so on. Logs are JSON lines on standard error.
    """  # noqa: DOC501
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: requests share the cores
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from shortlist.errors import MissingExtraError

    flags: dict[str, object] = {
        "bundle": str(bundle),
        "host": host,
        "port": port,
        "state": state,
        "workers": workers,
        "challenger": challenger,
        "share": share,
        "shadow": shadow,
        "name": name,
        "certificate": certificate,
        "private_key": private_key,
        "access_log": access_log,
    }
    try:
        from shortlist.serving.server import serve as run
        from shortlist.serving.settings import read_settings
    except ModuleNotFoundError as error:
        if error.name not in {"uvicorn", "msgspec"}:
            raise
        msg = "serving needs the extra serve: pip install 'shortlist[serve]'"
        raise MissingExtraError(msg) from error
    run(read_settings(flags, settings))
