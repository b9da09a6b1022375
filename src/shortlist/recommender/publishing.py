"""Publishing: a new version of a folder appears whole, or nothing of it stays behind.

Whoever writes is alone in the bundle (:mod:`shortlist.recommender.locking`); readers never wait.
"""

import contextlib
import hashlib
import logging
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shortlist.data.protocols import Json
from shortlist.errors import BundleError, ConfigError, NoEarlierVersion
from shortlist.recommender.files import RESTORE, flush_folder, write_file
from shortlist.recommender.locking import alone_in

VERSION = re.compile(r"\d{4,}")
_OURS = {"CURRENT", "versions"}
_POINTER = re.compile(r"(?P<version>\d{4,}) (?P<digest>[0-9a-f]{64})\n?")
_log = logging.getLogger(__name__)


def pointed_at(path: Path) -> tuple[str, str]:
    """What CURRENT names.

    Args:
        path: the bundle's folder.

    Returns:
        The version, and the SHA-256 of its manifest.

    Raises:
        BundleError: CURRENT is missing or damaged.
    """
    try:
        text = (path / "CURRENT").read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} is no bundle: its file CURRENT cannot be read ({error}). Give the folder that save() or --out wrote"
        raise BundleError(msg) from error
    pointer = _POINTER.fullmatch(text)
    if pointer is None:
        msg = f"{path / 'CURRENT'} is damaged: it reads {text[:100]!r}. {RESTORE}"
        raise BundleError(msg)
    return pointer["version"], pointer["digest"]


def versions(path: Path) -> list[str]:
    """The versions that a bundle holds.

    Args:
        path: the bundle's folder.

    Returns:
        Their names, oldest first.

    Raises:
        BundleError: there is no bundle.
    """
    pointed_at(path)
    held = (one.name for one in (path / "versions").iterdir())
    return sorted((name for name in held if VERSION.fullmatch(name)), key=int)


def point_at(path: Path, version: str) -> None:
    """Name another version in CURRENT: what was published before, for instance.

    Args:
        path: the bundle's folder.
        version: name of a version that is there.

    Raises:
        BundleError: it is not there, or CURRENT cannot be written; it is then as it was.
    """
    try:
        with _publication(path) as made:
            manifest = (path / "versions" / version / "manifest.json").read_bytes()
            _name_it(path, version, manifest, made)
    except OSError as error:
        msg = f"cannot make version {version!r} the current one of {path}: {error}"
        raise BundleError(msg) from error


def remove_old(path: Path, keep: int) -> list[str]:
    """Remove the oldest versions of a bundle.

    Args:
        path: the bundle's folder.
        keep: how many of the newest stay, at least 1; the current one stays whatever its age.

    Returns:
        The names of those removed.

    Raises:
        BundleError: one cannot be removed.
        ConfigError: ``keep`` is below 1.
    """
    if keep < 1:
        msg = f"keep must be at least 1; got {keep}"
        raise ConfigError(msg)
    try:
        with alone_in(path):
            current = pointed_at(path)[0]
            old = [one for one in versions(path)[:-keep] if one != current]
            for one in old:
                shutil.rmtree(path / "versions" / one)
    except OSError as error:
        msg = f"an old version of {path} cannot be removed: {error}"
        raise BundleError(msg) from error
    return old


def publish(
    path: Path,
    contents: Mapping[str, bytes],
    manifest_of: Callable[[dict[str, Json]], bytes],
    *,
    current: bool = True,
) -> Path:
    """Write files as the next version, and name it in CURRENT.

    Args:
        path: the bundle's folder; made, with its parents, where it is not there.
        contents: bytes by name; a name may have one folder.
        manifest_of: makes the manifest of the files' seals.
        current: whether CURRENT names it from then on.

    Returns:
        The folder of the version written.

    Raises:
        BundleError: the folder holds something else, or cannot be written; nothing is left behind.
    """
    try:
        with _publication(path, make=True) as made:
            _insist_ours(path)
            final, manifest = _written(path, contents, manifest_of, made)
            if current:
                _name_it(path, final.name, manifest, made)
            made.published = True
            return final
    except OSError as error:
        msg = f"cannot write the bundle {path}: {error}. Nothing was left behind; check the free space and the folder's permissions"
        raise BundleError(msg) from error


