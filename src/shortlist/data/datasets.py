"""Data sets by name: MovieLens small comes with the package, the others are read or fetched."""

import hashlib
import http.client
import logging
import os
import tempfile
import urllib.error
import urllib.request
from dataclasses import replace
from importlib import resources
from pathlib import Path

import polars as pl

from shortlist.data.catalogue import Catalogue
from shortlist.data.interactions import Interactions
from shortlist.data.metadata import tidy_items
from shortlist.data.movielens import read_movielens
from shortlist.errors import ConfigError, DataError, closest

log = logging.getLogger("shortlist.data")
BASE_URL = "https://files.grouplens.org/datasets/movielens"
_ZIPS = {
    "100k": "ml-100k.zip",
    "1m": "ml-1m.zip",
    "10m": "ml-10m.zip",
    "20m": "ml-20m.zip",
    "25m": "ml-25m.zip",
    "32m": "ml-32m.zip",
    "latest-small": "ml-latest-small.zip",
    "latest": "ml-latest.zip",
}
_TIMEOUT_SECONDS = 30.0
_BLOCK = 1 << 20


def movielens(
    name: str = "small",
    path: str | Path | None = None,
    *,
    positive: str | None = None,
    cache: str | Path | None = None,
) -> Interactions:
    """A MovieLens data set (Harper and Konstan, ACM TiiS 5(4), 2015).

    GroupLens allows research use, and no commercial use without permission.

    Args:
        name: ``"small"`` (bundled: 100,004 ratings of 9,066 films by 671 users), ``"100k"``,
            ``"1m"``, ``"10m"``, ``"20m"``, ``"25m"``, ``"32m"``, ``"latest-small"`` or ``"latest"``.
        path: the official folder or zip; None looks into the cache folder, then downloads.
        positive: an expression such as ``"rating >= 4"`` that says which rows count as liked.
        cache: where zips are kept; None: ``$SHORTLIST_CACHE``, else ``$XDG_CACHE_HOME/shortlist``,
            else ``~/.cache/shortlist`` (``%LOCALAPPDATA%`` on Windows).

    Returns:
        Interactions with times, the catalogue, and the users where GroupLens tells of them.

    Raises:
        ConfigError: there is no data set of that name.
        DataError: the files are missing or damaged, or cannot be fetched.
    """
    if name != "small" and name not in _ZIPS:
        known = ["small", *_ZIPS]
        msg = f"no MovieLens data set {name!r}; choose one of {', '.join(known)}.{closest(name, known)}"
        raise ConfigError(msg)
    if path is not None:
        return read_movielens(path, positive=positive)
    if name == "small":
        return _bundled(positive)
    folder = cache_folder() if cache is None else Path(cache).expanduser()
    zipped = folder / _ZIPS[name]
    unpacked = folder / zipped.stem
    if unpacked.is_dir():
        return read_movielens(unpacked, positive=positive)
    if not zipped.exists():
        fetch(f"{BASE_URL}/{_ZIPS[name]}", zipped)
    return read_movielens(zipped, positive=positive)


def cache_folder() -> Path:
    """Where downloads are kept.

    Returns:
        ``$SHORTLIST_CACHE``, else the platform's cache folder with ``shortlist`` in it.
    """
    if chosen := os.environ.get("SHORTLIST_CACHE"):
        return Path(chosen).expanduser()
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        if base := os.environ.get(variable):
            return Path(base) / "shortlist"
    return Path.home() / ".cache" / "shortlist"


def _bundled(positive: str | None) -> Interactions:
    home = resources.files("shortlist.data") / "bundled" / "movielens-small"
    with resources.as_file(home / "interactions.parquet") as file:
        rows = pl.read_parquet(file)
    with resources.as_file(home / "items.parquet") as file:
        items = pl.read_parquet(file)
    data = Interactions(rows, Catalogue(tidy_items(items)))
    return data if positive is None else replace(data, positive=positive)


def fetch(url: str, target: Path) -> None:
    """Download a file, compare it with the MD5 published beside it, and put it in place.

    Args:
        url: of the file; ``<url>.md5`` holds its checksum.
        target: where it goes; it appears there whole or not at all.

    Raises:
        DataError: there is no network, the checksum differs, or the folder cannot be written.
    """
    by_hand = f"Fetch {url} by hand and put it at {target}, or pass path=..."
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        os.close(handle)
    except OSError as error:
        msg = f"the cache folder {target.parent} cannot be written ({error}); set SHORTLIST_CACHE to another one"
        raise DataError(msg) from None
    part = Path(name)
    try:
        log.warning("fetching %s to %s", url, target)
        wanted = _published_md5(f"{url}.md5")
        got = _download(url, part)
        if got != wanted:
            msg = f"{url} has MD5 {got}, but {wanted} is published: the download is damaged and was deleted. Try again. {by_hand}"
            raise DataError(msg)
        part.replace(target)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection
        reason = getattr(error, "reason", None) or error
        msg = f"{url} cannot be fetched ({reason}). {by_hand}"
        raise DataError(msg) from None
    finally:
        part.unlink(missing_ok=True)


def _published_md5(url: str) -> str:
    # GroupLens writes the file in two ways: "MD5 (x.zip) = sum" and "sum  x.zip"
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:
        text = answer.read(4096).decode("ascii", errors="replace")
    for word in text.replace("=", " ").split():
        if len(word) == 32 and all(c in "0123456789abcdef" for c in word.lower()):
            return str(word.lower())
    msg = f"{url} holds no MD5 sum but {text[:60]!r}; a proxy or login page may have answered"
    raise DataError(msg)


def _download(url: str, part: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with (
        urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer,
        part.open("wb") as out,
    ):
        while block := answer.read(_BLOCK):
            digest.update(block)
            out.write(block)
    return digest.hexdigest()
