"""Micro-batches: what waits is answered together, what is too much or too slow is refused."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from serving.conftest import Client
from shortlist.serving.answering import Batcher
from shortlist.serving.refusals import Overloaded, TooSlow

Answer = Callable[[Sequence[int]], Sequence[int | Exception]]


def _batcher(answer: Answer, **changed: float) -> Batcher[int, int]:
    settings = {"largest": 4, "waiting": 8, "timeout_seconds": 20.0, **changed}
    return Batcher(
        answer,
        largest=int(settings["largest"]),
        waiting=int(settings["waiting"]),
        timeout_seconds=settings["timeout_seconds"],
        name="test",
    )


def test_what_arrives_together_is_answered_together_and_in_order() -> None:
    batches = []

    def doubled(asked: Sequence[int]) -> list[int | Exception]:
        batches.append(len(asked))
        return [2 * one for one in asked]

    async def run() -> list[int]:
        batcher = _batcher(doubled)
        made = await asyncio.gather(*(batcher.ask(n) for n in range(8)))
        batcher.close()
        return made

    assert asyncio.run(run()) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert batches == [4, 4]  # eight in one turn of the loop, four at a time


def test_the_fault_of_one_is_its_own() -> None:
    async def run() -> list[int | BaseException]:
        batcher = _batcher(lambda asked: [KeyError() if one == 1 else one for one in asked])
        made = await asyncio.gather(*map(batcher.ask, range(3)), return_exceptions=True)
        batcher.close()
        return made

    first, wrong, last = asyncio.run(run())
    assert (first, last) == (0, 2)
    assert isinstance(wrong, KeyError)


def test_more_than_may_wait_are_refused_at_once_and_the_others_answered() -> None:
    held = threading.Event()

    def slow(asked: Sequence[int]) -> list[int | Exception]:
        held.wait(20)
        return list(asked)

    async def run() -> list[int | BaseException]:
        batcher = _batcher(slow, largest=2, waiting=3)
        asked = [asyncio.create_task(batcher.ask(n)) for n in range(5)]
        refused = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        assert len(refused[0]) == 2
        held.set()
        made = await asyncio.gather(*asked, return_exceptions=True)
        batcher.close()
        return made

    made = asyncio.run(run())
    assert made[:3] == [0, 1, 2]
    assert all(isinstance(one, Overloaded) for one in made[3:])


def test_who_waited_too_long_is_told_and_not_computed_for() -> None:
    held = threading.Event()
    computed: list[int] = []

    def slow(asked: Sequence[int]) -> list[int | Exception]:
        held.wait(20)
        computed.extend(asked)
        return list(asked)

    async def run() -> list[int | BaseException]:
        batcher = _batcher(slow, largest=1, timeout_seconds=0.05)
        made = await asyncio.gather(*map(batcher.ask, range(3)), return_exceptions=True)
        held.set()
        batcher.close()
        return made

    assert all(isinstance(one, TooSlow) for one in asyncio.run(run()))
    assert computed == [0]


def test_closing_answers_what_waits() -> None:
    async def run() -> list[int]:
        batcher = _batcher(lambda asked: list(asked))
        asked = [asyncio.create_task(batcher.ask(n)) for n in range(6)]
        await asyncio.sleep(0)  # they are in the queue
        await asyncio.sleep(0)
        await asyncio.to_thread(batcher.close)
        return await asyncio.gather(*asked)

    assert asyncio.run(run()) == list(range(6))


def test_a_busy_service_says_when_to_come_again(client: Client) -> None:
    client.service.batcher._most = 0
    told = client.ask("POST", "/recommend", {"user_id": "u1"})
    assert (told.status, told.json["error"]["code"]) == (503, "overloaded")
    assert told.headers["retry-after"] == "1"
    assert client.ask("GET", "/health/live").status == 200


@pytest.mark.parametrize("ready", [True, False])
def test_ready_is_no_longer_said_once_it_stops(client: Client, *, ready: bool) -> None:
    client.service.ready = ready
    assert client.ask("GET", "/health/ready").status == (200 if ready else 503)
    assert (
        "shortlist_ready " + ("1.0" if ready else "0.0")
        in client.ask("GET", "/metrics").body.decode()
    )


def test_every_metric_says_once_what_it_is(
    serving: Callable[..., Client], bundle: Path
) -> None:
    client = serving(shadow=str(bundle))
    client.service.metrics.agreement.observe(0.5)  # it is told once there is any
    client.post("/recommend", {"user_id": "u3"})
    text = client.ask("GET", "/metrics").body.decode()
    lines = text.splitlines()
    typed = [line.split()[2] for line in lines if line.startswith("# TYPE ")]
    helped = [line.split()[2] for line in lines if line.startswith("# HELP ")]
    assert len(typed) > 8
    assert typed == helped
    assert len(set(helped)) == len(helped)
