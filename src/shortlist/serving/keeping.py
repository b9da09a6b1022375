"""Routes about items, events and people: what is kept, and what is forgotten."""

import asyncio
import time
import uuid
from typing import TYPE_CHECKING, Any

import msgspec

from shortlist.serving import wire
from shortlist.serving.events import Kept
from shortlist.serving.http import Parameter, Request, Response, Route, ok
from shortlist.serving.refusals import LogHeld, Refused, UnknownItem
from shortlist.serving.service import Service

if TYPE_CHECKING:
    from shortlist.serving.running import Running

_PAGE = Parameter("limit", {"type": "integer", "minimum": 1, "maximum": 1000})
_SEARCH = Parameter("search", {"type": "string", "minLength": 1, "maxLength": 500}, True)


class Keeping:
    """What is kept, found and forgotten.

    Args:
        service: behind them.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._cleaning: set[asyncio.Future[wire.Cleaned]] = set()

    def routes(self) -> tuple[Route, ...]:
        """All of them.

        Returns:
            Routes.
        """
        return (
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
        )  # fmt: skip

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
        bundles = self._service.bundles
        counts = await bundles.add_items(given)
        return ok(wire.ItemsKept(*counts, everywhere=await bundles.everywhere()))

    async def events(self, _: Request, asked: wire.Events) -> Response:
        """What users did.

        Args:
            asked: the body.

        Returns:
            EventsKept, once they are on disk.

        Raises:
            Refused: a rating lacks its value or is off the scale, or something else has one.
        """
        now, future, kept = int(time.time()), 0, []
        running = self._service.running
        for one in asked.events:
            if (one.event == "rating") != (one.rating is not None):
                raise Refused(
                    422,
                    "invalid_request",
                    "an event has a rating where it is a rating, and only there",
                )
            _insist_on_scale(running, one.rating)
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
        most = request.number("limit", otherwise=100, most=1000)
        told = await self._service.history(request.parameters["user_id"])
        running, asker, live, recalled = told
        entries = []
        for at in range(len(asker.rows) - 1, max(-1, len(asker.rows) - 1 - most), -1):
            row, liked = int(asker.rows[at]), bool(asker.liked[at])
            when = None if asker.times is None else int(asker.times[at])
            rating = None if asker.ratings is None else float(asker.ratings[at])
            event = live[at] or recalled.take(row, when, rating, liked=liked)
            if event is not None:
                when, rating = event.timestamp, event.rating
            entries.append(
                wire.HistoryEntry(
                    running.item_ids[row],
                    running.titles[row],
                    liked,
                    when,
                    rating,
                    None if event is None else event.event,
                )
            )
        return ok(wire.UserHistory(entries, len(asker.rows)))

    async def forget(self, request: Request) -> Response:
        """Forget a user: events at once; the kept versions of the bundles too, if that goes fast.

        Args:
            request: its path names the user.

        Returns:
            Forgotten.

        Raises:
            LogHeld: the bytes of the events could not be removed yet.
        """
        service = self._service
        try:
            events, hidden, everywhere = await service.forget(request.parameters["user_id"])
        except LogHeld:
            self._clean()
            raise
        cleaning = self._clean()
        done, _ = await asyncio.wait({cleaning}, timeout=service.settings.timeout_seconds)
        state: wire.Cleaned = "under way"
        if done and everywhere:
            state = cleaning.result()
        return ok(wire.Forgotten(events, hidden, state))

    def _clean(self) -> "asyncio.Future[wire.Cleaned]":
        cleaning = asyncio.ensure_future(self._service.bundles.clean())
        self._cleaning.add(cleaning)  # so that it is not collected before it is done
        cleaning.add_done_callback(self._cleaning.discard)
        return cleaning


def _insist_on_scale(running: "Running", rating: float | None) -> None:
    if running.scale is not None and not running.on_scale(rating):
        lowest, highest = running.scale
        words = f"nothing was kept: a rating is off the scale, which goes from {lowest:g} to {highest:g} in what the bundle was trained on"
        raise Refused(422, "bad_rating", words)


def _item(running: "Running", row: int) -> wire.Item:
    columns: dict[str, Any] = running.attributes(row)
    return wire.Item(running.item_ids[row], running.titles[row], columns)
