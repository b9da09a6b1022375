"""The service without HTTP: what answers, what is remembered, and how one bundle replaces another."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version as package_version
from typing import Any, TypeVar

from shortlist.serving import logs
from shortlist.serving.answering import Batcher
from shortlist.serving.arms import Arms
from shortlist.serving.asking import Question, Reply, answer_batch
from shortlist.serving.bundles import Bundles
from shortlist.serving.committing import Committer
from shortlist.serving.emptying import Emptier
from shortlist.serving.events import Kept, Store, StoreBusy, open_store
from shortlist.serving.metrics import Metrics, held_bytes
from shortlist.serving.opening import pointer_of
from shortlist.serving.overlay import Asker
from shortlist.serving.recalling import Recalled
from shortlist.serving.refusals import LogHeld, Overloaded, TooSlow
from shortlist.serving.running import Running
from shortlist.serving.settings import Arm, Settings
from shortlist.serving.shadow import Shadow
from shortlist.serving.sharing import Shared
from shortlist.serving.standing import Standings
from shortlist.serving.waiting import learned

Made = TypeVar("Made")
_TELL_SECONDS = 1.0
_SLOW = 32  # slow requests that may wait
_COMMITS = 1024  # batches of events that may wait


class Service:
    """Everything behind the routes.

    Args:
        settings: how it is set up.
        store: keeps events; None for the one that the settings name.
        shared: adds up the counts of several workers; None where there is one.

    Attributes:
        bundles: what answers now.
        overlay: what happened since the bundle was written.
        metrics: counts.
        ready: whether requests are answered: not before the start, nor once it is told to stop.
        package: version of this package.
    """

    def __init__(
        self, settings: Settings, store: Store | None = None, shared: Shared | None = None
    ) -> None:
        self.settings, self._shared = settings, shared
        pointer_of(settings.bundle_path)  # before a folder is made beside what is no bundle
        self.store = open_store(settings.events) if store is None else store
        self.metrics = Metrics()
        if shared is not None:
            shared.go_on(self.metrics)
        self.committer = Committer(self.store, waiting=_COMMITS)
        self._emptier = Emptier(self.committer, patience_seconds=settings.timeout_seconds)
        standings = None
        if shared is not None:
            standings = Standings(shared.folder, shared.number, settings.workers)
        self.bundles = Bundles(settings, self.store, self.committer, self.metrics, standings)
        self.overlay = self.bundles.overlay
        self.batcher: Batcher[Question, Reply] = Batcher(
            self._answer,
            largest=settings.batch,
            waiting=settings.queue,
            timeout_seconds=settings.timeout_seconds,
            name="answer",
        )
        self._slow = ThreadPoolExecutor(1, thread_name_prefix="slow")
        self._slow_waiting = 0
        self.shadow = Shadow(self._shadowed) if settings.shadow is not None else None
        self.ready = True
        self.package = package_version("shortlist")

    @property
    def arms(self) -> Arms:
        """What answers now."""
        return self.bundles.arms

    @property
    def running(self) -> Running:
        """What answers guests, and everybody where there is no challenger."""
        return self.bundles.arms.champion

    async def recommend(self, question: Question) -> Reply:
        """A shortlist, answered with whatever else is waiting.

        Args:
            question: the request.

        Returns:
            The reply.
        """
        return await self.batcher.ask(question)

    def listed(self, reply: Reply) -> None:
        """Count a shortlist that goes out.

        Args:
            reply: to be answered.
        """
        running = reply.running
        shown = [running.item_ids[row] for row in reply.rows]
        self.metrics.shortlist(running.arm, running.version, shown, fallback=reply.fallback)

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
            StoreError: nothing was kept.
            Overloaded: too many are waiting.
            TooSlow: the store did not answer; they may be kept, and count once they are.
        """
        if self.committer.full:
            raise Overloaded
        kept = await self._soon(self.committer.append(events))
        new = [one for one in kept if one is not None]
        self.overlay.apply(sorted(new, key=lambda one: one.seq))
        for one in new:
            self.metrics.event(one.event, self.arms.arm(one.user_id))
        known = self.running.snapshot.item_vocabulary
        return len(new), sum(known.row(one.item_id) < 0 for one in new)

    async def history(self, user_id: str) -> tuple[Running, Asker, list[Kept | None], Recalled]:
        """What is known of a user, and as what it came.

        Args:
            user_id: as text.

        Returns:
            The champion, the user in its terms, for each entry the live event or None, and what
            knows the events behind the others.

        Raises:
            StoreError: the events behind the bundle's rows cannot be read.
            Overloaded: too many are waiting.
            TooSlow: it took too long.
        """
        while True:
            running, held = self.running, []
            if running.through:
                if self.committer.full:
                    raise Overloaded
                held = await self._soon(
                    self.committer.call(lambda store: store.events_of(user_id))
                )
            if running is self.running:  # otherwise it was replaced meanwhile
                break
        asker, live = self.overlay.told(running, user_id)
        return running, asker, live, Recalled(running, [e for e in held if learned(running, e)])

    async def forget(self, user_id: str) -> tuple[int, int, bool]:
        """Forget a user: events are removed, the bundles' rows are used no more.

        Args:
            user_id: as text.

        Returns:
            How many events were removed, how many rows of the bundle are hidden from now on, and whether
            they are by every worker; not where one did not follow in time.

        Raises:
            StoreError: nothing was removed.
            LogHeld: the events are removed, but their bytes are not yet.
            TooSlow: the store did not answer; they may be removed.
        """
        row = self.overlay.user_row(self.running, user_id)
        offsets = self.running.snapshot.histories.offsets
        hidden = 0 if row < 0 else int(offsets[row + 1] - offsets[row])
        removed, seq = await self._soon(
            self.committer.call(lambda store: store.forget(user_id))
        )
        self.bundles.hide({self.store.hash_of(user_id): seq})
        try:
            await self._emptier.empty()
        except StoreBusy as held:
            logs.say("log_held", level="error", reason=str(held))
            raise LogHeld from None
        return removed, hidden, await self.bundles.standings.heed(seq)

    def counted(self) -> tuple[Metrics, dict[str, float]]:
        """What all workers counted.

        Returns:
            Metrics, and what is measured now.
        """
        gauges = self.gauges()
        if self._shared is None:
            return self.metrics, gauges
        self._shared.write(self.metrics, gauges)  # first: no count may ever seem to fall
        return self._shared.all()

    async def tell(self) -> None:
        """Add up what the threads counted, and tell the other workers, until cancelled."""
        while True:
            with logs.going_on("tell_failed"):
                self.counted()
            await asyncio.sleep(_TELL_SECONDS)

    def gauges(self) -> dict[str, float]:
        """What is measured now.

        Returns:
            By the name that Prometheus knows it by.
        """
        sizes, self.batcher.sizes = self.batcher.sizes, []
        for size in sizes:
            self.metrics.batches.observe(size)
        if self.shadow is not None:
            overlaps, self.shadow.overlaps = self.shadow.overlaps, []
            for overlap in overlaps:
                self.metrics.agreement.observe(overlap)
        resident, own = held_bytes()
        return {
            "shortlist_waiting_requests": float(self.batcher.depth),
            "shortlist_ready": float(self.ready),
            "shortlist_resident_bytes": float(resident),
            "shortlist_own_bytes": float(own),
            "shortlist_flushes": float(self.committer.flushes),
            "shortlist_time_seconds": time.time(),
        } | (
            {}
            if self.shadow is None
            else {
                "shortlist_shadow_left_out": float(self.shadow.left_out),
                "shortlist_shadow_failed": float(self.shadow.failed),
            }
        )

    def close(self) -> None:
        """Finish what waits, and give everything back."""
        self.ready = False
        self.batcher.close()
        if self.shadow is not None:
            self.shadow.close()
        self.bundles.close()
        self._slow.shutdown(cancel_futures=True)
        if self.committer.close():
            self.store.close()
        else:  # it ends with the process; whoever waited was told, or hung up
            logs.say("store_hangs", level="error")

    def _answer(self, questions: Sequence[Question]) -> Sequence[Reply | Exception]:
        arms = self.arms
        if len(arms.runnings) == 1:
            return answer_batch(arms.champion, self.overlay, questions)
        replies: list[Reply | Exception | None] = [None] * len(questions)
        by_arm: dict[Arm, list[int]] = {}
        for place, question in enumerate(questions):
            by_arm.setdefault(arms.arm(question.user_id), []).append(place)
        for arm, places in by_arm.items():
            mine = [questions[place] for place in places]
            answered = answer_batch(arms.runnings[arm], self.overlay, mine)
            for place, reply in zip(places, answered, strict=True):
                replies[place] = reply
        made = [one for one in replies if one is not None]  # all of them
        if self.shadow is not None:
            self.shadow.offer(questions, made)
        return made

    def _shadowed(self, questions: Sequence[Question]) -> Sequence[Reply | Exception]:
        return answer_batch(self.arms.runnings["shadow"], self.overlay, questions)

    async def _soon(self, told: "asyncio.Future[Made]") -> Made:
        try:
            return await asyncio.wait_for(told, self.settings.timeout_seconds)
        except TimeoutError:
            raise TooSlow from None

    def _slow_done(self, _: "asyncio.Future[Any]") -> None:
        self._slow_waiting -= 1


def _looked_at(future: "asyncio.Future[Any]") -> None:
    if not future.cancelled():
        future.exception()  # nobody waits for it any more
