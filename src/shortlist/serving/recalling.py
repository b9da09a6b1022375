"""What the rows that a bundle learned came as: it holds no events, but the store still does."""

from collections.abc import Iterable

import numpy as np

from shortlist.serving.events import Kept
from shortlist.serving.running import Running


class Recalled:
    """A user's events that a bundle was trained on, found again by its rows.

    Where a rating was not given, a row holds what stands for it; only the event tells.

    Args:
        running: whose bundle.
        events: of one user, that it was trained on.
    """

    def __init__(self, running: Running, events: Iterable[Kept]) -> None:
        self._timed = running.snapshot.histories.timestamps is not None
        self._events: dict[tuple[int, int | None], list[Kept]] = {}
        known = running.snapshot.item_vocabulary
        for one in sorted(events, key=lambda one: (one.timestamp, one.seq)):
            place = (known.row(one.item_id), one.timestamp if self._timed else None)
            self._events.setdefault(place, []).append(one)

    def take(
        self, row: int, when: int | None, rating: float | None, *, liked: bool
    ) -> Kept | None:
        """The event behind a row. It is given once: ask for the newest row first.

        Args:
            row: of the item.
            when: seconds; None in a bundle without times.
            rating: of the row, as float32; None in a bundle without ratings.
            liked: whether the row is liked.

        Returns:
            The latest event that can have made the row; None for one that came otherwise.
        """
        held = self._events.get((row, when), [])
        for place in range(len(held) - 1, -1, -1):
            one = held[place]
            same = one.rating is None or rating is None or np.float32(one.rating) == rating
            if same and not (liked and one.event == "dismiss"):
                return held.pop(place)
        return None
