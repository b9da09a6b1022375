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
        forgotten: the place of the last forgetting that it heeds, in the order of arrival.
    """

    versions: Mapping[str, str]
    pointers: Mapping[str, str]
    items: int
    forgotten: int


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

    def versions(self) -> list[Mapping[str, str]]:
        """What every worker answers from.

        Returns:
            Versions by arm, by worker; empty for one that has not started.
        """
        return [{} if one is None else one.versions for one in self.all()]

    async def heed(self, seq: int) -> bool:
        """Wait until every worker heeds a forgetting.

        Args:
            seq: its place in the order of arrival.

        Returns:
            Whether all do; not where one did not follow in time.
        """
        return await self.agree(lambda one: one.forgotten >= seq)

    async def agree(self, there: Callable[[Standing], bool]) -> bool:
        """Wait until every worker stands somewhere.

        Args:
            there: whether a worker does.

        Returns:
            Whether they do; not where that took longer than ``AGREE_SECONDS``.
        """
        last = time.monotonic() + AGREE_SECONDS
        while not all(one is not None and there(one) for one in self.all()):
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


class Alone(Standings):
    """Where the only worker stands: nobody else is to be told."""

    def __init__(self) -> None:
        super().__init__(Path(), 0, 1)
        self._mine: Standing | None = None

    def write(self, standing: Standing) -> None:
        """Keep it.

        Args:
            standing: of this worker.
        """
        self._mine = standing

    def all(self) -> list[Standing | None]:
        """Where the worker stands.

        Returns:
            One.
        """
        return [self._mine]

    async def agree(self, there: Callable[[Standing], bool]) -> bool:
        """Nobody else is waited for.

        Args:
            there: not asked.

        Returns:
            True.
        """
        return True

    def call(self) -> None:
        """Nobody is called."""

    def called(self) -> bytes:
        """Nobody calls.

        Returns:
            Nothing.
        """
        return b""


def standing_of(arms: Arms, items: int, forgotten: int) -> Standing:
    """Where a worker stands.

    Args:
        arms: answer there.
        items: how many posted items it took in.
        forgotten: the place of the last forgetting that it heeds.

    Returns:
        A Standing.
    """
    held = arms.runnings.items()
    return Standing(
        {arm: one.version for arm, one in held},
        {arm: one.pointer for arm, one in held},
        items,
        forgotten,
    )


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
