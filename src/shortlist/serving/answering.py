"""Dynamic micro-batches: one thread answers whatever is waiting, together.

While it answers, the next batch gathers; so a lone request waits for nobody, and the busier the service
is, the cheaper an answer becomes.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from shortlist.serving.refusals import Overloaded, TooSlow

Question = TypeVar("Question")
Reply = TypeVar("Reply")


class Batcher(Generic[Question, Reply]):
    """A bounded queue before one computing thread.

    Args:
        answer: answers a batch, in its order; an exception in the place of an answer is for that
            question alone.
        largest: most questions answered together.
        waiting: most questions in the queue.
        timeout_seconds: after which nobody waits any more.
        name: of the thread.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Question]], Sequence[Reply | Exception]],
        *,
        largest: int,
        waiting: int,
        timeout_seconds: float,
        name: str,
    ) -> None:
        self._answer, self._largest, self._most = answer, largest, waiting
        self._timeout = timeout_seconds
        self._coming: list[_Wait[Question, Reply]] = []  # of this turn of the loop
        self._waiting: deque[_Wait[Question, Reply]] = deque()
        self._patient: deque[_Wait[Question, Reply]] = deque()  # who awaits, longest first
        self._sweeping = False
        self._wake = threading.Condition()
        self._closing = False
        self.sizes: list[int] = []  # of the batches since somebody looked
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def depth(self) -> int:
        """How many wait."""
        return len(self._waiting) + len(self._coming)

    async def ask(self, question: Question) -> Reply:
        """Wait for an answer.

        Args:
            question: to be answered with whatever else is waiting.

        Returns:
            The answer; it fails with TooSlow after the time.

        Raises:
            Overloaded: too many are waiting.
        """
        if self.depth >= self._most:
            raise Overloaded
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Reply] = loop.create_future()
        wait = _Wait(loop, future, question, time.monotonic() + self._timeout)
        if not self._coming:
            loop.call_soon(self._hand_over)
        self._coming.append(wait)
        self._patient.append(wait)
        self._sweep(loop)
        return await future

    def close(self) -> None:
        """Answer what is waiting, then stop."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _hand_over(self) -> None:
        # once in a turn: what arrived together is answered together, and wakes the thread once
        coming, self._coming = self._coming, []
        with self._wake:
            self._waiting.extend(coming)
            self._wake.notify()

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        # one timer for all who wait: they lose their patience in the order in which they came
        while self._patient and self._patient[0].future.done():
            self._patient.popleft()
        if self._patient and not self._sweeping:
            self._sweeping = True
            left = self._patient[0].until - time.monotonic()
            loop.call_later(max(left, 0.0), self._expire, loop)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweeping, now = False, time.monotonic()
        for wait in self._patient:
            if wait.until > now:
                break
            if not wait.future.done():
                wait.future.set_exception(TooSlow())
        self._sweep(loop)

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._closing:
                    self._wake.wait()
                if not self._waiting:
                    return
                batch = [
                    self._waiting.popleft()
                    for _ in range(min(self._largest, len(self._waiting)))
                ]
            now = time.monotonic()
            batch = [one for one in batch if one.until > now and not one.future.cancelled()]
            if not batch:
                continue
            self.sizes.append(len(batch))
            replies = self._replies([one.question for one in batch])
            batch[0].loop.call_soon_threadsafe(_deliver, batch, replies)
            del batch, replies  # while it waits, they would hold a bundle that was replaced

    def _replies(self, questions: Sequence[Question]) -> Sequence[Reply | Exception]:
        try:
            return self._answer(questions)
        except Exception as error:  # the thread must go on
            return [error] * len(questions)


class _Wait(Generic[Question, Reply]):
    __slots__ = ("future", "loop", "question", "until")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        future: "asyncio.Future[Reply]",
        question: Question,
        until: float,
    ) -> None:
        self.loop, self.future, self.question, self.until = loop, future, question, until


def _deliver(
    batch: Sequence[_Wait[Question, Reply]], replies: Sequence[Reply | Exception]
) -> None:
    for wait, reply in zip(batch, replies, strict=True):
        if wait.future.done():
            continue
        if isinstance(reply, Exception):
            wait.future.set_exception(reply)
        else:
            wait.future.set_result(reply)
