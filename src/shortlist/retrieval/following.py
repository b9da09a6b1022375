"""Which item came how many steps after which: the counts behind a next-item model."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.interactions import Interactions
from shortlist.data.queries import LIGHTEST
from shortlist.data.snapshot import Snapshot

_SMOOTHING = 200.0  # pairs that popularity is worth, in the odds
_ENTRIES = 1 << 20  # pairs of places added up at a time: 80 MB


@dataclass(frozen=True, eq=False)
class Sequences:
    """What everyone took, one after the other.

    Attributes:
        items: (places,) int64 item rows, by user, oldest first, each item of a user once.
        before: (places,) how many of the user's items come before.
        after: (places,) how many come after.
        counts: (n_items,) places of each item.
    """

    items: NDArray[np.int64]
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, train: Interactions) -> "Sequences":
        """Line up the liked rows of a table.

        Args:
            train: the rows.

        Returns:
            The Sequences of its users.
        """
        everyone = np.arange(len(train.user_vocabulary), dtype=np.int32)
        histories = Snapshot.of(train).queries_of_rows(everyone)
        users = histories.askers[histories.counted]
        items = histories.history_rows[histories.counted].astype(np.int64)
        lengths = np.bincount(users, minlength=len(everyone))
        ends = np.cumsum(lengths)
        places = np.arange(len(items))
        before = places - (ends - lengths)[users]
        counts = np.bincount(items, minlength=len(train.item_vocabulary))
        return cls(items, before, lengths[users] - 1 - before, counts)

    def fading(self, decay: float) -> NDArray[np.float64]:
        """How a history is forgotten.

        Args:
            decay: per step, 0 or more.

        Returns:
            ``exp(-decay t)`` for t = 0, 1, ... while it counts and histories are that long.
        """
        longest = int(self.before.max(initial=0)) + 1
        faint = longest if decay == 0 else int(-np.log(LIGHTEST) / decay) + 1
        weights: NDArray[np.float64] = np.exp(-decay * np.arange(min(longest, faint)))
        return weights

    def pairs(
        self, kernel: NDArray[np.float64], later: NDArray[np.float64] | None = None
    ) -> NDArray[np.float32]:
        """How often, weighted, one item came after another.

        Args:
            kernel: (lags,) what a pair counts that is 1, 2, ... places apart.
            later: (places,) what the later place counts besides; None for 1.

        Returns:
            (n_items, n_items) float32: [earlier item, later item].
        """
        n, reach = len(self.counts), np.minimum(self.before, len(kernel))
        total = np.zeros((n, n), np.float32)
        filled = np.concatenate([[0], np.cumsum(reach)])
        start = 0
        while start < len(reach):
            stop = int(np.searchsorted(filled, filled[start] + _ENTRIES, side="right")) - 1
            stop = max(stop, start + 1)
            offsets = filled[start : stop + 1] - filled[start]
            lag = np.arange(offsets[-1]) - np.repeat(offsets[:-1], reach[start:stop])  # less 1
            earlier = self.items[np.repeat(np.arange(start, stop), reach[start:stop]) - 1 - lag]
            shape = (stop - start, n)
            past = sp.csr_array((kernel[lag].astype(np.float32), earlier, offsets), shape=shape)
            weight = np.ones(stop - start) if later is None else later[start:stop]
            here = (weight.astype(np.float32), self.items[start:stop], np.arange(shape[0] + 1))
            found = (past.T @ sp.csr_array(here, shape=shape)).tocoo()
            total[found.row, found.col] += found.data  # each cell of the product stands once
            start = stop
        return total

    def states(self, one: float, two: float) -> NDArray[np.float32]:
        """The product ``A_one' A_two`` of the forgotten histories at all places that have a next.

        With s steps between two places, the pair adds ``exp(-decay_of_the_earlier s)`` times the
        sum of ``exp(-(one + two) t)`` over the places after the later one.

        Args:
            one: decay of the lines.
            two: decay of the columns.

        Returns:
            (n_items, n_items) float32.
        """
        both = np.exp(-(one + two))
        summed = (1 - both**self.after) / (1 - both) if both < 1 else self.after.astype(float)
        found = self.pairs(self.fading(two)[1:], summed).T
        found = found + (found.T if one == two else self.pairs(self.fading(one)[1:], summed))
        found[np.diag_indices_from(found)] += np.bincount(self.items, summed, len(found))
        return found


def log_odds(
    taken: Sequences, shares: NDArray[np.float64], decay: float
) -> NDArray[np.float32]:
    """Log of P(j comes soon after i) / P(j), smoothed towards 0.

    Args:
        taken: histories.
        shares: (n_items,) P(j), all above 0.
        decay: what a further step between two items takes from the pair, as ``exp(-decay)``.

    Returns:
        (n_items, n_items) float32: [i, j].
    """
    odds = taken.pairs(taken.fading(decay))
    pairs = odds.sum(axis=1, keepdims=True, dtype=np.float64)
    popular = (_SMOOTHING * shares).astype(np.float32)
    odds += popular
    odds /= popular
    odds *= (_SMOOTHING / (pairs + _SMOOTHING)).astype(np.float32)
    np.log(odds, out=odds)
    return odds
