"""Files that must arrive whole: flushed when written, checked when read."""

import hashlib
import os
from pathlib import Path

from shortlist.data.protocols import Json
from shortlist.errors import BundleError

RESTORE = "Restore it, or save the model again"


def write_file(file: Path, content: bytes) -> dict[str, Json]:
    """Write and flush to disk.

    Args:
        file: to write.
        content: its bytes.

    Returns:
        Its seal: size and SHA-256.
    """
    with file.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, so that a rename survives a power cut.

    Args:
        folder: whose entries changed.
    """
    if os.name == "nt":
        return  # a folder cannot be flushed there
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_files(folder: Path, seals: dict[str, Json]) -> None:
    """Compare files with their seals.

    Args:
        folder: that holds them.
        seals: size and SHA-256 by name.

    Raises:
        BundleError: a file is missing, truncated or changed.
    """
    for name, seal in seals.items():
        file = folder / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            msg = f"{folder / 'manifest.json'} names {name!r}, outside the bundle; do not trust it"
            raise BundleError(msg)
        try:
            size = file.stat().st_size
            if size != seal["bytes"]:
                msg = f"{file} has {size:,} bytes; {seal['bytes']:,} were published. {RESTORE}"
                raise BundleError(msg)
            if _digest(file) != seal["sha256"]:
                msg = f"{file} is not what was published: its SHA-256 differs. {RESTORE}"
                raise BundleError(msg)
        except OSError as error:
            msg = f"{file} cannot be read ({error}). {RESTORE}"
            raise BundleError(msg) from error


def _digest(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
