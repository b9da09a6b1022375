"""Exploration: the last places of a list go to items that are worth learning about.

Every place comes with its propensity, the probability with which it showed what it showed, so that
the log can judge other recommenders (:mod:`shortlist.evaluation.off_policy`).
"""

import zlib
from dataclasses import asdict, dataclass
from typing import Literal, get_args

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from shortlist.data.protocols import Json
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import TopK
from shortlist.errors import ConfigError
from shortlist.rerank.values import share_between, taken_first

How = Literal["epsilon", "thompson"]
_LEVELS = np.linspace(0, 1, 35)[
    1:-1
]  # quantiles of each item's belief that the integral looks at


@dataclass(frozen=True)
class Explore:
    """Some places draw from a pool of the next best items.

    Attributes:
        how: ``"epsilon"``: with probability ``epsilon`` any item of the pool, else the best one.
            ``"thompson"``: the item whose drawn share of likes is highest, where the belief about
            each is Beta(1 + rows liked, 1 + rows not liked) (Thompson, Biometrika 1933).
        slots: how many places explore, the last ones of the list.
        epsilon: for ``"epsilon"``.
        pool: how many of the best items that are left a place draws from.
        seed: of the draws; requests may bring another. The same seed, asker and history draw the
            same.
    """

    how: How = "epsilon"
    slots: int = 1
    epsilon: float = 0.1
    pool: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        share_between("epsilon", self.epsilon)
        if self.how not in get_args(How) or self.slots < 1 or self.pool < 1 or self.seed < 0:
            msg = f"how must be one of {get_args(How)}, slots and pool at least 1, seed not negative; got {self}"
            raise ConfigError(msg)

    def draw(
        self,
        snapshot: Snapshot,
        queries: Queries,
        listed: TopK,
        k: int,
        seed: int | None = None,
    ) -> tuple[TopK, NDArray[np.float64]]:
        """Fill the last of k places by lot.

        Args:
            snapshot: of the rows that the beliefs count.
            queries: n askers.
            listed: (n, m) candidates, best first.
            k: how many places are shown.
            seed: of this request; None for that of the settings.

        Returns:
            A TopK (n, m) whose first k places are the drawn list, and (n, m) propensities of its
            places: 1 where nothing was drawn.
        """
        propensities = np.ones(listed.rows.shape)
        chosen = np.full((len(listed), min(k, listed.k)), -1, np.int64)
        likes, rows = _taken(snapshot)
        for line in range(len(listed)):
            filled = int((listed.rows[line] >= 0).sum())
            places = min(k, filled)
            fixed = max(0, places - self.slots)
            order, lot = (
                list(range(filled)),
                _lot(self.seed if seed is None else seed, queries, line),
            )
            for place in range(fixed, places):
                pool = order[place : place + self.pool]
                items = listed.rows[line, pool]
                chances = (
                    self._epsilon(len(pool))
                    if self.how == "epsilon"
                    else best_of(1 + likes[items], 1 + rows[items] - likes[items])
                )
                drawn = int(lot.choice(len(pool), p=chances))
                propensities[line, place] = chances[drawn]
                order.insert(place, order.pop(place + drawn))
            chosen[line, :places] = order[:places]
        return taken_first(listed, chosen), propensities

    def to_json(self) -> dict[str, Json]:
        """Its settings.

        Returns:
            A dictionary.
        """
        return asdict(self)

    def _epsilon(self, n: int) -> NDArray[np.float64]:
        chances = np.full(n, self.epsilon / n)
        chances[0] += 1 - self.epsilon
        return chances


def best_of(likes: ArrayLike, others: ArrayLike) -> NDArray[np.float64]:
    """The probability of each of some Beta draws to be the highest.

    Args:
        likes: (m,) first parameters.
        others: (m,) second parameters.

    Returns:
        (m,) float64, summing to 1: ``integral of f_i(x) * product of F_j(x) over j != i``, by steps
        between the quantiles of all of them.
    """
    a, b = np.asarray(likes, np.float64), np.asarray(others, np.float64)
    steps = np.unique(
        np.concatenate(
            [[0.0, 1.0], scipy.special.betaincinv(a[:, None], b[:, None], _LEVELS).ravel()]
        )
    )
    below = scipy.special.betainc(a[:, None], b[:, None], steps)  # (m, steps): F_i
    middle = np.log(np.maximum((below[:, 1:] + below[:, :-1]) / 2, 1e-300))
    others_below = np.exp(middle.sum(axis=0) - middle)  # (m, steps - 1)
    chances = (np.diff(below, axis=1) * others_below).sum(axis=1)
    return np.asarray(chances / chances.sum(), np.float64)


def _taken(snapshot: Snapshot) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    held = snapshot.histories
    likes = np.bincount(held.item_rows[held.liked], minlength=snapshot.n_items)
    return likes, snapshot.item_counts


def _lot(seed: int, queries: Queries, line: int) -> np.random.Generator:
    # one asker's draws do not depend on who else is asked for
    history = queries.history_rows[queries.offsets[line] : queries.offsets[line + 1]]
    who = zlib.crc32(history.tobytes(), int(queries.user_rows[line]) + 1)
    return np.random.default_rng([seed, who])
