"""A challenger for a share of the users, a shadow for nobody; each counted on its own."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import shortlist as sl
from serving.conftest import Client
from shortlist.errors import ConfigError
from shortlist.serving.arms import Split
from shortlist.serving.settings import read_settings


@pytest.fixture
def other(world: sl.Interactions, tmp_path: Path) -> Path:
    sl.Recommender(retrieve=[sl.retrieval.Popularity()]).fit(world).save(tmp_path / "other")
    return tmp_path / "other"


def items(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    return [one["item_id"] for one in answer["recommendations"]]


def test_a_user_always_gets_the_same_arm_and_the_share_is_kept() -> None:
    split = Split(0.3, "one")
    mine = [split.challenged(f"u{n}") for n in range(10_000)]
    assert mine == [Split(0.3, "one").challenged(f"u{n}") for n in range(10_000)]
    # binomial: standard deviation sqrt(.3 * .7 / 10,000) = .0046; five of them
    assert sum(mine) / 10_000 == pytest.approx(0.3, abs=0.023)
    other = [Split(0.3, "two").challenged(f"u{n}") for n in range(10_000)]
    both = sum(a and b for a, b in zip(mine, other, strict=True)) / 10_000
    assert both == pytest.approx(0.09, abs=0.015)  # another salt draws independently
    wider = [Split(0.4, "one").challenged(f"u{n}") for n in range(10_000)]
    assert all(b for a, b in zip(mine, wider, strict=True) if a)  # nobody is sent back
    assert not any(Split(0.0, "one").challenged(f"u{n}") for n in range(1000))
    assert all(Split(1.0, "one").challenged(f"u{n}") for n in range(1000))


def test_each_user_is_answered_by_the_own_arm_and_counted_there(
    serving: Callable[..., Client], other: Path, fitted: sl.Recommender
) -> None:
    client = serving(challenger=str(other), share=0.5)
    plain = sl.load(other)
    split = client.service.arms.split
    challenged = [n for n in range(40) if split.challenged(f"u{n}")]
    assert 5 < len(challenged) < 35
    for n in range(40):
        want = (plain if n in challenged else fitted).recommend(f"u{n}", k=5)
        answer = client.post("/recommend", {"user_id": f"u{n}", "k": 5})
        assert items(answer) == want["item_id"].to_list()
    client.post("/recommend", {"history": ["i4"]})  # a guest: the champion
    first = challenged[0]
    client.post(
        "/events", {"events": [{"event": "watch", "user_id": f"u{first}", "item_id": "i4"}]}
    )
    text = client.ask("GET", "/metrics").body.decode()
    found = re.findall(r'shortlists_total\{arm="(\w+)",.*\} (\d+)', text)
    assert dict(found) == {
        "champion": str(41 - len(challenged)),
        "challenger": str(len(challenged)),
    }
    assert 'shortlist_events_total{event="watch",arm="challenger"} 1' in text
    assert [one["arm"] for one in client.get("/stats")["arms"]] == ["champion", "challenger"]


def test_an_arm_is_replaced_alone_and_an_event_counts_in_both(
    serving: Callable[..., Client], other: Path, fitted: sl.Recommender, bundle: Path
) -> None:
    client = serving(challenger=str(other), share=1.0)
    assert client.post("/recommend", {"user_id": "u3"})["version"] == "0001"
    fitted.save(other)
    client.ask("POST", "/admin/reload")
    assert {arm: one.version for arm, one in client.service.arms.runnings.items()} == {
        "champion": "0001",
        "challenger": "0002",
    }
    answer = client.post("/recommend", {"user_id": "u3", "k": 5})
    assert answer["version"] == "0002"
    first = items(answer)[0]
    client.post(
        "/events", {"events": [{"event": "dismiss", "user_id": "u3", "item_id": first}]}
    )
    assert first not in items(client.post("/recommend", {"user_id": "u3", "k": 40}))
    gone = client.ask("DELETE", "/users/u3").json
    assert gone["bundle"] == "done"
    for one in (bundle, other):
        assert sl.load(one).snapshot.user_vocabulary.row("u3") == -1


def test_a_shadow_is_compared_and_seen_by_nobody(
    serving: Callable[..., Client], other: Path, fitted: sl.Recommender
) -> None:
    client = serving(shadow=str(other))
    plain, overlaps = sl.load(other), []
    for n in range(20):
        mine = fitted.recommend(f"u{n}", k=5)["item_id"].to_list()
        theirs = plain.recommend(f"u{n}", k=5)["item_id"].to_list()
        overlaps.append(len({*mine} & {*theirs}) / 5)
        assert items(client.post("/recommend", {"user_id": f"u{n}", "k": 5})) == mine
        client.post("/rank", {"user_id": f"u{n}", "items": ["i1", "i2"]})  # is no shortlist
    shadow = client.service.shadow
    assert shadow is not None
    until = time.monotonic() + 20
    while len(shadow.overlaps) < 20 and time.monotonic() < until:
        time.sleep(0.01)
    assert sorted(shadow.overlaps) == sorted(overlaps)
    text = client.ask("GET", "/metrics").body.decode()
    assert "shortlist_shadow_agreement_count 20" in text
    assert f"shortlist_shadow_agreement_sum {sum(overlaps):.6f}" in text
    assert 'arm="shadow"' not in text


def test_the_champions_scale_decides_and_a_shorter_one_takes_its_nearest_end(
    serving: Callable[..., Client],
    world: sl.Interactions,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    champion = serving()
    assert champion.service.running.scale == (1.0, 5.0)
    some = world.table.filter(pl.col("rating").is_between(2, 4))
    short = sl.Interactions(some, world.catalogue, world.users, world.positive)
    sl.Recommender(retrieve=[sl.retrieval.EASE()]).fit(short).save(tmp_path / "short")
    client = serving(challenger=str(tmp_path / "short"), share=1.0)
    assert (
        '"event":"scales_differ","level":"warning","arm":"challenger"'
        in capsys.readouterr().err
    )

    def told(item: str, rating: float) -> dict[str, object]:
        return {
            "event": "rating",
            "user_id": "new",
            "item_id": item,
            "rating": rating,
            "timestamp": 1,
        }

    assert client.ask("POST", "/events", {"events": [told("i1", 6.0)]}).status == 422
    client.post("/events", {"events": [told("i1", 5.0), told("i2", 1.0), told("i3", 3.0)]})
    arms, overlay = client.service.arms.runnings, client.service.overlay
    for arm, ratings in (("champion", [5.0, 1.0, 3.0]), ("challenger", [4.0, 2.0, 3.0])):
        asker = overlay.asker(arms[arm], "new")  # type: ignore[index]
        assert asker.ratings is not None
        assert asker.ratings.tolist() == ratings
        assert asker.liked.tolist() == [True, False, True]  # rating >= 3


def test_a_share_over_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="share must be at most 1"):
        read_settings({"bundle": "b", "share": 1.5}, None, {})


def test_a_share_for_nobody_is_refused() -> None:
    for flags, environment in (({"share": 0.3}, {}), ({}, {"SHORTLIST_SALT": "two"})):
        with pytest.raises(ConfigError, match="would be ignored: there is no challenger"):
            read_settings({"bundle": "b", **flags}, None, environment)
        named = read_settings({"bundle": "b", "challenger": "c", **flags}, None, environment)
        assert named.challenger == "c"
