"""What goes over the wire to whoever runs the service."""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from shortlist.serving.wire import Asked


class Health(Struct, frozen=True):
    """Whether the service lives, or is ready."""

    status: str


class Version(Struct, frozen=True):
    """What answers. ``workers`` has the version by arm of each worker; none for one that has not started."""

    shortlist: str
    name: str
    bundle: str
    version: str
    loaded: str
    users: int
    items: int
    workers: list[Mapping[str, str]]
    last_reload_error: str | None = None


class Rollback(Asked, frozen=True):
    """A version of the bundle to go back to; without it, the one before the current."""

    version: Annotated[str, Meta(pattern=r"^\d{4,}$")] | None = None
