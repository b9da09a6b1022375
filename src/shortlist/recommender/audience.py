"""Item to users: who is most likely to want it."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy.special import logsumexp

from shortlist.data.protocols import Retriever
from shortlist.data.snapshot import Snapshot
from shortlist.data.vocabulary import UserOrItemId
from shortlist.index.select import check_k, select_top_k

_BLOCK = 1024  # users at a time


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
    the user's softmax over the whole catalogue; several retrievers are averaged.

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
    for start in range(0, snapshot.n_users, _BLOCK):
        users = np.arange(start, min(start + _BLOCK, snapshot.n_users), dtype=np.int32)
        queries = snapshot.queries_of_rows(users)
        shares = []
        for part in retrievers:
            everything = part.score_all(queries).astype(np.float64)
            shares.append(everything[:, row] - logsumexp(everything, axis=1))
        block = np.mean(shares, axis=0)
        if not keep_seen:
            asker = np.repeat(np.arange(len(users)), np.diff(queries.offsets))
            block[asker[queries.history_rows == row]] = -np.inf
        scores[users] = block
    top = select_top_k(scores[None].astype(np.float32), k)
    found = top.rows[0][top.rows[0] >= 0]
    return pl.DataFrame(
        {
            "rank": np.arange(1, len(found) + 1, dtype=np.int32),
            "user_id": snapshot.user_vocabulary.decode(found),
            "score": top.scores[0][: len(found)],
        }
    )
