"""Group commit: one thread writes, and everything that waits shares one flush to disk."""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from shortlist.serving.events import Kept, Store

_LARGEST = 2000  # events in one transaction
_CLOSE_SECONDS = 2.0  # nobody waits for an answer any more


class Committer:
    """The only writer of a store.

    Whoever cancels what was returned, as after a time, takes the job back, unless it was begun.

    Args:
        store: written from one thread.
        waiting: most jobs in the queue.
    """

    def __init__(self, store: Store, *, waiting: int) -> None:
        self._store, self._most = store, waiting
        self._jobs: deque[_Job] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self.flushes = 0
        self._thread = threading.Thread(target=self._run, name="commit", daemon=True)
        self._thread.start()

    @property
    def full(self) -> bool:
        """Whether no more job may wait."""
        return len(self._jobs) >= self._most

    def append(self, events: Sequence[Kept]) -> "asyncio.Future[list[Kept | None]]":
        """Keep events, with whatever else is waiting.

        Args:
            events: any number.

        Returns:
            Done when they are on disk, with each event's place; it fails where nothing was kept.
        """
        return self._put(events, None)

    def call(self, work: Callable[[Store], Any]) -> "asyncio.Future[Any]":
        """Do something else with the store, in its thread.

        Args:
            work: gets the store.

        Returns:
            Done with what it returned.
        """
        return self._put((), work)

    def close(self) -> bool:
        """Finish what is waiting, then stop.

        Returns:
            Whether it was finished; not where the store does not answer, and is in use still.
        """
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(_CLOSE_SECONDS)
        return not self._thread.is_alive()

    def _put(
        self, events: Sequence[Kept], work: Callable[[Store], Any] | None
    ) -> "asyncio.Future[Any]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        with self._wake:
            self._jobs.append(_Job(loop, future, events, work))
            self._wake.notify()
        return future

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._jobs and not self._closing:
                    self._wake.wait()
                if not self._jobs:
                    return
                jobs = [one for one in self._taken() if not one.future.cancelled()]
            if not jobs:
                continue
            if jobs[0].work is not None:
                self._do(jobs[0], jobs[0].work)
            else:
                self._commit(jobs)

    def _taken(self) -> list["_Job"]:
        # events that wait one behind the other go together, anything else alone
        jobs = [self._jobs.popleft()]
        size = len(jobs[0].events)
        while jobs[0].work is None and self._jobs and self._jobs[0].work is None:
            size += len(self._jobs[0].events)
            if size > _LARGEST:
                break
            jobs.append(self._jobs.popleft())
        return jobs

    def _do(self, job: "_Job", work: Callable[[Store], Any]) -> None:
        try:
            made = work(self._store)
        except Exception as error:  # it goes to whoever asked
            job.fail(error)
        else:
            job.done(made)

    def _commit(self, jobs: list["_Job"]) -> None:
        try:
            kept = self._store.append([one for job in jobs for one in job.events])
            self.flushes += 1
        except Exception as error:  # nothing was kept: everyone who waits is told
            for job in jobs:
                job.fail(error)
            return
        start = 0
        for job in jobs:
            job.done(kept[start : start + len(job.events)])
            start += len(job.events)


class _Job:
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        future: "asyncio.Future[Any]",
        events: Sequence[Kept],
        work: Callable[[Store], Any] | None,
    ) -> None:
        self.loop, self.future, self.events, self.work = loop, future, events, work

    def done(self, made: object) -> None:
        self._tell(self._set, made)

    def fail(self, error: Exception) -> None:
        self._tell(self._set_error, error)

    def _tell(self, how: Callable[[Any], None], what: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self.loop.call_soon_threadsafe(how, what)

    def _set(self, made: object) -> None:
        if not self.future.done():
            self.future.set_result(made)

    def _set_error(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)
