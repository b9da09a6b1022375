"""The service without HTTP: what answers, what is remembered, and how one bundle replaces another."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version as package_version
from typing import Any, TypeVar

from shortlist.errors import ShortlistError
from shortlist.recommender.publishing import name_current
from shortlist.serving import logs
from shortlist.serving.answering import Batcher
from shortlist.serving.asking import Question, Reply, answer_batch
from shortlist.serving.committing import Committer
from shortlist.serving.events import Kept, SqliteStore, Store, StoreFull
from shortlist.serving.metrics import Metrics, resident_bytes
from shortlist.serving.opening import grown, open_running, pointer_of
from shortlist.serving.overlay import Overlay
from shortlist.serving.refusals import DiskFull, Overloaded, Refused, TooSlow
from shortlist.serving.running import Running
from shortlist.serving.settings import Settings

Made = TypeVar("Made")
_SLOW = 32  # slow requests that may wait
_COMMITS = 1024  # batches of events that may wait


class Service:
    """Everything behind the routes.

    Args:
        settings: how it is set up.
        store: keeps events; None for SQLite in the settings' folder.

    Attributes:
        running: what answers now; :meth:`swap` replaces it in one assignment.
        overlay: what happened since the bundle was written.
        metrics: counts.
        ready: whether requests are answered: not before the start, nor once it is told to stop.
        reload_error: why the last bundle offered was not taken; None where it was.
        package: version of this package.
    """

    def __init__(self, settings: Settings, store: Store | None = None) -> None:
        self.settings = settings
        pointer_of(settings.bundle_path)  # before a folder is made beside what is no bundle
        self.store = SqliteStore(settings.state_path) if store is None else store
        self.running, refused = open_running(settings.bundle_path, self.store.items())
        _tell_refused(refused)
        self.overlay = Overlay(self.store.hash_of, self.store.forgotten())
        self.overlay.apply(self.store.events_after(self.running.through))
        self.metrics = Metrics()
        self.committer = Committer(self.store, waiting=_COMMITS)
        self.batcher: Batcher[Question, Reply] = Batcher(
            self._answer,
            largest=settings.batch,
            waiting=settings.queue,
            timeout_seconds=settings.timeout_seconds,
            name="answer",
        )
        self._slow = ThreadPoolExecutor(1, thread_name_prefix="slow")
        self._slow_waiting = 0
        self._swapping = asyncio.Lock()
        self.ready = True
        self.reload_error: str | None = None
        self.package = package_version("shortlist")

    async def recommend(self, question: Question) -> Reply:
        """A shortlist, answered with whatever else is waiting.

        Args:
            question: the request.

        Returns:
            The reply.
        """
        return await self.batcher.ask(question)

    async def slowly(self, work: Callable[[], Made]) -> Made:
        """Do what takes longer than a shortlist, beside the shortlists.

        Args:
            work: runs in a thread of its own.

        Returns:
            What it returned.

        Raises:
            Overloaded: too much is waiting.
            TooSlow: it took too long.
        """
        if self._slow_waiting >= _SLOW:
            raise Overloaded
        self._slow_waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._slow, work)
        future.add_done_callback(self._slow_done)
        try:
            return await asyncio.wait_for(asyncio.shield(future), self.settings.timeout_seconds)
        except TimeoutError:
            future.add_done_callback(_looked_at)
            raise TooSlow from None

    async def keep(self, events: Sequence[Kept]) -> tuple[int, int]:
        """Keep events; they are on disk, and count, when this returns.

        Args:
            events: in the order of arrival.

        Returns:
            How many were new, and how many are about items that the catalogue lacks.

        Raises:
            DiskFull: nothing was kept.
            Overloaded: too many are waiting.
        """
        if self.committer.full:
            raise Overloaded
        try:
            kept = await self.committer.append(events)
        except StoreFull:
            raise DiskFull from None
        new = [one for one in kept if one is not None]
        self.overlay.apply(sorted(new, key=lambda one: one.seq))
        for one in new:
            self.metrics.events[one.event] += 1
        known = self.running.snapshot.item_vocabulary
        return len(new), sum(known.row(one.item_id) < 0 for one in new)

    async def add_items(self, items: Sequence[tuple[str, str]]) -> tuple[int, int, int]:
        """Keep new items, and recommend them from now on.

        Args:
            items: id and JSON of the columns.

        Returns:
            How many were new, how many were known, and how many of the new ones are like nothing.

        Raises:
            DiskFull: nothing was kept.
            Refused: an item is not of the catalogue's kind.
        """
        async with self._swapping:
            before = self.running
            known = before.snapshot.item_vocabulary
            new = [one for one in dict(items).items() if known.row(one[0]) < 0]
            made, refused = await self.slowly(lambda: grown(before, new))
            if refused:
                raise Refused(
                    422,
                    "bad_item",
                    "an item has a column that the catalogue lacks, or a value of another kind; GET /items/{item_id} shows an item's columns",
                )
            try:
                await self.committer.call(lambda store: store.add_items(new))
            except StoreFull:
                raise DiskFull from None
            self.running = made
        growth = made.recommender.growth
        alone = (
            0
            if growth is None
            else sum(made.row(item_id) in set(growth.like_none.tolist()) for item_id, _ in new)
        )
        return len(new), len(items) - len(new), alone

    async def forget(self, user_id: str) -> tuple[int, int]:
        """Forget a user: events are removed, the bundle's rows are used no more.

        Args:
            user_id: as text.

        Returns:
            How many events were removed, and how many rows of the bundle are hidden from now on.

        Raises:
            DiskFull: nothing was removed.
        """
        row = self.overlay.user_row(self.running, user_id)
        offsets = self.running.snapshot.histories.offsets
        hidden = 0 if row < 0 else int(offsets[row + 1] - offsets[row])
        try:
            removed = await self.committer.call(lambda store: store.forget(user_id))
        except StoreFull:
            raise DiskFull from None
        self.overlay.forget(user_id)
        return removed, hidden

    async def reload(self, *, only_if_changed: bool = False) -> bool:
        """Take the bundle's current version; whoever asks meanwhile is answered by the old one.

        Args:
            only_if_changed: whether to leave the same version alone.

        Returns:
            Whether another version answers now.

        Raises:
            ShortlistError: it cannot be trusted; the old one goes on answering.
        """
        async with self._swapping:
            before = self.running
            try:
                if only_if_changed and pointer_of(before.path) == before.pointer:
                    return False
                items = await self.committer.call(lambda store: store.items())
                loop = asyncio.get_running_loop()
                made, refused = await loop.run_in_executor(
                    self._slow, lambda: _warmed(*open_running(before.path, items))
                )
                await self.swap(made)
            except ShortlistError as error:
                self.reload_error = str(error)
                self.metrics.reloads["refused"] += 1
                logs.say("reload_refused", level="error", reason=str(error))
                raise
        _tell_refused(refused)
        self.reload_error = None
        self.metrics.reloads["done"] += 1
        logs.say("reloaded", version=made.version, before=before.version)
        return made.pointer != before.pointer

    async def rollback(self, version: str | None) -> None:
        """Name another version of the bundle as its current one, and take it.

        Args:
            version: such as ``"0002"``; None for the one before the current.

        Raises:
            ShortlistError: there is none, or it cannot be trusted; the one before is current again.
        """
        path, before = self.running.path, self.running.version
        await self.slowly(lambda: name_current(path, version))
        try:
            await self.reload()
        except ShortlistError:
            await self.slowly(lambda: name_current(path, before))
            raise

    async def swap(self, made: Running) -> None:
        """Let another recommender answer. Batches under way are finished by the old one.

        Args:
            made: answers from the next batch on.
        """
        if made.through != self.running.through:
            least = min(made.through, self.running.through)
            both = await self.committer.call(lambda store: store.events_after(least))
            self.overlay.replace(both)
        self.running = made

    async def watch(self) -> None:
        """Look for new versions until cancelled."""
        refused = ""
        while True:
            await asyncio.sleep(self.settings.watch_seconds)
            try:
                there = pointer_of(self.running.path)
                if there not in {self.running.pointer, refused}:
                    refused = there
                    await self.reload(only_if_changed=True)
            except ShortlistError:
                continue  # reload told it; the old one goes on

    def gauges(self) -> dict[str, float]:
        """What is measured now.

        Returns:
            By the name that Prometheus knows it by.
        """
        sizes, self.batcher.sizes = self.batcher.sizes, []
        for size in sizes:
            self.metrics.batches.observe(size)
        return {
            "shortlist_waiting_requests": float(self.batcher.depth),
            "shortlist_ready": float(self.ready),
            "shortlist_resident_bytes": float(resident_bytes()),
            "shortlist_flushes": float(self.committer.flushes),
            "shortlist_time_seconds": time.time(),
        }

    def close(self) -> None:
        """Finish what waits, and give everything back."""
        self.ready = False
        self.batcher.close()
        self._slow.shutdown(cancel_futures=True)
        self.committer.close()
        self.store.close()

    def _answer(self, questions: Sequence[Question]) -> Sequence[Reply | Exception]:
        return answer_batch(self.running, self.overlay, questions)

    def _slow_done(self, _: "asyncio.Future[Any]") -> None:
        self._slow_waiting -= 1


def _looked_at(future: "asyncio.Future[Any]") -> None:
    if not future.cancelled():
        future.exception()  # nobody waits for it any more


def _warmed(running: Running, refused: list[str]) -> tuple[Running, list[str]]:
    # the first answer builds what the others use: it must not be somebody's
    overlay = Overlay(str)
    answer_batch(
        running, overlay, [Question(user_id=""), Question(history=running.item_ids[:1])]
    )
    return running, refused


def _tell_refused(refused: Sequence[str]) -> None:
    if refused:
        logs.say(
            "items_left_out",
            level="warning",
            count=len(refused),
            reason="the bundle's catalogue has other columns than these posted items",
        )
