"""Item to users: who is most likely to want it."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.protocols import Retriever
from shortlist.data.snapshot import Snapshot
from shortlist.data.vocabulary import UserOrItemId
from shortlist.index.select import check_k, select_top_k

_CELLS = 1 << 22  # scores at a time: 16 MB


def audience(
    retrievers: Sequence[Retriever],
    snapshot: Snapshot,
    item: UserOrItemId,
    k: int,
    *,
    keep_seen: bool,
) -> pl.DataFrame:
    """Rank the known users by how large a share of their interest an item has.

    Scores of different users do not compare, so each is turned into the log of the item's share of
    the user's softmax over the whole catalogue; several retrievers are averaged. Users whom no
    retriever knows are left out.

    Args:
        retrievers: fitted, at least one.
        snapshot: of the rows they were fitted on.
        item: an id, or a title that only one item has.
        k: how many users, at least 1.
        keep_seen: whether to keep users who already have the item.

    Returns:
        ``rank`` from 1, ``user_id``, ``score`` (log share, at most 0).
    """
    check_k(k)
    row = snapshot.item_row(item)
    scores = np.full(snapshot.n_users, -np.inf)
    step = max(1, _CELLS // snapshot.n_items)
    for start in range(0, snapshot.n_users, step):
        users = np.arange(start, min(start + step, snapshot.n_users), dtype=np.int32)
        queries = snapshot.queries_of_rows(users)
        total, parts = np.zeros(len(users)), np.zeros(len(users))
        for part in retrievers:
            known = part.knows(queries)
            total[known] += _log_share(part.score_all(queries), row)[known]
            parts += known
        block = np.where(parts > 0, total / np.maximum(parts, 1), -np.inf)
        if not keep_seen:
            asker = np.repeat(np.arange(len(users)), np.diff(queries.offsets))
            block[asker[queries.history_rows == row]] = -np.inf
        scores[users] = block
    top = select_top_k(scores[None].astype(np.float32), min(k, snapshot.n_users))
    found = top.rows[0][top.rows[0] >= 0]
    return pl.DataFrame(
        {
            "rank": np.arange(1, len(found) + 1, dtype=np.int32),
            "user_id": snapshot.user_vocabulary.ids.gather(found),
            "score": top.scores[0][: len(found)],
        }
    )


def _log_share(scores: NDArray[np.float32], row: int) -> NDArray[np.float64]:
    best = scores.max(axis=1, keepdims=True)
    best = np.where(best > -np.inf, best, 0)
    everything = np.exp(scores - best).sum(axis=1, dtype=np.float64)  # (n,)
    with np.errstate(divide="ignore"):  # someone with no score at all: -inf
        share: NDArray[np.float64] = scores[:, row] - best[:, 0] - np.log(everything)
    return share
