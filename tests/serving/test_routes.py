"""The service's own routes, against the library asked directly."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import shortlist as sl
from serving.conftest import Client
from shortlist.recommender.rules import Deny, Seen

Body = dict[str, Any]


def _of(answer: Any) -> list[tuple[object, Any]]:
    return [(one["item_id"], pytest.approx(one["score"])) for one in answer["recommendations"]]


def _table(table: pl.DataFrame) -> list[tuple[object, Any]]:
    return list(table.select("item_id", "score").rows())


def test_a_known_user_gets_what_the_library_answers(
    client: Client, fitted: sl.Recommender
) -> None:
    answer = client.post("/recommend", {"user_id": "u3", "k": 7})
    assert _of(answer) == _table(fitted.recommend(user="u3", k=7))
    assert answer["known_user"]
    assert not answer["fallback"]
    assert answer["version"] == "0001"


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ({"history": ["i1", "i5"]}, {"history": ["i1", "i5"]}),
        ({"user_id": "u1", "where": "'Drama' in genres"}, {"where": "'Drama' in genres"}),
        ({"user_id": "u1", "allow": ["i2", "i3"]}, {"allow": ["i2", "i3"]}),
        ({"user_id": "u1", "deny": ["i2"], "k": 40}, {"deny": ["i2"], "k": 40}),
        ({"user_id": "u1", "keep_seen": True}, {"keep_seen": True}),
        ({"user_id": "nobody"}, {"user": "nobody"}),
    ],
)
def test_every_wish_is_that_of_the_library(
    client: Client, fitted: sl.Recommender, body: Body, asked: Body
) -> None:
    who: Body = {} if "history" in asked or "user" in asked else {"user": "u1"}
    assert _of(client.post("/recommend", body)) == _table(fitted.recommend(**who, **asked))


def test_different_requests_share_a_batch_and_keep_their_own_answers(
    client: Client, fitted: sl.Recommender
) -> None:
    import asyncio

    bodies: list[Body] = [
        {
            "user_id": f"u{n}",
            "k": 1 + n % 9,
            **({"where": "'Drama' in genres"} if n % 3 else {}),
        }
        for n in range(40)
    ]

    async def together() -> list[Any]:
        asked = [client.asking("POST", "/recommend", body) for body in bodies]
        return [told.json for told in await asyncio.gather(*asked)]

    for body, answer in zip(bodies, client.runner.run(together()), strict=True):
        want = fitted.recommend(user=body["user_id"], k=body["k"], where=body.get("where"))
        assert _of(answer) == _table(want)
    client.get("/version")
    assert max(client.service.batcher.sizes) > 1


def test_a_stranger_gets_the_fallback_and_is_told_so(client: Client) -> None:
    answer = client.post("/recommend", {"user_id": "nobody"})
    assert answer["fallback"]
    assert not answer["known_user"]


def test_an_event_changes_the_next_answer(client: Client) -> None:
    first = client.post("/recommend", {"user_id": "u3", "k": 1})["recommendations"][0]
    client.post(
        "/events",
        {"events": [{"event": "dismiss", "user_id": "u3", "item_id": first["item_id"]}]},
    )
    after = client.post("/recommend", {"user_id": "u3", "k": 40})["recommendations"]
    assert first["item_id"] not in [one["item_id"] for one in after]


def test_a_new_user_is_personal_after_one_event(client: Client, fitted: sl.Recommender) -> None:
    event = {"event": "watch", "user_id": "fresh", "item_id": "i4", "event_id": "e1"}
    kept = client.post("/events", {"events": [event, event]})
    assert (kept["accepted"], kept["duplicates"]) == (1, 1)
    answer = client.post("/recommend", {"user_id": "fresh"})
    assert not answer["fallback"]
    items = [one["item_id"] for one in answer["recommendations"]]
    assert items == fitted.recommend(history=["i4"])["item_id"].to_list()


def test_candidates_that_are_given_are_ordered_whatever_the_bundles_rules(
    serving: Callable[..., Client], world: sl.Interactions, tmp_path: Path
) -> None:
    made = sl.Recommender(sl.retrieval.EASE(), rules=(Seen(), Deny(("i1",)))).fit(world)
    made.save(tmp_path / "ruled.bundle")
    client = serving(bundle=str(tmp_path / "ruled.bundle"))
    asked = {"history": ["i3"], "items": ["i1", "i2", "i3"]}
    ranked = client.post("/rank", asked)["ranked"]
    assert {one["item_id"] for one in ranked} == {"i1", "i2", "i3"}
    shown = client.post("/recommend", {"history": ["i3"], "k": 100})["recommendations"]
    assert "i1" not in {one["item_id"] for one in shown}


def test_similar_audience_predict_rank_and_search(
    client: Client, fitted: sl.Recommender
) -> None:
    similar = client.post("/similar", {"item_id": "i4", "k": 3})["similar"]
    want = fitted.similar("i4", k=3)["item_id"].to_list()
    assert [one["item_id"] for one in similar] == want
    audience = client.post("/audience", {"item_id": "i4", "k": 3})["audience"]
    people = fitted.audience("i4", k=3)["user_id"].to_list()
    assert [one["user_id"] for one in audience] == people
    told = client.post("/predict", {"user_id": "u3", "items": ["i1", "missing", "i2"]})
    assert told["unknown_items"] == 1
    predicted = fitted.predict("u3", ["i1", "i2"])["prediction"].to_list()
    assert [one["prediction"] for one in told["predictions"]] == pytest.approx(predicted)
    ranked = client.post("/rank", {"user_id": "u3", "items": ["i1", "i2", "i3"]})["ranked"]
    order = fitted.recommend("u3", allow=["i1", "i2", "i3"], keep_seen=True, k=3)
    assert [one["item_id"] for one in ranked] == order["item_id"].to_list()
    title = client.get("/items/i4")["title"]
    found = client.get(f"/items?search={title[:4].upper().replace(' ', '%20')}&limit=40")
    assert "i4" in [one["item_id"] for one in found["items"]]


def test_who_took_the_item_since_is_not_in_its_audience(client: Client) -> None:
    asked = {"item_id": "i4", "k": 3}
    before = client.post("/audience", {**asked, "k": 5})["audience"]
    told = [("dismiss", before[0]), ("watch", before[2])]  # both stand in a history
    events = [{"event": e, "user_id": one["user_id"], "item_id": "i4"} for e, one in told]
    client.post("/events", {"events": events})
    after = client.post("/audience", asked)["audience"]
    assert [one["user_id"] for one in after] == [before[n]["user_id"] for n in (1, 3, 4)]
    assert [one["rank"] for one in after] == [1, 2, 3]
    everybody = client.post("/audience", {**asked, "k": 1000, "keep_seen": True})["audience"]
    assert {one["user_id"] for one in before} <= {one["user_id"] for one in everybody}


def test_a_forgotten_user_is_a_stranger(client: Client) -> None:
    client.post("/events", {"events": [{"event": "watch", "user_id": "u3", "item_id": "i4"}]})
    gone = client.ask("DELETE", "/users/u3").json
    assert (gone["events"], gone["hidden_rows"]) == (1, 10)  # ten rows of each user in train
    assert gone["bundle"] == "done"
    assert client.post("/recommend", {"user_id": "u3"})["fallback"]
    assert client.get("/users/u3/history") == {"history": [], "total": 0}


def test_a_new_item_is_recommended_by_what_it_is_like(client: Client) -> None:
    genres = client.get("/items/i4")["attributes"]["genres"]
    new = {"item_id": "brandnew", "attributes": {"title": "Brand new", "genres": genres}}
    assert client.post("/items", {"items": [new]}) == {
        "added": 1,
        "known": 0,
        "like_none": 0,
        "everywhere": True,
    }
    asked = {"history": ["i4"], "allow": ["brandnew"]}
    assert client.post("/recommend", asked)["recommendations"][0]["item_id"] == "brandnew"
    assert client.post("/items", {"items": [new]})["known"] == 1


def test_posted_items_do_not_change_the_filters_that_everybody_is_shown(
    client: Client,
) -> None:
    before = client.get("/catalogue")["columns"]
    genres = client.get("/items/i4")["attributes"]["genres"]
    odd = {"genres": [*genres, "Sludge"], "year": -5_000_000_000}
    assert client.post("/items", {"items": [{"item_id": "odd", "attributes": odd}]})["added"]
    assert client.get("/catalogue")["columns"] == before
    assert client.post("/recommend", {"history": ["i4"], "where": "'Sludge' in genres"})[
        "recommendations"
    ]


def test_a_title_that_two_items_share_is_said_to_be(client: Client) -> None:
    told = client.get("/items/i4")
    twin = {"title": told["title"], "genres": told["attributes"]["genres"]}
    assert client.post("/similar", {"item_id": told["title"]})["similar"]
    client.post("/items", {"items": [{"item_id": "twin", "attributes": twin}]})
    for path in ("/similar", "/audience"):
        refused = client.ask("POST", path, {"item_id": told["title"]})
        assert (refused.status, refused.json["error"]["code"]) == (422, "shared_title")


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("director == 'X'", "names a column that is not there"),
        ("year >= 'nineteen'", "another kind"),
        ("genres == 'Drama'", "another kind"),
        ("year >> 1990", "no condition that can be read"),
        ("year >=", "no condition that can be read"),
    ],
)
def test_a_condition_that_cannot_be_kept_is_told_why(
    client: Client, where: str, what: str
) -> None:
    told = client.ask("POST", "/recommend", {"user_id": "u3", "where": where}).json["error"]
    assert told["code"] == "bad_condition"
    assert what in told["message"]
    assert "title (text), genres (several of: text), year (whole number)" in told["message"]
    assert not {"director", "nineteen", ">>"} & set(told["message"].replace("'", " ").split())


@pytest.mark.parametrize(
    "attributes",
    [
        {"genres": "Drama"},
        {"genres": [1]},
        {"genres": [True]},
        {"title": 7},
        {"year": True},
        {"year": 1995.5},
        {"year": "1995"},
        {"year": 1e300},
        {"item_id": "i4"},
    ],
)
def test_a_value_of_another_kind_than_the_catalogues_is_refused(
    client: Client, attributes: dict[str, Any]
) -> None:
    new = {"item_id": "odd", "attributes": attributes}
    told = client.ask("POST", "/items", {"items": [new]})
    assert (told.status, told.json["error"]["code"]) == (422, "bad_item")
    assert client.ask("GET", "/items/odd").status == 404


@pytest.mark.parametrize(
    ("path", "raw", "status", "code"),
    [
        ("/recommend", b'{"user_id":', 400, "malformed_json"),
        ("/recommend", b"\xff\xfe", 400, "malformed_json"),
        ("/recommend", b"[" * 100_000, 422, "invalid_request"),
        ("/recommend", b"{}", 422, "invalid_request"),
        ("/recommend", b'{"user_id":"u1","k":0}', 422, "invalid_request"),
        ("/recommend", b'{"user_id":"u1","k":-1}', 422, "invalid_request"),
        ("/recommend", b'{"user_id":"u1","k":1000000000}', 422, "invalid_request"),
        ("/recommend", b'{"user_id":true}', 422, "invalid_request"),
        ("/recommend", b'{"user_id":"u1","<script>":1}', 422, "invalid_request"),
        ("/recommend", b'{"user_id":"u1","where":"<script> >"}', 422, "bad_condition"),
        ("/recommend", b'{"user_id":"u1","where":"<script>"}', 422, "bad_condition"),
        ("/similar", b'{"item_id":"<script>"}', 404, "unknown_item"),
        ("/events", b'{"events":[{"event":"<script>","user_id":1,"item_id":1}]}', 422, "invalid_request"),
        ("/events", b'{"events":[{"event":"rating","user_id":1,"item_id":1}]}', 422, "invalid_request"),
        ("/<script>", b"{}", 404, "not_found"),
        ("/health/live", b"{}", 405, "method_not_allowed"),
    ],
)  # fmt: skip
def test_bad_requests_are_refused_and_nothing_is_repeated(
    client: Client, path: str, raw: bytes, status: int, code: str
) -> None:
    told = client.ask("POST", path, raw=raw)
    assert (told.status, told.json["error"]["code"]) == (status, code)
    assert b"script" not in told.body
    assert told.headers["x-content-type-options"] == "nosniff"
    assert told.headers["x-request-id"] == told.json["error"]["request_id"]


def test_the_document_names_every_route_and_type(client: Client) -> None:
    document = client.get("/openapi.json")
    assert document["openapi"] == "3.1.0"
    assert {"/recommend", "/events", "/v2/models/{model}/infer"} <= set(document["paths"])
    fields = document["components"]["schemas"]["Recommend"]["properties"]
    assert fields["k"]["maximum"] == 1000


@pytest.mark.parametrize("rating", [5.01, 0.99, -1, 1_000_000])
def test_a_rating_off_the_scale_is_refused_with_all_of_its_batch(
    client: Client, rating: float
) -> None:
    event = {"event": "rating", "user_id": "rater", "item_id": "i1", "rating": 5}
    events = [event, {**event, "item_id": "i2", "rating": rating}]
    told = client.ask("POST", "/events", {"events": events})
    assert (told.status, told.json["error"]["code"]) == (422, "bad_rating")
    assert "from 1 to 5" in told.json["error"]["message"]
    assert client.get("/users/rater/history")["total"] == 0
    assert client.post("/events", {"events": [event, {**event, "rating": 1}]})["accepted"] == 2


def test_without_ratings_in_the_bundle_every_rating_is_kept(
    serving: Callable[..., Client], world: sl.Interactions, tmp_path: Path
) -> None:
    rows = world.table.drop("rating")
    bare = sl.Interactions(rows, world.catalogue)
    sl.Recommender(retrieve=[sl.retrieval.EASE()]).fit(bare).save(tmp_path / "bare.bundle")
    event = {"event": "rating", "user_id": "rater", "item_id": "i1", "rating": 10}
    client = serving(bundle=str(tmp_path / "bare.bundle"))
    assert client.post("/events", {"events": [event]})["accepted"] == 1


def test_a_rating_that_float32_rounds_up_is_on_the_scale(
    serving: Callable[..., Client], world: sl.Interactions, tmp_path: Path
) -> None:
    # float32(0.1) is 0.100000001, the lowest rating there; 0.1 is told
    rows = world.table.with_columns(pl.col("rating") / 10)
    tenths = sl.Interactions(rows, world.catalogue)
    sl.Recommender(retrieve=[sl.retrieval.EASE()]).fit(tenths).save(tmp_path / "tenth.bundle")
    event = {"event": "rating", "user_id": "rater", "item_id": "i1", "rating": 0.1}
    client = serving(bundle=str(tmp_path / "tenth.bundle"))
    assert client.post("/events", {"events": [event]})["accepted"] == 1
