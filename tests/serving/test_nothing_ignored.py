"""What would be ignored is refused: columns that nothing reads, parameters and bodies that nobody asked for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import shortlist as sl
from serving.conftest import Client, Told
from shortlist.recommender.context import judged_context, read_context

WHEN = {"timestamp": 1_500_000_000}


def _timed() -> sl.retrieval.TwoTower:
    when = [sl.Bucket("timestamp", 4)]
    return sl.retrieval.TwoTower(context=when, dim=4, epochs=1, batch_size=64)


def _refused(told: Told, *allowed: str) -> None:
    assert (told.status, told.json["error"]["code"]) == (422, "unknown_column")
    assert told.json["error"]["message"].endswith(f"reads {', '.join(allowed)}")
    assert "odd" not in told.body.decode()


@pytest.fixture
def timed(world: sl.Interactions, tmp_path: Path) -> Path:
    pytest.importorskip("torch", reason="torch is not installed")
    sl.Recommender(sl.retrieval.Blend([_timed(), sl.retrieval.EASE()])).fit(world).save(
        tmp_path / "timed"
    )
    return tmp_path / "timed"


@pytest.mark.parametrize("route", ["/recommend", "/rank"])
def test_a_context_that_no_part_reads_is_refused(client: Client, route: str) -> None:
    asked = {"user_id": "u1"} | ({"items": ["i1"]} if route == "/rank" else {})
    _refused(client.ask("POST", route, {**asked, "context": {"odd": 1}}), "no column")
    assert client.post(route, {**asked, "context": {}}) == client.post(route, asked)


def test_a_context_that_a_part_inside_a_part_reads_is_answered_as_the_library_does(
    serving: Callable[..., Client], timed: Path
) -> None:
    client, loaded = serving(bundle=str(timed)), sl.load(timed)
    told = client.post("/recommend", {"user_id": "u1", "context": WHEN})["recommendations"]
    want = loaded.recommend("u1", context=WHEN)
    assert [one["item_id"] for one in told] == want["item_id"].to_list()
    assert [one["score"] for one in told] == pytest.approx(want["score"].to_list())
    _refused(
        client.ask("POST", "/recommend", {"user_id": "u1", "context": {**WHEN, "odd": 1}}),
        "the columns timestamp",
        "and no other",
    )


def test_what_one_arm_reads_is_no_fault_in_the_other(
    serving: Callable[..., Client], timed: Path, fitted: sl.Recommender
) -> None:
    client = serving(challenger=str(timed), share=0.5)
    split = client.service.arms.split
    users = {split.challenged(f"u{n}"): f"u{n}" for n in range(40)}
    for challenged, loaded in ((False, fitted), (True, sl.load(timed))):
        user = users[challenged]
        context = WHEN if challenged else None
        told = client.post("/recommend", {"user_id": user, "context": WHEN})["recommendations"]
        want = loaded.recommend(user, context=context)["item_id"].to_list()
        assert [one["item_id"] for one in told] == want


def test_the_parts_say_which_context_they_read() -> None:
    moods = sl.ranking.Factorisation()
    parts = [sl.retrieval.Blend([_timed(), sl.retrieval.EASE()]), sl.ranking.Stack([moods])]
    assert judged_context(parts) == ("timestamp",)
    assert judged_context([moods]) == ()  # nobody is judged by the time of the sitting
    assert read_context([sl.ranking.Stack([moods])]) == ("timestamp",)
    assert read_context([sl.retrieval.EASE()]) == ()


@pytest.mark.parametrize("lists", [True, False])
def test_the_time_of_a_sitting_counts_only_where_the_ranker_orders_the_lists(
    serving: Callable[..., Client], world: sl.Interactions, tmp_path: Path, *, lists: bool
) -> None:
    ranker = sl.ranking.Factorisation(dim=2, draws=4)
    rec = sl.Recommender(sl.retrieval.EASE(), ranker, rank_lists=lists).fit(world)
    rec.save(tmp_path / "moods")
    client = serving(bundle=str(tmp_path / "moods"))
    told = client.ask("POST", "/recommend", {"user_id": "u1", "context": WHEN})
    if not lists:
        return _refused(told, "no column")
    want = rec.recommend("u1", context=WHEN)
    found = told.json["recommendations"]
    assert [one["item_id"] for one in found] == want["item_id"].to_list()
    assert [one["score"] for one in found] == pytest.approx(want["score"].to_list())
    return None


def test_what_a_guest_states_must_be_a_column_of_the_users(
    serving: Callable[..., Client], client: Client, world: sl.Interactions, tmp_path: Path
) -> None:
    assert world.users is not None
    columns = [name for name in world.users.columns if name != "user_id"]
    told = client.ask("POST", "/recommend", {"about": {columns[0]: None, "odd": 1}})
    _refused(told, f"the columns {', '.join(columns)}", "and no other")
    assert client.post("/recommend", {"about": {columns[0]: None}})["fallback"]
    nameless = replace(world, users=None)
    sl.Recommender(sl.retrieval.EASE()).fit(nameless).save(tmp_path / "nameless")
    bare = serving(bundle=str(tmp_path / "nameless"))
    _refused(bare.ask("POST", "/recommend", {"about": {"odd": 1}}), "no column")


def test_every_path_refuses_a_parameter_of_the_query_that_it_does_not_know(
    client: Client,
) -> None:
    for path, methods in client.get("/openapi.json")["paths"].items():
        there = path.format(model="toys", version="1", item_id="i1", user_id="u1")
        for method in methods:
            for query in ("odd=1", "odd", "Limit=3"):
                told = client.ask(method.upper(), f"{there}?{query}")
                assert told.status == 422, (method, path, query)
                assert "odd" not in told.body.decode()
            assert "422" in methods[method]["responses"]
    assert client.ask("GET", "/items?search=a&limit=").status == 422  # no number
    words = client.ask("GET", "/items?search=a&odd=1").json["error"]["message"]
    assert words.endswith("this path takes search, limit")
    assert client.ask("GET", "/?utm_source=mail").status == 200  # a link to the page


def test_a_body_where_none_is_read_is_refused(client: Client) -> None:
    told = client.ask("POST", "/admin/reload", {"version": "0001"})
    assert told.status == 422
    empty: tuple[dict[str, str] | None, ...] = (None, {})
    for body in empty:
        assert client.ask("POST", "/admin/reload", body).status == 200
