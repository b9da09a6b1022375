"""One writer at a time in a bundle, among threads and processes."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from shortlist.errors import BundleError

if sys.platform != "win32":
    import fcntl


class _Held(threading.local):
    def __init__(self) -> None:
        self.paths: set[Path] = set()  # the bundles that this thread is alone in


_held = _Held()


@contextlib.contextmanager
def alone_in(path: Path) -> Iterator[None]:
    """Wait until nobody else publishes in a bundle, names another version, or removes one.

    Whoever is alone already stays so: one such block may stand within another.

    Args:
        path: the bundle's folder; where there is none, there is nothing to wait for.

    Yields:
        Nothing.

    Raises:
        BundleError: the folder cannot be opened, or was removed meanwhile.
    """
    name = path.resolve()
    # Windows has no such lock: there, one process at a time
    if sys.platform == "win32" or name in _held.paths or not path.is_dir():
        yield
        return
    try:
        handle = _locked(path)
    except OSError as error:
        msg = f"cannot wait for other writers of the bundle {path}: {error}. Check that it is still there, and the folder's permissions"
        raise BundleError(msg) from error
    _held.paths.add(name)
    try:
        yield
    finally:
        _held.paths.remove(name)
        os.close(handle)


def _locked(path: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            # who waited for a folder that was removed, and made again, holds nothing
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
