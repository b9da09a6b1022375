"""The figure that early stopping watches: recall of validation rows through the answering path."""

import numpy as np

from shortlist.data.eligible import Eligible
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import Retriever
from shortlist.data.snapshot import Snapshot
from shortlist.errors import DataError


class RecallWatch:
    """Share of liked validation rows whose item is among a user's top k, train items excluded.

    Args:
        train: what the retriever knows.
        validate: later rows; users and items that train never saw count as misses.
        k: length of the lists.

    Raises:
        DataError: ``validate`` has no liked row, or no user that train saw.
    """

    def __init__(self, train: Interactions, validate: Interactions, *, k: int = 100) -> None:
        liked = validate.table.filter(validate.liked)
        if not len(liked):
            msg = "validation has no liked row, so it can choose nothing; give more rows, or another idea of positive"
            raise DataError(msg)
        snapshot = Snapshot.of(train)
        users = liked["user_id"].unique(maintain_order=True)
        known = snapshot.user_vocabulary.rows(users)
        self._queries = snapshot.queries(users.filter(known >= 0))
        if not len(self._queries):
            msg = "validation holds only users that train never saw, so it can choose nothing; hold out rows of known users, as split.latest does"
            raise DataError(msg)
        at = np.full(snapshot.n_users + 1, -1)
        at[self._queries.user_rows] = np.arange(len(self._queries))
        self._line = at[
            snapshot.user_vocabulary.rows(liked["user_id"])
        ]  # -1 reads the last entry: unknown
        self._items = snapshot.item_vocabulary.rows(liked["item_id"])
        self._eligible = Eligible.of(
            len(self._queries), excluded=(self._queries.history_rows, self._queries.offsets)
        )
        self._k = k

    def __call__(self, retriever: Retriever) -> float:
        """Measure.

        Args:
            retriever: fitted on train.

        Returns:
            Recall at k, 0 to 1.
        """
        top = retriever.retrieve(self._queries, self._k, self._eligible)
        known = (self._line >= 0) & (self._items >= 0)
        hit = (top.rows[self._line[known]] == self._items[known][:, None]).any(axis=1)
        return float(hit.sum() / len(known))
