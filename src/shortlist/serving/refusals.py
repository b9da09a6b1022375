"""Requests that are not answered: a status, a code to program against, words without any input."""


class Refused(Exception):
    """A request that cannot be answered.

    The message never repeats what the request said: it may hold secrets, or somebody else's markup.

    Attributes:
        status: of HTTP.
        code: a word that stays the same, such as ``unknown_item``.
        message: what, why and what to do.
        retry_after_seconds: when to come again; None where that will not help.
        allow: methods that the path answers, where another was used.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        retry_after_seconds: int | None = None,
        allow: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.retry_after_seconds, self.allow = retry_after_seconds, allow


class Overloaded(Refused):
    """Too much is waiting already."""

    def __init__(self) -> None:
        words = "too many requests are waiting; try again"
        super().__init__(503, "overloaded", words, retry_after_seconds=1)


class TooSlow(Refused):
    """The answer did not come in time."""

    def __init__(self) -> None:
        words = "the answer was not ready in time; try again"
        super().__init__(503, "timeout", words, retry_after_seconds=1)


class DiskFull(Refused):
    """Nothing can be written."""

    def __init__(self) -> None:
        words = "nothing was changed: the disk is full; reading goes on"
        super().__init__(507, "disk_full", words, retry_after_seconds=60)


class NotKept(Refused):
    """The store of the events cannot be reached, or is damaged."""

    def __init__(self) -> None:
        words = "nothing was changed: the store of the events cannot be reached, or is damaged; shortlists go on; try again, and look at the log"
        super().__init__(503, "store_away", words, retry_after_seconds=5)


class LogHeld(Refused):
    """Somebody was forgotten, but the log of the events cannot be emptied."""

    def __init__(self) -> None:
        words = "the events are removed and used no more, but the log still has their bytes: somebody reads it, or the disk is full; ask again"
        super().__init__(503, "log_held", words, retry_after_seconds=5)


class UnknownItem(Refused):
    """Something was asked of an item that is not in the catalogue."""

    def __init__(self) -> None:
        words = "the item is not in the catalogue; POST /items adds new ones"
        super().__init__(404, "unknown_item", words)
