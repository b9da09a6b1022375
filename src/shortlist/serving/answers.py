"""Routes that ask the recommender."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from shortlist.errors import LikenessError, NotReadyError, ShortlistError
from shortlist.serving import wire
from shortlist.serving.asking import Question, Reply, queries_of
from shortlist.serving.http import Request, Response, Route, ok
from shortlist.serving.overlay import guest
from shortlist.serving.refusals import Refused
from shortlist.serving.service import Service

if TYPE_CHECKING:
    import polars as pl


class Answers:
    """Answers of the routes.

    Args:
        service: behind them.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> tuple[Route, ...]:
        """All of them.

        Returns:
            Routes.
        """
        return (
            Route("POST", "/recommend", self.recommend, "A shortlist for a user or a guest",
                  body=wire.Recommend, answer=wire.Shortlist),
            Route("POST", "/similar", self.similar, "Items like an item",
                  body=wire.Similar, answer=wire.SimilarItems, refuses=(404, 409)),
            Route("POST", "/audience", self.audience, "Users most likely to take an item",
                  body=wire.Audience, answer=wire.AudienceOfItem, refuses=(404, 409)),
            Route("POST", "/predict", self.predict, "Predicted ratings",
                  body=wire.Predict, answer=wire.Predictions, refuses=(409,)),
            Route("POST", "/rank", self.rank, "Given candidates in order",
                  body=wire.Rank, answer=wire.Ranked),
        )  # fmt: skip

    async def recommend(self, _: Request, asked: wire.Recommend) -> Response:
        """A shortlist.

        Args:
            asked: the body.

        Returns:
            A Shortlist.
        """
        _insist_one_asker(asked.user_id, asked.history, asked.about)
        if asked.context:
            _insist_known("context", asked.context, self._service.arms.context_columns)
        if asked.about:
            _insist_known("about", asked.about, self._service.running.about_columns)
        reply = await self._service.recommend(
            Question(
                user_id=asked.user_id,
                history=asked.history or (),
                about=asked.about,
                k=asked.k,
                where=asked.where,
                allow=asked.allow,
                deny=asked.deny,
                keep_seen=asked.keep_seen,
                context=asked.context,
                explain=asked.explain,
                diversity=asked.diversity,
            )
        )
        running = reply.running
        self._service.listed(reply)
        return ok(
            wire.Shortlist(
                _places(reply, attributes=asked.attributes),
                reply.known_user,
                reply.fallback,
                reply.unknown_items,
                running.version,
                running.ranker,
            )
        )

    async def similar(self, _: Request, asked: wire.Similar) -> Response:
        """Items like an item.

        Args:
            asked: the body.

        Returns:
            SimilarItems.

        Raises:
            Refused: the item is not known, or the bundle cannot say.
        """
        running = self._service.running
        item_id = running.item_ids[running.row_asked(asked.item_id)]
        if asked.where is not None:
            running.mask_of(asked.where)  # refuses what cannot be read

        def work() -> "pl.DataFrame":
            return running.recommender.similar(item_id, k=asked.k, where=asked.where)

        try:
            table = await self._service.slowly(work)
        except LikenessError:
            raise Refused(
                409, "not_available", "this bundle cannot tell what an item is like"
            ) from None
        found = [
            wire.AlikeItem(
                rank,
                item_id,
                title,
                score,
                running.attributes(running.row(item_id)) if asked.attributes else None,
            )
            for rank, item_id, title, score in table.rows()
        ]
        return ok(wire.SimilarItems(found, running.version))

    async def audience(self, _: Request, asked: wire.Audience) -> Response:
        """Users most likely to take an item.

        Args:
            asked: the body.

        Returns:
            AudienceOfItem; forgotten users are not in it.

        Raises:
            Refused: the item is not known, or the bundle cannot say.
        """
        running, overlay = self._service.running, self._service.overlay
        item_id = running.item_ids[running.row_asked(asked.item_id)]

        def work() -> "tuple[pl.DataFrame, set[str]]":
            taken: set[str] = set() if asked.keep_seen else overlay.takers(str(item_id))
            k = asked.k + overlay.forgotten_count + len(taken)
            k = min(k, running.snapshot.n_users)
            table = running.recommender.audience(item_id, k=k, keep_seen=asked.keep_seen)
            return table, taken

        try:
            table, taken = await self._service.slowly(work)
        except ShortlistError:
            raise Refused(
                409, "not_available", "this bundle cannot tell who wants an item"
            ) from None
        there = [
            (user_id, score)
            for _, user_id, score in table.rows()
            if str(user_id) not in taken and overlay.user_row(running, str(user_id)) >= 0
        ]
        members = [
            wire.Member(rank, *line) for rank, line in enumerate(there[: asked.k], start=1)
        ]
        return ok(wire.AudienceOfItem(members, running.version))

    async def predict(self, _: Request, asked: wire.Predict) -> Response:
        """Predicted ratings.

        Args:
            asked: the body.

        Returns:
            Predictions.

        Raises:
            Refused: the bundle has no ranker.
        """
        _insist_one_asker(asked.user_id, asked.history, None)
        service, running = self._service, self._service.arms.of(asked.user_id)
        rows, unknown = running.rows(asked.items)
        if asked.user_id is None:
            liked, lacking = running.rows(asked.history or ())
            asker = guest(liked)
        else:
            asker, lacking = service.overlay.asker(running, str(asked.user_id)), 0

        def work() -> list[float]:
            queries = queries_of(running, service.overlay, [asker], [asked.user_id])
            ranker = running.recommender.predictor()
            told: list[float] = ranker.predict(queries, np.array([rows], np.int32))[0].tolist()
            return told

        try:
            told = await service.slowly(work)
        except NotReadyError:
            raise Refused(
                409, "not_available", "this bundle cannot tell ratings, as it has no ranker"
            ) from None
        predictions = [
            wire.Prediction(running.item_ids[row], running.titles[row], value)
            for row, value in zip(rows, told, strict=True)
        ]
        known = asker.user_row >= 0 or len(asker.rows) > 0
        return ok(wire.Predictions(predictions, known, unknown + lacking, running.version))

    async def rank(self, _: Request, asked: wire.Rank) -> Response:
        """Given candidates in the order in which they would be recommended.

        Args:
            asked: the body.

        Returns:
            Ranked.
        """
        _insist_one_asker(asked.user_id, asked.history, None)
        if asked.context:
            _insist_known("context", asked.context, self._service.arms.context_columns)
        reply = await self._service.recommend(
            Question(
                user_id=asked.user_id,
                history=asked.history or (),
                k=len(asked.items),
                allow=asked.items,
                keep_seen=True,
                context=asked.context,
                plain=True,
            )
        )
        running = reply.running
        ranked = [
            wire.RankedItem(place, running.item_ids[row], running.titles[row], score)
            for place, (row, score) in enumerate(
                zip(reply.rows, reply.scores, strict=True), start=1
            )
        ]
        return ok(
            wire.Ranked(
                ranked, reply.known_user, reply.fallback, reply.unknown_items, running.version
            )
        )