def _written(
    path: Path,
    contents: Mapping[str, bytes],
    manifest_of: Callable[[dict[str, Json]], bytes],
    made: "_Made",
) -> tuple[Path, bytes]:
    versions = path / "versions"
    made.make(versions)
    draft = made.version = versions / f".draft-{uuid.uuid4().hex}"
    draft.mkdir()
    folders = {(draft / name).parent for name in contents} - {draft}
    for folder in folders:
        folder.mkdir()
    seals = {name: write_file(draft / name, content) for name, content in contents.items()}
    manifest = manifest_of(seals)
    write_file(draft / "manifest.json", manifest)
    for folder in (*folders, draft):
        flush_folder(folder)
    taken = (int(one.name) for one in versions.iterdir() if VERSION.fullmatch(one.name))
    final = versions / f"{1 + max(taken, default=0):04d}"
    draft.rename(final)
    made.version = final
    flush_folder(versions)
    return final, manifest


def _name_it(path: Path, version: str, manifest: bytes, made: "_Made") -> None:
    pointer = made.pointer = path / f".CURRENT-{uuid.uuid4().hex}"
    write_file(pointer, f"{version} {hashlib.sha256(manifest).hexdigest()}\n".encode())
    pointer.replace(path / "CURRENT")
    made.published = True  # readers see it
    try:
        flush_folder(path)
    except OSError as error:  # the worst is that a power cut brings the previous version back
        _log.warning("%s is published, but could not be flushed to disk: %s", path, error)


def roll_back(path: Path, version: str | None = None) -> str:
    """Name another version in CURRENT: readers go back to it, or forward again.

    Args:
        path: the bundle's folder.
        version: such as ``"0002"``; None for the one before the current.

    Returns:
        The version named.

    Raises:
        NoEarlierVersion: none is before the current one, and none was named.
        BundleError: there is no such version, or CURRENT cannot be written.
    """
    with alone_in(path):
        held, current = versions(path), pointed_at(path)[0]
        if version is None:
            version = next((one for one in reversed(held) if int(one) < int(current)), None)
            if version is None:
                msg = f"{path} has no version before the current one, {current}: there is nothing to go back to. It has {held}; name one of them to go to it"
                raise NoEarlierVersion(msg)
        if version not in held:
            msg = f"{path} has no version {version} to go back to; it has {held}, and {current} is the current one"
            raise BundleError(msg)
        point_at(path, version)
        return version


@dataclass
class _Made:
    """What a publication has put on the disk so far."""

    folders: list[Path] = field(default_factory=list)  # outermost first
    version: Path | None = None
    pointer: Path | None = None
    published: bool = False

    def make(self, folder: Path) -> None:
        for one in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
            one.mkdir(exist_ok=True)
            self.folders.append(one)

    def undo(self) -> None:
        if self.pointer is not None:
            with contextlib.suppress(OSError):
                self.pointer.unlink(missing_ok=True)
        if self.version is not None:
            shutil.rmtree(self.version, ignore_errors=True)
        for folder in reversed(self.folders):
            with contextlib.suppress(OSError):  # others have put something there: it stays
                folder.rmdir()


@contextlib.contextmanager
def _publication(path: Path, *, make: bool = False) -> Iterator[_Made]:
    # alone in the bundle, also while what was not published is taken away again
    made = _Made()
    with contextlib.ExitStack() as alone:
        try:
            if make:
                made.make(path)
            alone.enter_context(alone_in(path))
            yield made
        finally:
            if not made.published:
                made.undo()


def _insist_ours(path: Path) -> None:
    if not path.exists():
        return
    if path.is_dir():
        there = {one.name for one in path.iterdir() if not one.name.startswith(".CURRENT-")}
        if not there or ("versions" in there and there <= _OURS):
            return
        if there >= _OURS and (path / "versions").is_dir():
            return  # a bundle beside which somebody put a note
    msg = f"{path} is there and is no bundle; choose another folder or empty it first"
    raise BundleError(msg)
