"""The bundles that answer, how a new version of one replaces the old, and what happened since."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from shortlist.errors import BundleError, ShortlistError
from shortlist.recommender.publishing import roll_back
from shortlist.serving import logs, remarks
from shortlist.serving.arms import Arms, Split
from shortlist.serving.cleaning import Cleaner
from shortlist.serving.committing import Committer
from shortlist.serving.events import Store, StoreError, keep_items, news_after
from shortlist.serving.memory import give_back
from shortlist.serving.metrics import Metrics
from shortlist.serving.opening import go_on_after, grown, open_warm, pointer_if_any, pointer_of
from shortlist.serving.overlay import Overlay
from shortlist.serving.refusals import Refused
from shortlist.serving.running import Running
from shortlist.serving.settings import Arm, Settings
from shortlist.serving.standing import Alone, Standing, Standings, standing_of
from shortlist.serving.waiting import posted, untold
from shortlist.serving.wire import Cleaned

Given = ParamSpec("Given")
Made = TypeVar("Made")
_LET_GO_SECONDS = 1.0
_AGAIN_SECONDS = 1.0  # after a failure


class Bundles:
    """What answers, overlaid by the live events.

    Args:
        settings: name the bundles.
        store: read before anything answers.
        committer: reads and writes the store from then on.
        metrics: count reloads.
        standings: of all workers; None where there is one.

    Attributes:
        arms: what answers now; :meth:`swap` replaces it in one assignment.
        overlay: what happened since the bundles were written.
        standings: of all workers.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        committer: Committer,
        metrics: Metrics,
        standings: Standings | None = None,
    ) -> None:
        self._settings, self._committer, self._metrics = settings, committer, metrics
        _, self._items = store.marks()  # before they are read: what is posted meanwhile is news
        items = store.items()
        self.arms = Arms(
            {arm: open_warm(path, items, arm) for arm, path in settings.bundles.items()},
            Split(settings.share, settings.salt),
        )
        for running in self.arms.runnings.values():
            go_on_after(store, running)
            remarks.scales_differ(running, self.arms.champion)
        last, _ = store.marks()
        self.overlay = Overlay(store.hash_of, store.forgotten())
        self.overlay.follow(untold(store, *self.arms.runnings.values()), last)
        self._uncleaned = True  # whether a bundle may hold somebody forgotten
        self._refused: dict[Arm, tuple[str, str]] = {}  # what CURRENT says, and what is wrong
        self._cleaner = Cleaner(list(settings.bundles.values()), store.hash_of)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bundles")
        self._lock = asyncio.Lock()
        self._posted = 0  # items that the store had when this process last kept some
        self.standings = standings or Alone()
        self._called = self.standings.called()
        self._stand()

    @property
    def reload_error(self) -> str | None:
        """Why a bundle's current version was not taken; None where all were."""
        return next((why for _, why in self._refused.values()), None)

    async def add_items(self, items: Sequence[tuple[str, str]]) -> tuple[int, int, int]:
        """Keep new items, and recommend them from now on.

        Args:
            items: id and JSON of the columns.

        Returns:
            How many were new, how many were known, and how many of the new ones are like nothing.

        Raises:
            StoreError: nothing was kept.
            Refused: an item is not of the catalogue's kind.
        """
        async with self._lock:
            before = self.arms
            known = before.champion.snapshot.item_vocabulary
            new = [one for one in dict(items).items() if known.row(one[0]) < 0]
            made, refused = await self._aside(grown, before.champion, new)
            if refused:
                raise Refused(422, "bad_item", next(iter(refused.values())))
            self._posted = await self._committer.call(lambda store: keep_items(store, new))
            await self._recall(new)
            self.arms = before.with_one("champion", made)
            await self._grow_others(new)
        growth = made.recommender.growth
        like_none = set() if growth is None else set(growth.like_none.tolist())
        alone = sum(made.row(item_id) in like_none for item_id, _ in new)
        return len(new), len(items) - len(new), alone

    async def reload(self, *, only_if_changed: bool = False) -> bool:
        """Take the bundle's current version; whoever asks meanwhile is answered by the old one.

        Args:
            only_if_changed: whether to leave the same version alone.

        Returns:
            Whether another version answers now.

        Raises:
            ShortlistError: one cannot be trusted, or the store not read; the old one goes on, other arms are reloaded.
        """
        changed, failed = False, None
        for arm in self.arms.runnings:
            try:
                changed |= await self._take(arm, only_if_changed=only_if_changed)
            except ShortlistError as error:
                failed = failed or error
        if failed is not None:
            raise failed
        return changed

    async def _take(self, arm: Arm, *, only_if_changed: bool) -> bool:
        there = ""
        async with self._lock:
            before = self.arms.runnings[arm]
            try:
                there = pointer_of(before.path)
                if only_if_changed and there == before.pointer:
                    if self._refused_pointer(arm) not in {None, there}:
                        del self._refused[arm]
                        logs.say("reload_settled", arm=arm, version=before.version)
                    return False
                items = await self._committer.call(lambda store: store.items())
                made = await self._aside(open_warm, before.path, items, arm)
                await self.swap(made)
            except StoreError:
                raise  # it is no fault of the bundle: the next look tries again
            except ShortlistError as error:
                self._refused[arm] = (there, str(error))
                self._metrics.reloads["refused"] += 1
                logs.say("reload_refused", level="error", arm=arm, reason=str(error))
                raise
            self._refused.pop(arm, None)
            self._metrics.reloads["done"] += 1
            self._stand()
            logs.say("reloaded", arm=arm, version=made.version, before=before.version)
            return made.pointer != before.pointer

    async def rollback(self, version: str | None) -> None:
        """Name another version of the bundle as its current one, and take it.

        Args:
            version: such as ``"0002"``; None for the one before the current.

        Raises:
            ShortlistError: there is none, or it cannot be trusted; the one before is current again.
        """
        path = self.arms.champion.path
        before = pointer_of(path).partition(" ")[0]
        await self._aside(roll_back, path, version)
        try:
            await self._take("champion", only_if_changed=False)
        except ShortlistError:
            await self._aside(roll_back, path, before)
            raise

    async def swap(self, made: Running) -> None:
        """Let another recommender answer. Batches under way are finished by the old one.

        Args:
            made: answers from the next batch on, in its arm.
        """
        after = self.arms.with_one(made.arm, made)
        await self._committer.call(lambda store: go_on_after(store, made))
        before = self.arms.runnings[made.arm]
        if (made.through, posted(made)) != (before.through, posted(before)):
            held = (*self.arms.runnings.values(), made)
            last, events, forgotten = await self._committer.call(
                lambda store: (store.marks()[0], untold(store, *held), store.forgotten())
            )
            self.overlay.replace(events, last)
            self.hide(forgotten)
        self.arms, self._uncleaned = after, True  # it may have been trained before a forgetting
        remarks.scales_differ(made, after.champion)
        # once the batch under way and our callers have let go of the old one
        loop = asyncio.get_running_loop()
        loop.call_later(_LET_GO_SECONDS, loop.run_in_executor, None, give_back)

    async def watch(self) -> None:
        """Look for new versions until cancelled."""
        while True:
            await asyncio.sleep(self._settings.watch_seconds)
            for arm, running in self.arms.runnings.items():
                known = self._refused_pointer(arm)
                # what is wrong with a bundle, reload told
                with logs.going_on("watch_failed"), contextlib.suppress(BundleError):
                    if pointer_if_any(running.path) != (
                        running.pointer if known is None else known
                    ):
                        await self._take(arm, only_if_changed=True)

    def _refused_pointer(self, arm: Arm) -> str | None:
        return self._refused[arm][0] if arm in self._refused else None

    async def follow(self) -> None:
        """Catch up, and clean new versions of the forgotten, again and again, until cancelled."""
        wait = 0.0
        while True:
            await asyncio.sleep(wait)
            wait = _AGAIN_SECONDS  # where it fails: the store may be away for a while
            with logs.going_on("follow_failed"):
                await self._heed()
                await self.catch_up()
                # also where another machine was told: it has its own copies
                if self._uncleaned:
                    await self.clean()
                wait = self._settings.follow_seconds

    async def clean(self) -> Cleaned:
        """Take the forgotten out of every kept version of the bundles, and take the new versions.

        Returns:
            How far it came; the log tells why no further.
        """
        self._uncleaned = False
        try:
            count, left = await self._cleaner.clean(lambda: self.overlay.forgotten)
            if count:
                logs.say("cleaned", versions=count)
                await self.reload(only_if_changed=True)
        except ShortlistError as error:
            logs.say("clean_failed", level="error", reason=str(error))
            return "failed"
        except Exception:
            self._uncleaned = True
            raise
        for reason in left:
            logs.say("clean_left", level="error", reason=reason)
        return "in part" if left else "done"

    async def catch_up(self) -> None:
        """Take in what other processes wrote: events, new items, and whom to forget."""
        after, known = self.overlay.followed, self._items
        told = await self._committer.call(lambda store: news_after(store, after, known))
        if told is None:
            return
        last, n_items, events, forgotten, items = told
        self.overlay.follow(events, last)
        self.hide(forgotten)
        if n_items != known:
            async with self._lock:
                await self._recall(items)
                self._items = n_items
                await self._grow_others(items)
            self._stand()

    def hide(self, forgotten: Mapping[str, int]) -> None:
        """Leave out what is known of users from before they were forgotten, and clean the bundles soon.

        Args:
            forgotten: hashes, with the place of each forgetting; after events read before it.
        """
        if not forgotten.items() <= self.overlay.forgotten.items():
            self.overlay.forget(forgotten)
            self._uncleaned = True
            self._stand()

    async def everywhere(self) -> bool:
        """Wait until every worker answers from the same versions and items as this one.

        Returns:
            Whether all do; not where one did not follow in time.
        """
        self.standings.call()

        def there(one: Standing) -> bool:
            mine = self._standing()
            return one.pointers == mine.pointers and one.items >= max(mine.items, self._posted)

        return await self.standings.agree(there)

    def _standing(self) -> Standing:
        return standing_of(
            self.arms, self._items, max(self.overlay.forgotten.values(), default=0)
        )

    def _stand(self) -> None:
        self.standings.write(self._standing())

    async def _heed(self) -> None:
        # another worker was told of new versions
        if (called := self.standings.called()) == self._called:
            return
        try:
            await self.reload(only_if_changed=True)
        except StoreError:
            raise  # it is heeded when the store is back
        except ShortlistError:
            pass  # reload told it; the old one goes on
        self._called = called

    async def _recall(self, items: Sequence[tuple[str, str]]) -> None:
        # what was told of new items before they came, and is in no fit
        held = [one.snapshot.item_vocabulary for one in self.arms.runnings.values()]
        new = [item for item, _ in items if any(one.row(item) < 0 for one in held)]
        through = self.arms.through
        self.overlay.recall(
            await self._committer.call(lambda store: store.events_about(new, through))
        )

    async def _grow_others(self, items: Sequence[tuple[str, str]]) -> None:
        # the items are kept already: an arm that cannot hold them goes on without
        for arm, before in self.arms.runnings.items():
            made, refused = await self._aside(grown, before, items)
            remarks.items_left_out(refused)
            self.arms = self.arms.with_one(arm, made)

    def close(self) -> None:
        """Finish what is under way."""
        self._cleaner.close()
        self._thread.shutdown(cancel_futures=True)

    async def _aside(
        self, work: Callable[Given, Made], *args: Given.args, **named: Given.kwargs
    ) -> Made:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: work(*args, **named))
