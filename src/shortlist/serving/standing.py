"""Where each of several workers stands, so that the one that is told of a new version can answer for all."""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from shortlist.serving.arms import Arms

AGREE_SECONDS = 10.0  # that an answer waits for the other workers
_LOOK_SECONDS = 0.02


class Standing(Struct, frozen=True):
    """What one worker answers from.

    Attributes:
        versions: of the bundles, by arm.
        pointers: what each bundle's CURRENT said, by arm.
        items: how many posted items it took in.
    """

    versions: Mapping[str, str]
    pointers: Mapping[str, str]
    items: int


class Standings:
    """The files in which every worker says where it stands.

    Args:
        folder: of the files, of these workers alone.
        number: of this worker.
        workers: how many there are.
    """

    def __init__(self, folder: Path, number: int, workers: int) -> None:
        self._folder, self._number, self._workers = folder, number, workers

    def write(self, standing: Standing) -> None:
        """Tell the others where this worker stands.

        Args:
            standing: of this worker.
        """
        self._replace(f"{self._number}.standing", msgspec.json.encode(standing))

    def all(self) -> list[Standing | None]:
        """Where every worker stands.

        Returns:
            By number; None for one that has not started yet.
        """
        return [self._read(number) for number in range(self._workers)]

    def call(self) -> None:
        """Make every worker look for new versions."""
        self._replace("call", secrets.token_bytes(8))

    def called(self) -> bytes:
        """What the last call left: another value means another call.

        Returns:
            Bytes; none before the first.
        """
        return _content(self._folder / "call")

    async def agree(self, mine: Callable[[], Standing]) -> bool:
        """Wait until every worker stands where this one does.

        Args:
            mine: where this one stands, or will as soon as it took in what it kept.

        Returns:
            Whether they do; not where that took longer than ``AGREE_SECONDS``.
        """
        last = time.monotonic() + AGREE_SECONDS
        while not all(_there(one, mine()) for one in self.all()):
            if time.monotonic() > last:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return True

    def _read(self, number: int) -> Standing | None:
        content = _content(self._folder / f"{number}.standing")
        return msgspec.json.decode(content, type=Standing) if content else None

    def _replace(self, name: str, content: bytes) -> None:
        draft = self._folder / f"{name}.{self._number}.draft"
        draft.write_bytes(content)
        draft.replace(self._folder / name)


def standing_of(arms: Arms, items: int) -> Standing:
    """Where a worker stands.

    Args:
        arms: answer there.
        items: how many posted items it took in.

    Returns:
        A Standing.
    """
    held = arms.runnings.items()
    return Standing(
        {arm: one.version for arm, one in held}, {arm: one.pointer for arm, one in held}, items
    )


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""


def _there(one: Standing | None, mine: Standing) -> bool:
    return one is not None and one.pointers == mine.pointers and one.items >= mine.items
