"""Taking the forgotten out of every kept version of the bundles, beside the answers.

The store keeps a salted hash of each forgotten id, with the place of the forgetting in the order of
arrival. A version that was trained on events up to a later place was made without the person, or from
what the person did after coming back; any other version must not hold the id.
"""

import asyncio
import contextlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from shortlist.errors import BundleError
from shortlist.recommender.locking import alone_in

if TYPE_CHECKING:
    from shortlist.recommender.forgetting import WrittenAnew

_DRAFT_SECONDS = 3600  # nobody takes so long to write one


def clean(
    path: Path, hash_of: Callable[[str], str], forgotten: Mapping[str, int]
) -> "WrittenAnew":
    """Write the versions anew that hold somebody forgotten.

    Args:
        path: the bundle's folder.
        hash_of: makes the hash under which somebody is forgotten.
        forgotten: hashes, with the place of each forgetting.

    Returns:
        What became of the versions.

    Raises:
        BundleError: a version cannot be written.
    """
    from shortlist.recommender.forgetting import WrittenAnew, forget_by, ids_in

    def whom(version: str) -> set[str]:
        through = _trained_through(path, version)
        late = {one for one, seq in forgotten.items() if seq > through}
        return {one for one in ids_in(path, version) if hash_of(one) in late} if late else set()

    if not forgotten:
        return WrittenAnew({}, ())
    with alone_in(path):
        _remove_drafts(path)
        return forget_by(path, whom)


class Cleaner:
    """Cleans the bundles whenever asked, one time after the other, in a thread of its own.

    Args:
        paths: of the bundles.
        hash_of: makes the hash under which somebody is forgotten.
    """

    def __init__(self, paths: list[Path], hash_of: Callable[[str], str]) -> None:
        self._paths, self._hash_of = paths, hash_of
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="clean")
        self._lock = asyncio.Lock()
        self._asked = self._done = 0
        self._left: list[str] = []

    async def clean(self, forgotten: Callable[[], Mapping[str, int]]) -> tuple[int, list[str]]:
        """Clean all bundles; whoever asks while it waits for its turn shares the next one.

        Args:
            forgotten: tells the hashes when the turn has come.

        Returns:
            How many versions were written anew by this turn, and what it, or the turn shared, left, in words.
        """
        self._asked += 1
        mine = self._asked
        async with self._lock:
            if self._done >= mine:
                return 0, self._left
            turn, now = self._asked, dict(forgotten())
            loop, count, self._left = asyncio.get_running_loop(), 0, []
            for path in self._paths:
                made = await loop.run_in_executor(self._thread, clean, path, self._hash_of, now)
                count += len(made.renamed)
                self._left += made.left
            self._done = turn
            return count, self._left

    def close(self) -> None:
        """Finish the version under way."""
        self._thread.shutdown(cancel_futures=True)


def _remove_drafts(path: Path) -> None:
    # what somebody was killed over while publishing may hold people, and is no version
    for draft in (path / "versions").glob(".draft-*"):
        with contextlib.suppress(FileNotFoundError):  # it was published this moment
            if time.time() - draft.stat().st_mtime > _DRAFT_SECONDS:
                shutil.rmtree(draft)


def _trained_through(path: Path, version: str) -> int:
    try:
        manifest = json.loads((path / "versions" / version / "manifest.json").read_bytes())
        return int(manifest.get("events_through", 0))  # bundles of before have none
    except (OSError, AttributeError, TypeError, ValueError) as error:
        msg = f"the manifest of version {version} of {path} cannot be read: {error!r}"
        raise BundleError(msg) from error
