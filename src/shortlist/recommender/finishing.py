"""From candidates in order to the list that is shown: re-ranking, exploration, pins."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.data.eligible import Eligible
from shortlist.data.protocols import Reranker
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import TopK
from shortlist.data.vocabulary import UserOrItemId
from shortlist.errors import ConfigError
from shortlist.recommender.stages import Answer, Stages
from shortlist.rerank.explore import Explore

PINNED = "pinned"


@dataclass(frozen=True, eq=False)
class Finish:
    """What happens to a list after the stages.

    Attributes:
        rerank: in this order.
        explore: draws the last places; None draws nothing.
        seed: of the draws, None for that of ``explore``.
        pins: (p,) item rows that stand first, in this order, wherever they may be answered.
    """

    rerank: Sequence[Reranker]
    explore: Explore | None
    seed: int | None
    pins: NDArray[np.int32]

    def shown(
        self,
        stages: Stages,
        snapshot: Snapshot,
        queries: Queries,
        k: int,
        eligible: Eligible,
    ) -> Answer:
        """The first k places, from ever longer lists where a cap leaves places empty.

        Args:
            stages: give the candidates in order.
            snapshot: holds the catalogue.
            queries: n askers.
            k: places shown.
            eligible: what may be answered.

        Returns:
            An Answer (n, k).
        """
        further = bool(self.rerank) or self.explore is not None
        width = max(k, min(stages.candidates, snapshot.n_items)) if further else k
        while True:
            found = stages.answer(queries, width, eligible)
            top = found.top
            for one in self.rerank:
                top = one.rerank(snapshot, queries, top, k)
            short = (top.rows[:, : min(k, top.k)] < 0).any(axis=1) & (
                found.top.rows[:, -1] >= 0
            )
            if not short.any() or width >= snapshot.n_items:
                break
            width = min(4 * width, snapshot.n_items)
        propensity = None
        if self.explore is not None:
            top, propensity = self.explore.draw(snapshot, queries, top, k, self.seed)
        shown = _first(found, top, propensity, k)
        return self._pinned(shown, found, snapshot, eligible, k) if len(self.pins) else shown

    def _pinned(
        self, shown: Answer, found: Answer, snapshot: Snapshot, eligible: Eligible, k: int
    ) -> Answer:
        n, m = len(shown.top), len(self.pins)
        may = np.zeros((n, snapshot.n_items), np.float32)
        eligible.apply(may)
        pins = np.where(may[:, self.pins] == 0, self.pins, -1).astype(np.int32)  # (n, p)
        scores = _scores_of(found.top, pins)
        again = (shown.top.rows[:, :, None] == pins[:, None, :]).any(axis=2)
        rows = np.concatenate([pins, np.where(again, -1, shown.top.rows)], axis=1)
        scores = np.concatenate([scores, shown.top.scores], axis=1)
        source = np.concatenate([np.full((n, m), len(shown.parts)), shown.source], axis=1)
        drawn = (
            shown.propensity if shown.propensity is not None else np.ones(shown.top.rows.shape)
        )
        chance = np.concatenate([np.ones((n, m)), drawn], axis=1)
        order = np.argsort(rows < 0, axis=1, kind="stable")[:, :k]  # the empty places go last
        rows, scores, source, chance = (
            np.take_along_axis(one, order, axis=1) for one in (rows, scores, source, chance)
        )
        empty = rows < 0
        return Answer(
            TopK(rows.astype(np.int32), np.where(empty, -np.inf, scores).astype(np.float32)),
            np.where(empty, -1, source).astype(np.int32),
            (*shown.parts, PINNED),
            None if shown.propensity is None else chance,
        )


def pinned(
    snapshot: Snapshot, items: Sequence[UserOrItemId], mask: NDArray[np.bool_] | None
) -> NDArray[np.int32]:
    """Pinned items as rows.

    Args:
        snapshot: finds them.
        items: ids or unique titles.
        mask: (n_items,) what the request's own rules allow; None for everything.

    Returns:
        (p,) int32.

    Raises:
        ConfigError: an item is pinned twice, or the same request rules it out.
    """
    rows = np.array([snapshot.item_row(item) for item in items], np.int32)
    if len(np.unique(rows)) < len(rows):
        msg = f"an item is pinned twice: {list(items)}. Each stands in one place"
        raise ConfigError(msg)
    for item, row in zip(items, rows, strict=True):
        if mask is not None and not mask[row]:
            msg = f"{item!r} is pinned, and ruled out by the same request's where=, allow= or deny=. Drop one of them"
            raise ConfigError(msg)
    return rows


def _first(found: Answer, top: TopK, propensity: NDArray[np.float64] | None, k: int) -> Answer:
    # the first k places, with the sources that their items had
    rows = _wide(top.rows, k, -1)
    same = rows[:, :, None] == found.top.rows[:, None, :]  # (n, k, m)
    source = np.take_along_axis(found.source, same.argmax(axis=2), axis=1)
    shown = TopK(rows, _wide(top.scores, k, -np.inf))
    return replace(
        found,
        top=shown,
        source=np.where(rows >= 0, source, -1).astype(np.int32),
        propensity=None if propensity is None else _wide(propensity, k, 1.0),
    )


def _wide(array: NDArray[Any], k: int, filler: float) -> NDArray[Any]:
    if array.shape[1] >= k:
        return array[:, :k]
    lacking = np.full((len(array), k - array.shape[1]), filler, array.dtype)
    return np.concatenate([array, lacking], axis=1)


def _scores_of(top: TopK, rows: NDArray[np.int32]) -> NDArray[np.float32]:
    # an item that was no candidate stands with the best score of the list: it is pinned above it
    same = (top.rows[:, None, :] == rows[:, :, None]) & (rows >= 0)[:, :, None]  # (n, p, m)
    own = np.where(same, top.scores[:, None, :], -np.inf).max(axis=2)
    best = top.scores.max(axis=1, initial=-np.inf)[:, None]
    best = np.where(np.isfinite(best), best, 0)
    return np.where(np.isfinite(own), own, best).astype(np.float32)
