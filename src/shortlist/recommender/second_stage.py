"""The honest order behind a ranker that learns from lists: what it learns from is what would have been served.

A part of train is held back (by the ranker's ``holdout`` and ``share``). Fresh copies of the retrievers
are fitted on the rest, and asked by the path that serves: same rules, same exclusions, same number of
candidates. Each row held back is asked for with the history just before it (without times: each user once,
with the history of the rest), and says which candidate was taken.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shortlist.data import split
from shortlist.data.interactions import Interactions
from shortlist.data.lists import AnsweringListRanker, ListRanker, Lists, askings
from shortlist.data.protocols import Ranker, Retriever
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import Candidates, TopK
from shortlist.recommender.asking import proposals

if TYPE_CHECKING:
    from shortlist.recommender.joined import Joined

_log = logging.getLogger(__name__)


def earlier_lists(
    rec: "Joined", ranker: ListRanker, train: Interactions, validate: Interactions | None
) -> Lists:
    """Lists as of the earlier part of train, labelled by what followed in train.

    Args:
        rec: gives retrievers (unfitted copies are used), rules and the number of candidates.
        ranker: says how the later part is held back.
        train: the rows.
        validate: what the copies may choose by; it comes after train.

    Returns:
        Lists of those who have rows in both parts.
    """
    parts = split.holdout(train, ranker.holdout, share=ranker.share, seed=ranker.seed)
    known, followed = parts.train, parts.test
    copies = [part.settled().fit(known, validate=validate) for part in rec.retrievers]
    earlier = _asked(rec, copies, ranker, known)
    return _labelled(earlier, ranker, known, followed)


def later_lists(
    rec: "Joined", ranker: ListRanker, train: Interactions, validate: Interactions | None
) -> Lists | None:
    """Lists as they are served after train, labelled by the validation rows.

    Args:
        rec: its retrievers are fitted on train.
        ranker: says how many.
        train: the rows.
        validate: later rows, or None.

    Returns:
        Lists; None without validation rows of users that train knows.
    """
    if validate is None or not len(validate):
        return None
    asked = _asked(rec, rec.retrievers, ranker, train)
    return _labelled(asked, ranker, train, validate)


@dataclass(frozen=True, eq=False)
class Proposed:
    """Predictions of a list model for any items: the retrievers are asked first what they propose.

    Attributes:
        rec: gives the path that serves.
        inner: predicts; an item that nobody proposes is predicted as such.
    """

    rec: "Joined"
    inner: AnsweringListRanker

    def predict(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Predicted values of given items.

        Args:
            queries: n askers.
            rows: (n, m) item rows; -1 is an unknown item.

        Returns:
            (n, m) float32.
        """
        values = self.inner.predict(queries, rows)
        found, _ = proposals(self.rec, self.rec.stages(), queries)
        told = self.inner.predictions(queries, found)
        span = int(max(found.rows.max(initial=0), rows.max(initial=0))) + 2
        line = np.arange(len(queries))[:, None] * span
        known, wanted = (line + found.rows + 1).ravel(), line + rows + 1
        order = np.argsort(known, kind="stable")
        at = np.searchsorted(known, wanted, sorter=order)
        at = order[np.minimum(at, max(len(order) - 1, 0))] if len(order) else at
        same = (known[at] == wanted) & (rows >= 0) if len(known) else np.zeros(rows.shape, bool)
        return np.where(same, told.ravel()[at] if len(known) else 0.0, values).astype(
            np.float32
        )

    def rank(self, queries: Queries, candidates: Candidates) -> TopK:
        """Candidates, the likeliest first.

        Args:
            queries: n askers.
            candidates: n lists.

        Returns:
            A TopK of the same items.
        """
        return self.inner.rank(queries, candidates)


def mismatch(
    rank: Ranker | None, retrievers: Sequence[Retriever], snapshot: Snapshot
) -> str | None:
    """Say what a list model reads that a recommender does not hold.

    Args:
        rank: fitted.
        retrievers: that propose.
        snapshot: of the rows.

    Returns:
        A sentence; None where everything is there.
    """
    if not isinstance(rank, ListRanker):
        return None
    have = [part.name for part in retrievers]
    if sorted(have) != sorted(rank.sources):
        return (
            f"the ranker {rank.name} learned from lists of {sorted(rank.sources)}, and the retrievers are "
            f"{sorted(have)}: it would read scores that nobody gives. Fit them together: Recommender(...).fit(train)"
        )
    columns = [] if snapshot.users is None else snapshot.users.columns
    lacking = [name for name in rank.user_columns if name not in columns]
    if lacking:
        return f"the ranker {rank.name} reads the users' columns {lacking}, and the users' table has {columns}. Give the table it was fitted with"
    return None


def _asked(
    rec: "Joined", retrievers: Sequence[Retriever], ranker: ListRanker, known: Interactions
) -> "Joined":
    # a ranker kept for predictions learns from as many candidates as one that orders the lists
    return rec.with_parts(
        snapshot=Snapshot.of(known), retrieve=retrievers, rank=ranker, rank_lists=True
    )


def _labelled(
    rec: "Joined", ranker: ListRanker, known: Interactions, followed: Interactions
) -> Lists:
    queries, told = askings(known, followed, most=ranker.askers, seed=ranker.seed)
    found, helped = proposals(rec, rec.stages(), queries)
    lists = Lists.of(known, queries, found, told)
    if not helped.all():  # the fallback answers them, without a ranker
        lists = lists.some(np.flatnonzero(helped))
    _log.info("%s learns from %r", ranker.name, lists)
    return lists
