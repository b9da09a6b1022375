"""Fitted parts that also answer for users and items that came later.

A later user is a stranger with a history. A later item stands in histories as the known item it is
most like, and scores the weighted mean of the known items it is like.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shortlist.data.eligible import Eligible
from shortlist.data.lists import ListRanker
from shortlist.data.protocols import Explains, Ranker, Retriever
from shortlist.data.queries import Queries
from shortlist.data.topk import Candidates, TopK
from shortlist.index.select import check_asked, in_order, select_top_k
from shortlist.ranking.order import RatingRanker, order_by
from shortlist.recommender.growth import Growth
from shortlist.retrieval.dense import excluding_itself


@dataclass(frozen=True, eq=False)
class GrownRetriever:
    """A retriever over a catalogue that has grown since it was fitted.

    Attributes:
        inner: fitted on the first ``growth.n_items`` items.
        growth: what came later.
    """

    inner: Retriever
    growth: Growth

    @property
    def name(self) -> str:
        """That of the inner retriever: it is the one that answers."""
        return self.inner.name

    def knows(self, queries: Queries) -> NDArray[np.bool_]:
        """Which askers the inner retriever has a personal answer for.

        Args:
            queries: n askers.

        Returns:
            (n,) bool.
        """
        return self.inner.knows(self.growth.known(queries))

    def retrieve(self, queries: Queries, k: int, eligible: Eligible | None = None) -> TopK:
        """The best known items and the new ones, in one order.

        Args:
            queries: n askers.
            k: how many, at least 1.
            eligible: what may be answered; None allows everything.

        Returns:
            A TopK (n, k).
        """
        check_asked(k, len(queries), eligible)
        known, first = self.growth.known(queries), self.growth.n_items
        limits = None if eligible is None else eligible.columns(0, first)
        old = self.inner.retrieve(known, k, limits)
        scores = self._of_new(known)
        if eligible is not None:
            eligible.columns(first, first + scores.shape[1]).apply(scores)
        new = select_top_k(scores, max(1, min(k, scores.shape[1])))
        return _one_order(old, new, first, k)

    def score(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Scores of given items.

        Args:
            queries: n askers.
            rows: (n, m) item rows; -1 scores -inf.

        Returns:
            (n, m) float32.
        """
        known, first = self.growth.known(queries), self.growth.n_items
        scores = self.inner.score(known, np.where(rows < first, rows, -1).astype(np.int32))
        if (rows >= first).any():
            new = np.take_along_axis(self._of_new(known), np.maximum(rows - first, 0), axis=1)
            scores = np.where(rows < first, scores, new)
        return scores

    def score_all(self, queries: Queries) -> NDArray[np.float32]:
        """Scores of the whole catalogue.

        Args:
            queries: n askers.

        Returns:
            (n, n_items + new) float32.
        """
        scores = self.inner.score_all(self.growth.known(queries))
        new = self.growth.means(scores[:, self.growth.neighbours], self.growth.neighbours)
        return np.concatenate([scores, new], axis=1)

    def similar(
        self, rows: NDArray[np.int32], k: int, eligible: Eligible | None = None
    ) -> TopK:
        """The items most like each given item; a new one is like what its known items are like.

        Args:
            rows: (n,) items asked about.
            k: how many, at least 1.
            eligible: what may be answered; None allows everything. The item itself never is.

        Returns:
            A TopK (n, k); an empty line where nothing is known of what is like the item, and no
            new item that is like none in any.
        """
        growth, first = self.growth, self.growth.n_items
        asked = growth.nearest[rows]
        lines = np.full((len(rows), first), -np.inf, np.float32)
        some = np.flatnonzero(asked >= 0)
        top = self.inner.similar(asked[some], first)
        line, place = np.nonzero(top.rows >= 0)
        lines[some[line], top.rows[line, place]] = top.scores[line, place]
        best = top.scores[:, 0]  # an item is as like itself as the most like other one
        lines[some, asked[some]] = best
        new = growth.means(lines[:, growth.neighbours], growth.neighbours)
        scores = np.concatenate([lines, new], axis=1)
        scores[:, growth.like_none] = -np.inf
        excluding_itself(rows, eligible).apply(scores)
        return select_top_k(scores, k)

    def explain(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """What each entry of a history adds; to a new item, the mean of what it adds to its like.

        Args:
            queries: n askers.
            rows: (n, m) item rows.

        Returns:
            (len(queries.history_rows), m) float32; zeros where the inner retriever cannot say.
        """
        added = np.zeros((len(queries.history_rows), rows.shape[1]), np.float32)
        if not isinstance(self.inner, Explains):
            return added
        growth, first = self.growth, self.growth.n_items
        known, kept = growth.known(queries), growth.kept(queries)
        old = np.where(rows < first, rows, -1).astype(np.int32)
        added[kept] = self.inner.explain(known, old)
        like, askers = growth.neighbours, queries.askers[kept]
        if (rows >= first).any():
            wanted = np.broadcast_to(like, (len(queries), len(like)))
            means = growth.means(self.inner.explain(known, wanted), like)
            means[:, np.diff(growth.alike.indptr) == 0] = 0.0
            taken = np.take_along_axis(means, np.maximum(rows - first, 0)[askers], axis=1)
            added[kept] = np.where(rows[askers] < first, added[kept], taken)
        return added

    def _of_new(self, known: Queries) -> NDArray[np.float32]:
        like = self.growth.neighbours
        wanted = np.broadcast_to(like, (len(known), len(like)))
        return self.growth.means(self.inner.score(known, wanted), like)


@dataclass(frozen=True, eq=False)
class GrownRanker(RatingRanker):
    """A ranker over a catalogue that has grown since it was fitted.

    Attributes:
        inner: fitted on the first ``growth.n_items`` items.
        growth: what came later.
    """

    inner: Ranker
    growth: Growth

    @property
    def name(self) -> str:
        """That of the inner ranker."""
        return self.inner.name

    def predict(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Predicted values; of a new item, the mean over the known items it is like.

        Args:
            queries: n askers.
            rows: (n, m) item rows; -1 is an unknown item, as is a new one that is like none.

        Returns:
            (n, m) float32.
        """
        growth, first = self.growth, self.growth.n_items
        known = growth.known(queries)
        values = self.inner.predict(known, np.where(rows < first, rows, -1).astype(np.int32))
        described = np.append(np.diff(growth.alike.indptr) > 0, False)
        new = (rows >= first) & described[np.maximum(rows - first, -1)]
        if new.any():
            like = growth.neighbours
            wanted = np.broadcast_to(like, (len(known), len(like)))
            means = growth.means(self.inner.predict(known, wanted), like)
            taken = np.take_along_axis(means, np.where(new, rows - first, 0), axis=1)
            values = np.where(new, taken, values)
        return values


@dataclass(frozen=True, eq=False)
class GrownListRanker:
    """A list model over a catalogue that has grown: a new item is read as the known one it is most like.

    Attributes:
        inner: fitted on the first ``growth.n_items`` items.
        growth: what came later.
    """

    inner: ListRanker
    growth: Growth

    @property
    def sources(self) -> tuple[str, ...]:
        """Those of the inner ranker."""
        return self.inner.sources

    @property
    def predicts_ratings(self) -> bool:
        """Whether the inner ranker does."""
        return self.inner.predicts_ratings

    def values(self, queries: Queries, candidates: Candidates) -> NDArray[np.float32]:
        """What lists are ordered by.

        Args:
            queries: n askers.
            candidates: (n, m), also of new items.

        Returns:
            (n, m) float32.
        """
        return self.inner.values(self.growth.known(queries), self._known(candidates))

    def predictions(self, queries: Queries, candidates: Candidates) -> NDArray[np.float32]:
        """What :meth:`predict` answers, of candidates that know who proposed them.

        Args:
            queries: n askers.
            candidates: (n, m), also of new items.

        Returns:
            (n, m) float32.
        """
        return self.inner.predictions(self.growth.known(queries), self._known(candidates))

    def rank(self, queries: Queries, candidates: Candidates) -> TopK:
        """Candidates, the likeliest first.

        Args:
            queries: n askers.
            candidates: n lists.

        Returns:
            A TopK of the same items.
        """
        return order_by(self.values(queries, candidates), candidates)

    def predict(self, queries: Queries, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Predicted values of items that nobody proposed.

        Args:
            queries: n askers.
            rows: (n, m) item rows; -1 is an unknown item.

        Returns:
            (n, m) float32.
        """
        return self.inner.predict(self.growth.known(queries), self._known_rows(rows))

    def _known(self, candidates: Candidates) -> Candidates:
        return replace(candidates, rows=self._known_rows(candidates.rows))

    def _known_rows(self, rows: NDArray[np.int32]) -> NDArray[np.int32]:
        return np.where(rows >= 0, self.growth.nearest[rows], -1).astype(np.int32)


def _one_order(old: TopK, new: TopK, first: int, k: int) -> TopK:
    rows = np.concatenate([old.rows, np.where(new.rows < 0, -1, new.rows + first)], axis=1)
    scores = np.concatenate([old.scores, new.scores], axis=1)
    rising = np.argsort(np.where(rows < 0, np.iinfo(np.int32).max, rows), axis=1, kind="stable")
    taken = np.take_along_axis(rows, rising, axis=1).astype(np.int32)
    return in_order(taken, np.take_along_axis(scores, rising, axis=1), k)
