"""Item to users: who is most likely to take it.

Scores of different users do not compare, and those of different retrievers have different scales, so
only the item's place in each user's own order counts. What stands at place ``r`` (0 is the best) of what a
user lacks gets the share ``1 / (r + 10)``, divided by the sum over all places: with the place, chances
fall as they do with the rank in Zipf's law. A share is of one user's interest; how likely the user is to
take the item is the share times how much they take, that is, their number of rows in train.

The 10, and places rather than a softmax of the scores, were chosen on splits of train (ML-1M and
ML-100K; EASE, content and two towers).
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.protocols import AnsweringRetriever
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import TopK
from shortlist.data.vocabulary import UserOrItemId
from shortlist.index.select import check_k, select_top_k

_CELLS = 1 << 22  # scores at a time: 16 MB
_HEAD = 10.0  # how many of the first places have about the same chance


def audience(
    retrievers: Sequence[AnsweringRetriever],
    snapshot: Snapshot,
    items: Sequence[UserOrItemId],
    k: int,
    *,
    keep_seen: bool,
) -> pl.DataFrame:
    """Rank the known users by how much of an item they are expected to take.

    The log shares of several retrievers are averaged. Users whom no retriever knows are left out.

    Args:
        retrievers: fitted, at least one.
        snapshot: of the rows they were fitted on.
        items: ids, or titles that only one item has; all are found in one pass over the users.
        k: how many users for each, at least 1.
        keep_seen: whether to keep users who already have the item; places are then among all items.

    Returns:
        ``item_id``, ``rank`` from 1, ``user_id``, ``score`` (log of share times activity), best
        first, item by item.
    """
    check_k(k)
    rows = np.array([snapshot.item_row(item) for item in items], np.int32)
    k = min(k, snapshot.n_users)
    best = TopK.nothing(len(rows), k)
    step = max(1, _CELLS // max(snapshot.n_items, len(rows)))
    for start in range(0, snapshot.n_users, step):
        users = np.arange(start, min(start + step, snapshot.n_users), dtype=np.int32)
        queries = snapshot.queries_of_rows(users)
        found = _expected(retrievers, queries, rows, keep_seen=keep_seen)
        best = _better(best, users, found.T.astype(np.float32), k)
    item, place = np.nonzero(best.rows >= 0)
    return pl.DataFrame(
        {
            "item_id": snapshot.item_vocabulary.decode(rows[item]),
            "rank": (place + 1).astype(np.int32),
            "user_id": snapshot.user_vocabulary.decode(best.rows[item, place]),
            "score": best.scores[item, place],
        }
    )


def _expected(
    retrievers: Sequence[AnsweringRetriever],
    queries: Queries,
    rows: NDArray[np.int32],
    *,
    keep_seen: bool,
) -> NDArray[np.float64]:
    # (n, items) log of share times activity; -inf for whom it is not an answer
    counts = np.diff(queries.offsets)
    asker = np.repeat(np.arange(len(queries)), counts)
    total, parts = np.zeros((len(queries), len(rows))), np.zeros(len(queries))
    for part in retrievers:
        known = part.knows(queries)
        scores = part.score_all(queries)
        if not keep_seen:
            scores[asker, queries.history_rows] = -np.inf
        total[known] += _log_shares(scores[known], rows)
        parts += known
    known = parts > 0
    found = np.full_like(total, -np.inf)
    found[known] = total[known] / parts[known, None] + np.log(counts[known, None])
    return found


def _log_shares(scores: NDArray[np.float32], rows: NDArray[np.int32]) -> NDArray[np.float64]:
    # scores (n, all items), -inf for what is no answer; rows (m,) -> (n, m)
    shares = np.empty((len(scores), len(rows)))
    chances = 1 / (np.arange(scores.shape[1]) + _HEAD)
    sums = np.cumsum(chances)
    for line, own in enumerate(scores):
        ordered = np.sort(own)
        asked = own[rows]
        above = len(own) - np.searchsorted(ordered, asked, "right")
        level = len(own) - np.searchsorted(ordered, asked, "left") - above
        answers = int((own > -np.inf).sum())
        # equal scores share the middle of their places
        place = above + (level - 1) / 2
        shares[line] = -np.log(place + _HEAD) - np.log(sums[max(answers, 1) - 1])
    shares[np.isneginf(scores[:, rows])] = -np.inf
    return shares


def _better(best: TopK, users: NDArray[np.int32], scores: NDArray[np.float32], k: int) -> TopK:
    # the best k of those so far and some more users; scores (items, users)
    rows = np.concatenate([best.rows, np.broadcast_to(users, scores.shape)], axis=1)
    top = select_top_k(np.concatenate([best.scores, scores], axis=1), k)
    kept = np.take_along_axis(rows, np.maximum(top.rows, 0), axis=1)
    return TopK(np.where(top.rows < 0, -1, kept).astype(np.int32), top.scores)
