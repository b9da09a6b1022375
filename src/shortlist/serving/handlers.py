"""The service's own routes."""

import time
import uuid
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from shortlist.errors import LikenessError, NotReadyError, ShortlistError
from shortlist.serving import wire
from shortlist.serving.asking import Question, Reply, queries_of
from shortlist.serving.events import Kept
from shortlist.serving.http import Parameter, Request, Response, Route, ok
from shortlist.serving.overlay import guest
from shortlist.serving.refusals import Refused, UnknownItem
from shortlist.serving.service import Service

if TYPE_CHECKING:
    import polars as pl

    from shortlist.serving.running import Running

_PAGE = Parameter("limit", {"type": "integer", "minimum": 1, "maximum": 1000})
_SEARCH = Parameter("search", {"type": "string", "minLength": 1, "maxLength": 500}, True)


class Handlers:
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
            Route("GET", "/items", self.search, "Search by title",
                  answer=wire.FoundItems, query=(_SEARCH, _PAGE)),
            Route("GET", "/items/{item_id}", self.item, "An item",
                  answer=wire.Item, refuses=(404,)),
            Route("POST", "/items", self.add_items, "Add new items", scope="write",
                  body=wire.NewItems, answer=wire.ItemsKept, refuses=(507,)),
            Route("POST", "/events", self.events, "Tell what users did", scope="write",
                  body=wire.Events, answer=wire.EventsKept, refuses=(507,)),
            Route("GET", "/users/{user_id}/history", self.history, "What is known of a user",
                  answer=wire.UserHistory, query=(_PAGE,)),
            Route("DELETE", "/users/{user_id}", self.forget, "Forget a user", scope="write",
                  answer=wire.Forgotten, refuses=(507,)),
            Route("GET", "/health/live", self.live, "Whether the process lives", scope=None,
                  answer=wire.Health),
            Route("GET", "/health/ready", self.is_ready, "Whether requests are answered",
                  scope=None, answer=wire.Health),
            Route("GET", "/metrics", self.metrics, "Counts and times for Prometheus"),
            Route("GET", "/version", self.version, "What answers", answer=wire.Version),
            Route("POST", "/admin/reload", self.reload, "Take the bundle's current version",
                  scope="admin", answer=wire.Version, refuses=(409,)),
        )  # fmt: skip

    async def recommend(self, _: Request, asked: wire.Recommend) -> Response:
        """A shortlist.

        Args:
            asked: the body.

        Returns:
            A Shortlist.
        """
        _insist_one_asker(asked.user_id, asked.history, asked.about)
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
        self._service.metrics.answers[running.version, reply.fallback] += 1
        return ok(
            wire.Shortlist(
                _places(reply),
                reply.known_user,
                reply.fallback,
                reply.unknown_items,
                running.version,
            )
        )

    async def similar(self, _: Request, asked: wire.Similar) -> Response:
        """Items like an item.

        Args:
            asked: the body.

        Returns:
            SimilarItems.

        Raises:
            UnknownItem: the item is.
            Refused: the bundle cannot say.
        """
        running = self._service.running
        row = running.row(asked.item_id)
        if row < 0:
            raise UnknownItem
        if asked.where is not None:
            running.mask_of(asked.where)  # refuses what cannot be read
        item_id = running.item_ids[row]

        def work() -> "pl.DataFrame":
            return running.recommender.similar(item_id, k=asked.k, where=asked.where)

        try:
            table = await self._service.slowly(work)
        except LikenessError:
            raise Refused(
                409, "not_available", "this bundle cannot tell what an item is like"
            ) from None
        found = [wire.AlikeItem(*line) for line in table.rows()]
        return ok(wire.SimilarItems(found, running.version))

    async def audience(self, _: Request, asked: wire.Audience) -> Response:
        """Users most likely to take an item.

        Args:
            asked: the body.

        Returns:
            AudienceOfItem; forgotten users are not in it.

        Raises:
            UnknownItem: the item is.
            Refused: the bundle cannot say.
        """
        service, running = self._service, self._service.running
        row = running.row(asked.item_id)
        if row < 0:
            raise UnknownItem
        item_id = running.item_ids[row]
        hidden = service.overlay.forgotten_count
        k = min(asked.k + hidden, running.snapshot.n_users)

        def work() -> "pl.DataFrame":
            return running.recommender.audience(item_id, k=k, keep_seen=asked.keep_seen)

        try:
            table = await service.slowly(work)
        except ShortlistError:
            raise Refused(
                409, "not_available", "this bundle cannot tell who wants an item"
            ) from None
        there = [
            (user_id, score)
            for _, user_id, score in table.rows()
            if service.overlay.user_row(running, str(user_id)) >= 0
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
        service, running = self._service, self._service.running
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

    async def search(self, request: Request) -> Response:
        """Items by a part of their title.

        Args:
            request: with ``search`` and ``limit``.

        Returns:
            FoundItems.

        Raises:
            Refused: there is nothing to search for.
        """
        running, words = self._service.running, request.asked("search")
        if not words or not words.strip():
            raise Refused(422, "invalid_request", "say what to look for: /items?search=WORDS")
        most = request.number("limit", otherwise=20, most=1000)
        found = await self._service.slowly(lambda: running.search(words, most))
        return ok(wire.FoundItems([_item(running, row) for row in found]))

    async def item(self, request: Request) -> Response:
        """An item.

        Args:
            request: its path names the item by id.

        Returns:
            An Item.

        Raises:
            UnknownItem: it is not in the catalogue.
        """
        running = self._service.running
        row = running.snapshot.item_vocabulary.row(request.parameters["item_id"])
        if row < 0:
            raise UnknownItem
        return ok(_item(running, row))

    async def add_items(self, _: Request, asked: wire.NewItems) -> Response:
        """New items.

        Args:
            asked: the body.

        Returns:
            ItemsKept.
        """
        given = [
            (str(one.item_id), msgspec.json.encode(one.attributes).decode())
            for one in asked.items
        ]
        return ok(wire.ItemsKept(*await self._service.add_items(given)))

    async def events(self, _: Request, asked: wire.Events) -> Response:
        """What users did.

        Args:
            asked: the body.

        Returns:
            EventsKept, once they are on disk.

        Raises:
            Refused: a rating lacks its value, or something else has one.
        """
        now, future, kept = int(time.time()), 0, []
        for one in asked.events:
            if (one.event == "rating") != (one.rating is not None):
                raise Refused(
                    422,
                    "invalid_request",
                    "an event has a rating where it is a rating, and only there",
                )
            when = now if one.timestamp is None else one.timestamp
            future += when > now
            kept.append(
                Kept(
                    one.event_id or uuid.uuid4().hex,
                    str(one.user_id),
                    str(one.item_id),
                    one.event,
                    min(when, now),
                    one.rating,
                )
            )
        new, unknown = await self._service.keep(kept)
        return ok(wire.EventsKept(new, len(kept) - new, unknown, future))

    async def history(self, request: Request) -> Response:
        """What is known of a user.

        Args:
            request: its path names the user.

        Returns:
            UserHistory; empty for someone unknown.
        """
        service, running = self._service, self._service.running
        user_id = request.parameters["user_id"]
        most = request.number("limit", otherwise=100, most=1000)
        asker = service.overlay.asker(running, user_id)
        live = {
            (running.snapshot.item_vocabulary.row(one.item_id), one.timestamp): one
            for one in service.overlay.events_of(user_id)
        }
        entries = []
        for at in range(len(asker.rows) - 1, max(-1, len(asker.rows) - 1 - most), -1):
            row = int(asker.rows[at])
            when = None if asker.times is None else int(asker.times[at])
            rating = None if asker.ratings is None else float(asker.ratings[at])
            event = live.get((row, when or 0))
            entries.append(
                wire.HistoryEntry(
                    running.item_ids[row],
                    running.titles[row],
                    bool(asker.liked[at]),
                    when,
                    rating if event is None else event.rating,
                    None if event is None else event.event,
                )
            )
        return ok(wire.UserHistory(entries, len(asker.rows)))

    async def forget(self, request: Request) -> Response:
        """Forget a user.

        Args:
            request: its path names the user.

        Returns:
            Forgotten.
        """
        return ok(wire.Forgotten(*await self._service.forget(request.parameters["user_id"])))

    async def live(self, _: Request) -> Response:
        """The process lives.

        Returns:
            Health.
        """
        return ok(wire.Health("live"))

    async def is_ready(self, _: Request) -> Response:
        """Whether requests are answered.

        Returns:
            Health, with 503 where they are not.
        """
        if self._service.ready:
            return ok(wire.Health("ready"))
        return ok(wire.Health("stopping"), 503)

    async def metrics(self, _: Request) -> Response:
        """Counts and times.

        Returns:
            Text for Prometheus.
        """
        service = self._service
        text = service.metrics.text(service.gauges(), service.running.version)
        return Response(text.encode(), kind="text/plain; version=0.0.4; charset=utf-8")

    async def version(self, _: Request) -> Response:
        """What answers.

        Returns:
            Version.
        """
        service, running = self._service, self._service.running
        return ok(
            wire.Version(
                service.package,
                running.recommender.name,
                service.settings.model_name,
                running.version,
                running.loaded,
                running.snapshot.n_users,
                running.snapshot.n_items,
                None
                if service.reload_error is None
                else "the last bundle offered was refused; the log says why",
            )
        )

    async def reload(self, request: Request) -> Response:
        """Take the bundle's current version.

        Args:
            request: without a body.

        Returns:
            Version.

        Raises:
            Refused: the bundle cannot be trusted; the old one goes on answering.
        """
        try:
            await self._service.reload()
        except ShortlistError:
            raise Refused(
                409,
                "bad_bundle",
                "the bundle was not taken, the one before goes on answering; the log says why",
            ) from None
        return await self.version(request)


def _insist_one_asker(user_id: object, history: object, about: object) -> None:
    if (user_id is None) == (history is None and about is None):
        raise Refused(
            422,
            "invalid_request",
            "say who is asking: either user_id, or, for a guest, history or about",
        )


def _places(reply: Reply) -> list[wire.Place]:
    ids, titles = reply.running.item_ids, reply.running.titles
    if reply.because is None and reply.propensity is None:
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
            )
        )
    return places


def _item(running: "Running", row: int) -> wire.Item:
    columns: dict[str, Any] = running.attributes(row)
    return wire.Item(running.item_ids[row], running.titles[row], columns)
