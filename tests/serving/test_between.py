"""What another process does between two things that this one does is not missed."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import shortlist as sl
from serving.conftest import Client
from shortlist.recommender.publishing import versions
from shortlist.serving import bundles, opening
from shortlist.serving.running import Running

WATCH = {"event": "watch", "user_id": "fresh", "item_id": "i4"}


def caught_up(client: Client) -> None:
    client.runner.run(client.service.bundles.catch_up())


def test_who_is_forgotten_while_the_events_are_read_stays_forgotten(
    serving: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = serving(), serving()
    one.post("/events", {"events": [WATCH]})
    store = two.service.store
    read = store.events_after

    def events_after(seq: int) -> object:
        held = read(seq)
        if held:
            one.service.store.forget("fresh")
        return held

    monkeypatch.setattr(store, "events_after", events_after)
    caught_up(two)
    caught_up(two)
    assert two.get("/users/fresh/history")["total"] == 0


def test_a_swap_heeds_whom_another_worker_was_told_to_forget(
    serving: Callable[..., Client], fitted: sl.Recommender, bundle: Path
) -> None:
    client, other = serving(), serving()
    client.post("/events", {"events": [WATCH]})
    fitted.with_parts().save(bundle)
    again = fitted.with_parts()
    again.events_through = 1
    again.save(bundle)  # another watermark: live events are read anew
    other.service.store.forget("u3")
    client.ask("POST", "/admin/reload")
    assert client.get("/users/u3/history")["total"] == 0


def test_what_is_posted_while_a_bundle_opens_is_there(
    serving: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = serving()
    attributes = {"title": "New", "genres": one.get("/items/i4")["attributes"]["genres"]}
    opens = opening.open_warm

    def open_warm(*args: Any) -> Running:
        made = opens(*args)
        one.service.store.add_items([("new", json.dumps(attributes))])
        return made

    monkeypatch.setattr(bundles, "open_warm", open_warm)
    two = serving()
    caught_up(two)
    assert two.get("/items/new")["title"] == "New"


def test_a_version_that_was_trained_before_a_forgetting_is_cleaned_when_it_is_taken(
    serving: Callable[..., Client],
    fitted: sl.Recommender,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = serving(follow_seconds=0.01)
    held = client.service.bundles
    client.ask("DELETE", "/users/u3")

    async def taken() -> str:
        following = asyncio.create_task(held.follow())
        before = cleaned.copy()
        while cleaned == before:  # the first turn cleans whatever was there
            await asyncio.sleep(0.01)
        old = fitted.save(bundle).name  # it holds u3
        await client.asking("POST", "/admin/reload")
        while old in versions(bundle):
            await asyncio.sleep(0.01)
        following.cancel()
        return old

    cleans, cleaned = held.clean, []

    async def clean() -> str:
        told = await cleans()
        cleaned.append(told)
        return told

    monkeypatch.setattr(held, "clean", clean)
    client.runner.run(asyncio.wait_for(taken(), 60))
    assert "u3" not in sl.load(bundle).snapshot.user_vocabulary.ids.to_list()
