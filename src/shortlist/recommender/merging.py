"""Several retrievers' lists as one, without losing who proposed what."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shortlist.data.topk import Candidates, TopK
from shortlist.index.select import in_order

_CALM = 60  # Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion", SIGIR 2009


def merge(names: Sequence[str], lists: Sequence[TopK]) -> Candidates:
    """Reciprocal rank fusion: an item scores the sum of ``1 / (60 + rank)`` over the lists.

    Args:
        names: of the parts that made the lists.
        lists: one TopK per part, over the same queries; -1 places are nothing.

    Returns:
        Candidates (n, m), m the width of the lists together, best first, -1 padded.
    """
    n = len(lists[0])
    wide = np.concatenate([one.rows for one in lists], axis=1)  # (n, m)
    source = np.repeat(np.arange(len(lists)), [one.k for one in lists])  # (m,)
    rank = np.concatenate([np.arange(1, one.k + 1) for one in lists])  # (m,)
    score = np.concatenate([one.scores for one in lists], axis=1)
    order = np.argsort(wide, axis=1, kind="stable")  # equal items stand together
    rows = np.take_along_axis(wide, order, axis=1)
    new = np.ones_like(rows, bool)
    new[:, 1:] = rows[:, 1:] != rows[:, :-1]
    place = np.cumsum(new, axis=1) - 1  # (n, m): the distinct item each entry belongs to
    line, entry = np.nonzero(rows >= 0)
    to, part = place[line, entry], source[order[line, entry]]
    ranks = np.zeros((len(lists), *rows.shape), np.int32)
    scores = np.full((len(lists), *rows.shape), np.nan, np.float32)
    ranks[part, line, to] = rank[order[line, entry]]
    scores[part, line, to] = score[line, order[line, entry]]
    items = np.full_like(rows, -1)
    items[line, to] = rows[line, entry]
    fused = np.where(ranks > 0, 1.0 / (_CALM + ranks), 0.0).sum(axis=0).astype(np.float32)
    fused[items < 0] = -np.inf
    rising = np.argsort(
        np.where(items < 0, np.iinfo(np.int32).max, items), axis=1, kind="stable"
    )
    items, fused = (np.take_along_axis(a, rising, axis=1) for a in (items, fused))
    top = in_order(items, fused, items.shape[1])
    at = rising[np.arange(n)[:, None], np.argsort(-fused, axis=1, kind="stable")]
    ranks, scores = (np.take_along_axis(a, at[None], axis=2) for a in (ranks, scores))
    return Candidates(top.rows, top.scores, tuple(names), scores, ranks)


def as_candidates(name: str, top: TopK) -> Candidates:
    """One retriever's list as candidates.

    Args:
        name: of the part that made the list.
        top: its answer.

    Returns:
        Candidates of the same order.
    """
    filled = top.rows >= 0
    ranks = np.where(filled, np.arange(1, top.k + 1, dtype=np.int32), 0)[None]
    scores = np.where(filled, top.scores, np.nan)[None]
    return Candidates(
        top.rows, top.scores, (name,), scores.astype(np.float32), ranks.astype(np.int32)
    )


def proposed_by(candidates: Candidates, rows: NDArray[np.int32]) -> NDArray[np.int32]:
    """Which part proposed the items of a shortlist.

    Args:
        candidates: (n, m) with sources.
        rows: (n, k) int32 items, each among the candidates of its line; -1 for none.

    Returns:
        (n, k) int32 positions in ``candidates.sources``; -1 where no item stands.
    """
    n, width = candidates.rows.shape
    span = int(max(candidates.rows.max(initial=0), rows.max(initial=0))) + 2
    line = (
        np.arange(n)[:, None] * span
    )  # one sorted search over (line, item) for the whole batch
    known = (line + candidates.rows + 1).ravel()
    order = np.argsort(known, kind="stable")
    at = np.searchsorted(known, (line + rows + 1).ravel(), sorter=order)
    first = candidates.first_source().ravel()[order[np.minimum(at, n * width - 1)]]
    return np.where(rows >= 0, first.reshape(rows.shape), -1).astype(np.int32)
