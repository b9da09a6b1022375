"""The page: plain HTML, CSS and JavaScript modules, served as they lie in this folder."""

from collections.abc import Awaitable, Callable, Iterator
from importlib.resources import files

from shortlist.serving.http import Request, Response, Route
from shortlist.serving.security import PAGE_POLICY

_KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_PATHS = {"index.html": "/", "owner.html": "/owner"}


def routes() -> Iterator[Route]:
    """The page's own routes: people's view at ``/``, the owner's at ``/owner``, the rest under ``/page/``.

    Yields:
        Routes that everybody may take; what they show asks the others, with a key where one is needed.
    """
    for file in sorted(files(__name__).iterdir(), key=lambda one: one.name):
        kind = _KINDS.get(file.name.rpartition(".")[2])
        if kind is not None:
            path = _PATHS.get(file.name, f"/page/{file.name}")
            show = _shows(file.read_bytes(), kind)
            yield Route("GET", path, show, "The page", scope=None, query=None)


def _shows(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def show(_: Request) -> Response:
        return Response(content, kind=kind, headers=[PAGE_POLICY])

    return show
