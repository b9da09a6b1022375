"""The log of the events is emptied between other writes, so that who reads it holds nobody up."""

import asyncio

from shortlist.serving.committing import Committer
from shortlist.serving.events import StoreBusy

_PAUSE_SECONDS = 0.25  # between two tries, each of which keeps the writes waiting for far less


class Emptier:
    """Tries again and again, for all who wait at once.

    Args:
        committer: writes the store.
        patience_seconds: that each waits.
    """

    def __init__(self, committer: Committer, *, patience_seconds: float) -> None:
        self._committer, self._patience = committer, patience_seconds
        self._waiting: list[asyncio.Future[None]] = []
        self._trying: asyncio.Task[None] | None = None

    async def empty(self) -> None:
        """Wait until nothing that was removed before is in the log.

        Raises:
            StoreBusy: somebody reads it all the time, or the disk is full.
        """
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        if self._trying is None:
            self._trying = asyncio.create_task(self._try())
        try:
            await asyncio.wait_for(mine, self._patience)
        except TimeoutError:
            msg = "the log cannot be emptied: somebody reads it"
            raise StoreBusy(msg) from None
        finally:
            if mine in self._waiting:
                self._waiting.remove(mine)

    async def _try(self) -> None:
        try:
            while self._waiting:
                turn = list(self._waiting)  # a try serves those who came before it
                if await self._tried(turn):
                    self._waiting = [one for one in self._waiting if one not in turn]
                else:
                    await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            self._trying = None

    async def _tried(self, turn: "list[asyncio.Future[None]]") -> bool:
        try:
            emptied = await self._committer.call(lambda store: store.empty_log())
        except Exception as error:  # it goes to whoever waits
            for one in turn:
                if not one.done():
                    one.set_exception(error)
            return True
        for one in turn:
            if emptied and not one.done():
                one.set_result(None)
        return bool(emptied)
