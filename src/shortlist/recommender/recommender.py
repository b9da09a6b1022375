"""The recommender: the one object that is fitted, evaluated, saved, loaded and asked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.interactions import Interactions
from shortlist.data.lists import AnsweringListRanker
from shortlist.data.protocols import AnsweringRanker, Reranker
from shortlist.data.queries import Queries
from shortlist.data.topk import TopK
from shortlist.data.vocabulary import IdColumn, UserOrItemId
from shortlist.errors import ConfigError
from shortlist.index.select import check_k
from shortlist.recommender.asking import askers, blocks
from shortlist.recommender.audience import audience
from shortlist.recommender.finishing import Finish, pinned
from shortlist.recommender.kinds import rerankers_of, rules_of
from shortlist.recommender.learning import Learning
from shortlist.recommender.likeness import similar
from shortlist.recommender.matching import match
from shortlist.recommender.ratings import predict_for_user, predict_pairs
from shortlist.recommender.reasons import reasons
from shortlist.recommender.rules import Allow, Deny, Rule, Where, joint_mask, listed
from shortlist.recommender.saving import save
from shortlist.recommender.second_stage import Proposed
from shortlist.recommender.stages import Answer
from shortlist.recommender.tables import shortlist_table


@dataclass(eq=False, repr=False)
class Recommender(Learning):
    """Retrieve, exclude and filter, rank, fall back.

    Attributes:
        retrieve: one retriever or several; several are merged by reciprocal rank.
        rank: puts the candidates in order; None keeps the retrievers' order.
        rules: what may be answered; by default what the asker has not seen.
        fallback: answers whoever brings nothing that a retriever knows.
        candidates: how many items each retriever hands to the next stage.
        name: shown in comparisons; built from the parts where empty.
        rank_lists: whether the ranker orders the lists; False keeps it for predictions only.
        rerank: what is done to the list as a whole (:mod:`shortlist.rerank`), in this order.
        explore: draws the last places by lot, with propensities; None draws nothing.
        metrics: figures to keep in the bundle, by protocol; set by whoever evaluated.
    """

    def recommend(
        self,
        user: UserOrItemId | None = None,
        *,
        users: IdColumn | None = None,
        history: Iterable[UserOrItemId] | None = None,
        about: Mapping[str, object] | None = None,
        context: Mapping[str, object] | None = None,
        k: int = 10,
        where: str | None = None,
        allow: Iterable[UserOrItemId] | None = None,
        deny: Iterable[UserOrItemId] | None = None,
        keep_seen: bool = False,
        explain: bool = False,
        pin: Iterable[UserOrItemId] = (),
        rerank: Reranker | Sequence[Reranker] | None = None,
        seed: int | None = None,
    ) -> pl.DataFrame:
        """Shortlists, for one user, for many, or for a guest who brings a history.

        Args:
            user: one user's id; someone unknown gets the fallback.
            users: many ids, instead of ``user``.
            history: ids or unique titles that a guest likes, oldest first, instead of ``user``.
            about: a guest's own columns, such as ``{"age": 30}``, beside or instead of ``history``.
            context: columns known at the time of asking, for models that read them.
            k: how many items for each; fewer come back only where fewer are eligible.
            where: a condition on the catalogue, for this request only.
            allow: only these items (ids or unique titles), for this request only.
            deny: not these items (ids or unique titles), for this request only.
            keep_seen: whether to leave seen items in.
            explain: whether to say which items of the history speak for each one.
            pin: ids or unique titles that stand first, in this order, wherever the asker may get
                them.
            rerank: one or several, instead of the recommender's own re-rankers, for this request
                only.
            seed: of this request's exploration; None for that of ``explore``.

        Returns:
            One row per place: ``user_id`` (not for guests), ``rank`` from 1, ``item_id``,
            ``title``, ``score`` (of the last stage), ``source`` (the part that proposed it); with
            ``explain`` also ``because``, at most three of ``item_id``, ``title`` and ``share``: the
            share of what speaks for the item in that part, of 1. Empty where the part cannot say. And, where
            the ranker can tell (``Boosted``), ``ranked_by``, at most three of ``feature`` and ``added``.
            With ``explore`` also ``propensity``, the probability of what the place shows.

        Raises:
            ConfigError: not exactly one of ``user``, ``users`` and a guest (``history``,
                ``about``) is given, one text stands where a list belongs, or an item is pinned
                twice, or pinned and ruled out by the same request.
        """
        queries, ids = askers(self.snapshot, user, users, history, about, context)
        check_k(k)
        k = min(k, self.snapshot.n_items)  # no more rows than that can come back
        rules: list[Rule] = [] if where is None else [Where(where)]
        rules += [] if allow is None else [Allow(listed("allow", allow))]
        rules += [] if deny is None else [Deny(listed("deny", deny))]
        pins = listed("pin", pin)
        finish = Finish(
            self.rerankers if rerank is None else rerankers_of(rerank),
            self.explore,
            seed,
            pinned(self.snapshot, pins, joint_mask(rules, self.snapshot) if pins else None),
        )
        answer = self.answer(queries, k, rules=rules, keep_seen=keep_seen, finish=finish)
        table = self.table(answer, ids)
        if not explain:
            return table
        return table.with_columns(reasons(self, queries, answer).columns(self.snapshot))

    def match(
        self,
        like: Mapping[str, Sequence[object]],
        *,
        must: Sequence[str] = (),
        must_not: Sequence[str] = (),
        k: int = 10,
    ) -> pl.DataFrame:
        """Items for stated preferences, with the reasons; no history, no model.

        Args:
            like: column of the catalogue -> wanted values, or (low, high) of a number, such as
                ``{"genres": ["Comedy", "Crime"], "year": (1990, 1999)}``.
            must: conditions that must hold, such as ``["'Comedy' in genres"]``.
            must_not: conditions that must not.
            k: how many.

        Returns:
            ``rank``, ``item_id``, ``title``, ``score``, ``reasons``, and ``relaxed``: the
            conditions that were dropped because nothing met them all.
        """
        conditions = (listed("must", must), listed("must_not", must_not))
        must_hold, must_fail = ([str(text) for text in texts] for texts in conditions)
        return match(self.snapshot, like, must_hold, must_fail, k, self.mask([]))

    def top(
        self,
        users: pl.Series,
        k: int,
        *,
        keep_seen: bool = False,
        context: pl.DataFrame | None = None,
        histories: Interactions | None = None,
    ) -> TopK:
        """The same answers as rows.

        Args:
            users: (n,) ids.
            k: how many items each.
            keep_seen: whether to leave seen items in.
            context: (n rows) columns known at the time of asking, or None.
            histories: rows that strangers bring: everyone is asked as ``recommend(history=...)``
                asks a guest, about the columns that the users' table has of them.

        Returns:
            A TopK of rows of ``snapshot.item_vocabulary``.
        """
        known = self.snapshot
        queries = known.queries(users) if histories is None else known.guests(users, histories)
        return self.answer(replace(queries, context=context), k, keep_seen=keep_seen).top

    def answer(
        self,
        queries: Queries,
        k: int,
        *,
        rules: Rule | Sequence[Rule] = (),
        keep_seen: bool = False,
        finish: Finish | None = None,
    ) -> Answer:
        """The path that everything takes: rules, retrieval, merging, ranking, fallback, re-ranking.

        Args:
            queries: n askers.
            k: how many items each, at least 1.
            rules: a further rule for this request, or several.
            keep_seen: whether to leave seen items in.
            finish: what happens to the list as a whole; None for the recommender's own.

        Returns:
            Rows, scores and sources, (n, k) each.
        """
        check_k(k)
        if finish is None:
            finish = Finish(self.rerankers, self.explore, None, np.empty(0, np.int32))
        stages = self.stages()
        answers = [
            finish.shown(stages, self.snapshot, block, k, may)
            for block, may in blocks(self, queries, rules_of(rules), keep_seen=keep_seen)
        ]
        if not answers:
            return Answer(TopK.nothing(0, k), np.empty((0, k), np.int32), stages.names)
        return Answer.stack(answers)

    def table(self, answer: Answer, users: pl.Series | None = None) -> pl.DataFrame:
        """An answer as a table.

        Args:
            answer: of n askers.
            users: (n,) their ids; None for guests.

        Returns:
            One row per filled place, as :meth:`recommend` describes.
        """
        return shortlist_table(self.snapshot, answer, users)

    def similar(
        self, item: UserOrItemId, *, k: int = 10, where: str | None = None
    ) -> pl.DataFrame:
        """Items like a given one, by the first retriever that knows what it is like.

        Args:
            item: an id, or a title that only one item has.
            k: how many.
            where: a condition on the catalogue.

        Returns:
            ``rank``, ``item_id``, ``title``, ``score``; never the item itself, nor a title twice.
            No row, and a logged warning, where nothing is known of what the item is like.
        """
        check_k(k)
        mask = self.mask([] if where is None else [Where(where)])
        return similar(self.answering, self.snapshot, item, k, mask)

    def audience(
        self,
        item: UserOrItemId | None = None,
        *,
        items: Iterable[UserOrItemId] | None = None,
        k: int = 1000,
        keep_seen: bool = False,
    ) -> pl.DataFrame:
        """The users most likely to take an item.

        That is the item's share of a user's interest, by its place in the user's own order of what
        they lack (several retrievers are averaged), times how much the user takes: their rows in
        train. Users of whom no retriever knows anything are left out.

        Args:
            item: an id, or a title that only one item has.
            items: several of these, instead of ``item``; the users are scored once for all.
            k: how many users for each.
            keep_seen: whether to keep users who already have the item.

        Returns:
            ``item_id`` (with ``items``), ``rank``, ``user_id``, ``score`` (log of share times
            activity: it compares between users, and between items).

        Raises:
            ConfigError: not exactly one of ``item`` and ``items`` is given, or no retriever is
                personal.
        """
        if (item is None) == (items is None):
            msg = "say which item: exactly one of item and items="
            raise ConfigError(msg)
        if not self._personal:
            msg = "popularity wants every item alike for everyone, so it has no audience to rank; put EASE or TwoTower in retrieve"
            raise ConfigError(msg)
        asked = listed("items", () if items is None else items) if item is None else (item,)
        found = audience(self._personal, self.snapshot, asked, k, keep_seen=keep_seen)
        return found.drop("item_id") if items is None else found

    def predictor(self) -> AnsweringRanker:
        """What predicts: the ranker, over all that is known.

        Returns:
            A ranker; one that reads lists is given what the retrievers propose.
        """
        ranker = self._ranker()
        return Proposed(self, ranker) if isinstance(ranker, AnsweringListRanker) else ranker

    def predict(
        self, user: UserOrItemId, items: Iterable[UserOrItemId] | None = None
    ) -> pl.DataFrame:
        """Predicted ratings for one user; of a list model scores, or, where it is calibrated, probabilities.

        Args:
            user: an id; someone unknown gets the prediction for the average user.
            items: ids or unique titles, answered in this order; None: the whole catalogue, best
                first.

        Returns:
            ``item_id``, ``title``, ``prediction``.
        """
        given = None if items is None else listed("items", items)
        return predict_for_user(self.predictor(), self.snapshot, user, given)

    def predict_pairs(
        self, users: pl.Series, items: pl.Series, *, context: pl.DataFrame | None = None
    ) -> NDArray[np.float32] | None:
        """Predicted ratings of pairs, unknown ids included.

        Args:
            users: (n,) ids.
            items: (n,) ids.
            context: (n rows) columns known at the time of asking, or None.

        Returns:
            (n,) float32; None without a ranker that predicts ratings.
        """
        if self.rank is None or not getattr(self.rank, "predicts_ratings", True):
            return None
        return predict_pairs(self.predictor(), self.snapshot, users, items, context)

    def save(self, path: str | Path) -> Path:
        """Write a bundle, or a new version of one.

        Args:
            path: folder of the bundle.

        Returns:
            The folder of the version written.
        """
        return save(self, Path(path))
