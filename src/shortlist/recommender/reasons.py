"""Why an item stands in a shortlist: what the history says for it, and what its ranker saw in it."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.lists import ExplainsRank
from shortlist.data.protocols import Explains, Json
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.recommender.asking import proposals
from shortlist.recommender.stages import Answer

if TYPE_CHECKING:
    from shortlist.recommender.joined import Joined

_MOST = 3  # reasons for an item
_Told = list[list[dict[str, Json]]]


class Reasons(NamedTuple):
    """What speaks for the items of shortlists, one list for each filled place.

    Attributes:
        because: at most three of ``item_id``, ``title`` and ``share``: entries of the history, and the
            share of all that speaks for the item, 0 to 1, largest first. Empty where the retriever
            that proposed the item cannot say, or where nothing of the history speaks for it.
        ranked_by: at most three of ``feature`` and ``added`` (to the score of the ranker), the strongest
            first; None where the ranker cannot tell.
    """

    because: _Told
    ranked_by: _Told | None

    def columns(self, snapshot: Snapshot) -> list[pl.Series]:
        """The same as columns of a table.

        Args:
            snapshot: gives the kind of the ids.

        Returns:
            ``because``, and ``ranked_by`` where the ranker can tell.
        """
        of_id = snapshot.item_vocabulary.ids.dtype
        entry = pl.Struct({"item_id": of_id, "title": pl.String, "share": pl.Float32})
        made = [pl.Series("because", self.because, dtype=pl.List(entry))]
        if self.ranked_by is not None:
            feature = pl.Struct({"feature": pl.String, "added": pl.Float32})
            made.append(pl.Series("ranked_by", self.ranked_by, dtype=pl.List(feature)))
        return made


def reasons(rec: "Joined", queries: Queries, answer: Answer) -> Reasons:
    """Why each item stands there, by the retriever that proposed it and by the ranker.

    Args:
        rec: that answered.
        queries: the n askers.
        answer: what they got.

    Returns:
        Reasons.
    """
    because: _Told = []
    answering = rec.answering
    for asker in range(len(queries)):
        shown = answer.top.rows[asker] >= 0
        rows, source = answer.top.rows[asker][shown], answer.source[asker][shown]
        one = queries.slice(asker, asker + 1)
        shares = np.zeros((len(one.history_rows), len(rows)))
        for number, part in enumerate(answering):
            mine = source == number
            if isinstance(part, Explains) and mine.any():
                shares[:, mine] = _shares(part.explain(one, rows[None, mine]))
        because += _named(rec.snapshot, one.history_rows, shares)
    return Reasons(because, _strongest(rec, queries, answer))


def _shares(added: NDArray[np.float32]) -> NDArray[np.float64]:
    speaks = np.maximum(added.astype(np.float64), 0.0)
    total: NDArray[np.float64] = speaks.sum(axis=0)
    return speaks / np.maximum(total, 1e-30)


def _named(
    snapshot: Snapshot, history: NDArray[np.int32], shares: NDArray[np.float64]
) -> _Told:
    # (entries, m) shares to the largest of each item; of equal ones, the earliest
    told: _Told = [[] for _ in range(shares.shape[1])]
    places = np.arange(shares.shape[1])
    for _ in range(min(_MOST, len(shares))):
        best = shares.argmax(axis=0)
        found, rows = shares[best, places], history[best]
        ids = snapshot.item_vocabulary.ids.gather(rows).to_list()
        titles = snapshot.catalogue.titles.gather(rows).to_list()
        for place in np.flatnonzero(found > 0).tolist():
            told[place].append(
                {
                    "item_id": ids[place],
                    "title": titles[place],
                    "share": float(found[place]),
                }
            )
        shares[best, places] = 0.0
    return told


def _strongest(rec: "Joined", queries: Queries, answer: Answer) -> _Told | None:
    ranker: object = rec.rank  # any kind may tell
    if not isinstance(ranker, ExplainsRank) or not rec.rank_lists or rec.growth is not None:
        return None
    told: _Told = []
    stages = rec.stages()
    for asker in range(len(queries)):
        one, rows = queries.slice(asker, asker + 1), answer.top.rows[asker]
        found, _ = proposals(rec, stages, one)
        added = ranker.explain(one, found)
        names, numbers = list(added), np.stack(list(added.values()))[:, 0]  # (features, m)
        for row in rows[rows >= 0]:
            at = np.flatnonzero(found.rows[0] == row)  # pins and fallbacks are no candidates
            mine = numbers[:, at[0]] if len(at) else np.zeros(len(names), np.float32)
            best = np.argsort(-np.abs(mine), kind="stable")[:_MOST]
            told.append(
                [{"feature": names[f], "added": float(mine[f])} for f in best if mine[f] != 0]
            )
    return told