def _insist_one_asker(user_id: object, history: object, about: object) -> None:
    if (user_id is None) == (history is None and about is None):
        raise Refused(
            422,
            "invalid_request",
            "say who is asking: either user_id, or, for a guest, history or about",
        )


def _insist_known(name: str, given: Mapping[str, object], columns: Sequence[str]) -> None:
    if not given.keys() <= set(columns):
        reads = f"the columns {', '.join(columns)}, and no other" if columns else "no column"
        words = f"{name} has a column that is not read; this bundle reads {reads}"
        raise Refused(422, "unknown_column", words)


def _places(reply: Reply, *, attributes: bool) -> list[wire.Place]:
    ids, titles = reply.running.item_ids, reply.running.titles
    if reply.because is None and reply.propensity is None and not attributes:
        return [
            wire.Place(
                place + 1, ids[row], titles[row], reply.scores[place], reply.sources[place]
            )
            for place, row in enumerate(reply.rows)
        ]
    places = []
    for place, row in enumerate(reply.rows):
        because = None if reply.because is None else reply.because[place]
        ranked_by = None if reply.ranked_by is None else reply.ranked_by[place]
        places.append(
            wire.Place(
                place + 1,
                ids[row],
                titles[row],
                reply.scores[place],
                reply.sources[place],
                None if because is None else [wire.Because(**one) for one in because],
                None if ranked_by is None else [wire.RankedBy(**one) for one in ranked_by],
                None if reply.propensity is None else reply.propensity[place],
                reply.running.attributes(row) if attributes else None,
            )
        )
    return places
