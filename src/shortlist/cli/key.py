"""``shortlist key``: a key for the service, and the line that lets it in."""

from typing import Annotated, Literal

import typer

from shortlist.cli.options import AsJson
from shortlist.cli.printing import as_json, show

EXAMPLE = "Example: shortlist key --name shop --scope write"


def key(
    *,
    name: Annotated[str, typer.Option(help="Who will use it; it stands in the log.")],
    scope: Annotated[
        Literal["read", "write", "admin"],
        typer.Option(help="read asks; write also tells; admin also reloads and rolls back."),
    ] = "read",
    json: AsJson = False,
) -> None:
    """Make a key for the service.

    The key is shown once and kept nowhere. The service is told its hash: put the line into keys of the settings file, or into SHORTLIST_KEYS.

    Raises:
        ConfigError: the name holds a colon, a comma or nothing.
    """
    import hashlib
    import secrets

    from shortlist.errors import ConfigError

    if not name.strip() or set(name) & set(":,"):
        msg = f"a key's name has neither colon nor comma; got {name!r}"
        raise ConfigError(msg)
    made = secrets.token_urlsafe(32)
    line = f"{name}:{scope}:{hashlib.sha256(made.encode()).hexdigest()}"
    if json:
        as_json({"key": made, "line": line})
    else:
        show(f"For {name}, once:", made, "For the service:", line)
