"""A second bundle that answers too, off the request's path: how far do the two agree?"""

import threading
from collections import deque
from collections.abc import Callable, Sequence

from shortlist.serving.asking import Question, Reply

_WAITING = 32  # batches; more are left out and counted


class Shadow:
    """Answers batches again, in a thread of its own, and compares.

    Args:
        answer: the second bundle's answers, in the order of the questions.

    Attributes:
        overlaps: shares of an answer's items that the shadow lists too, since somebody looked.
        left_out: questions that were not asked, because too many were waiting.
        failed: questions that the shadow could not answer.
    """

    def __init__(
        self, answer: Callable[[Sequence[Question]], Sequence[Reply | Exception]]
    ) -> None:
        self._answer = answer
        self._waiting: deque[tuple[Sequence[Question], Sequence[Reply | Exception]]] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self.overlaps: list[float] = []
        self.left_out = self.failed = 0
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def offer(
        self, questions: Sequence[Question], replies: Sequence[Reply | Exception]
    ) -> None:
        """Hand over what was asked and answered; it returns at once.

        An order of candidates that were given is no shortlist: two of them always agree.

        Args:
            questions: a batch.
            replies: of the arm that answered.
        """
        both = zip(questions, replies, strict=True)
        lists = [(one, reply) for one, reply in both if not one.plain]
        if not lists:
            return
        questions, replies = zip(*lists, strict=True)
        with self._wake:
            if len(self._waiting) >= _WAITING:
                self.left_out += len(questions)
                return
            self._waiting.append((questions, replies))
            self._wake.notify()

    def close(self) -> None:
        """Stop; what waits is left out."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._closing:
                    self._wake.wait()
                if self._closing:
                    return
                questions, replies = self._waiting.popleft()
            self._compare(questions, replies)

    def _compare(
        self, questions: Sequence[Question], replies: Sequence[Reply | Exception]
    ) -> None:
        try:
            others = self._answer(questions)
        except Exception:  # the thread must go on
            self.failed += len(questions)
            return
        for mine, other in zip(replies, others, strict=True):
            if isinstance(mine, Exception):
                continue
            if isinstance(other, Exception):
                self.failed += 1
            elif mine.rows:
                # by id: the two bundles may number their items differently
                ids = {str(mine.running.item_ids[row]) for row in mine.rows}
                both = sum(str(other.running.item_ids[row]) in ids for row in other.rows)
                self.overlaps.append(both / len(ids))
