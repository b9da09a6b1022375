"""Events become the next version of a bundle, unless that is worse."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

import shortlist as sl
from serving.conftest import Client
from shortlist.cli.main import main
from shortlist.data.catalogue import Catalogue
from shortlist.errors import ConfigError, MissingExtraError
from shortlist.recommender.forgetting import ids_in
from shortlist.recommender.publishing import pointed_at, remove_old, roll_back, versions
from shortlist.serving.events import Kept, existing_store
from shortlist.serving.refreshing import Refreshed, refresh
from shortlist.serving.sqlite import SqliteStore


def watched(pairs: Iterable[tuple[str, str]], start: int) -> list[Kept]:
    return [
        Kept(f"{user}/{item}", user, item, "watch", start + n)
        for n, (user, item) in enumerate(pairs)
    ]


@pytest.fixture
def paired(tmp_path: Path) -> Path:
    """Whoever takes a takes b, whoever takes c takes d."""
    rows = [(f"ab{n}", item) for n in range(20) for item in "ab"]
    rows += [(f"cd{n}", item) for n in range(20) for item in "cd"]
    table = pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row")
    table = table.with_columns(timestamp=pl.int_range(pl.len()))
    items = Catalogue(pl.DataFrame({"item_id": list("abcd"), "title": ["One", "Two"] * 2}))
    rec = sl.Recommender(sl.retrieval.EASE(l2=1.0)).fit(sl.Interactions(table, items))
    rec.save(tmp_path / "p.bundle")
    return tmp_path / "p.bundle"


@pytest.fixture
def store(tmp_path: Path) -> Iterable[SqliteStore]:
    held = SqliteStore(tmp_path / "p.state")
    yield held
    held.close()


def tells(store: SqliteStore, last: str) -> None:
    """Sixty users take a and c; then thirty who took a take ``last``: 180 rows, 30 of them last."""
    store.append(watched([(f"ac{n}", item) for n in range(60) for item in "ac"], 1000))
    store.append(watched([(f"t{n}", "a") for n in range(30)], 2000))
    store.append(watched([(f"t{n}", last) for n in range(30)], 3000))


def test_what_predicts_the_latest_rows_better_is_published(
    paired: Path, store: SqliteStore
) -> None:
    tells(store, "c")
    made = refresh(paired, store, held_back=30 / 180)
    assert (made.version, made.events, made.held_back) == ("0002", 180, 30)
    assert made.verdict.startswith("new is better than running")
    rec = sl.load(paired)
    assert rec.events_through == 180
    assert len(rec.snapshot.histories.item_rows) == 80 + 180
    assert rec.recommend(history=["a"], k=1)["item_id"][0] == "c"
    again = refresh(paired, store)
    assert (again.version, again.verdict) == (None, "nothing new since 0002")


def test_one_refresh_waits_for_the_other_and_then_finds_nothing_new(
    paired: Path, store: SqliteStore
) -> None:
    tells(store, "c")
    with ThreadPoolExecutor(1) as beside:
        second: list[Future[Refreshed]] = []

        def start(step: str) -> None:
            if step == "fitting on all rows":
                second.append(beside.submit(refresh, paired, store, held_back=30 / 180))

        first = refresh(paired, store, held_back=30 / 180, say=start)
        waited = second[0].result()
    assert first.version == "0002"
    assert (waited.version, waited.verdict) == (None, "nothing new since 0002")


def test_what_predicts_them_worse_is_not_published_unless_forced(
    paired: Path, store: SqliteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    tells(store, "b")
    words = ["refresh", str(paired), "--held-back", str(30 / 180), "--json"]
    assert main(words) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["published"], told["worse"]) == (None, True)
    assert told["verdict"].startswith("new is worse than running")
    assert versions(paired) == ["0001"]
    assert main([*words, "--force"]) == 0
    assert pointed_at(paired)[0] == "0002"
    assert main(["rollback", str(paired)]) == 0
    assert pointed_at(paired)[0] == "0001"
    capsys.readouterr()
    assert main(["rollback", str(paired)]) == 2
    assert "no version before the current one, 0001" in " ".join(
        capsys.readouterr().err.split()
    )
    assert main(["rollback", str(paired), "--to", "0002"]) == 0
    assert main(["refresh", str(paired), "--state", str(paired)]) == 2


def test_a_dismissal_in_the_second_of_its_like_is_learned_from_once(
    paired: Path, store: SqliteStore
) -> None:
    # ab0 takes a in second 0, cd0 takes c in second 40: see the fixture
    store.append([Kept("back", "ab0", "a", "dismiss", 0)])
    store.append([Kept("too", "cd0", "c", "watch", 40)])
    made = refresh(paired, store, force=True)
    assert (made.events, made.repeated, made.version) == (2, 1, "0002")
    rows = sl.load(paired).snapshot.interactions().table
    mine = rows.filter(pl.col("user_id") == "ab0", pl.col("item_id") == "a")
    assert mine["liked"].to_list() == [False, False]
    # under another store the same dismissal is told again: it is there already
    manifest = next(paired.glob("versions/0002/manifest.json"))
    assert json.loads(manifest.read_bytes())["events_through"] == 2
    store.append([Kept("again", "ab0", "a", "dismiss", 0)])
    assert refresh(paired, store, force=True).repeated == 1


def test_too_few_users_are_waited_for(
    paired: Path, store: SqliteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    # ten rows, half of them held back: five users, of whom nothing can be shown
    store.append(watched([(f"n{n}", "a") for n in range(10)], 1000))
    assert main(["refresh", str(paired), "--held-back", "0.5", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["published"], told["judged"], told["worse"]) == (None, False, False)
    assert told["verdict"].startswith("too few to judge on: of 10 new rows the latest 5 ")
    assert versions(paired) == ["0001"]
    # two more the next night: six of twelve
    store.append(watched([(f"n{n}", "a") for n in range(10, 12)], 2000))
    made = refresh(paired, store, held_back=0.5)
    assert (made.version, made.events, made.held_back) == ("0002", 12, 6)
    assert made.gate is not None
    # nobody of these liked anything
    store.append([Kept(f"d{n}", f"n{n}", "a", "dismiss", 3000) for n in range(12)])
    assert refresh(paired, store, held_back=0.5).version is None
    assert refresh(paired, store, held_back=0.5, force=True).version == "0003"


def test_the_forgotten_the_unknown_and_the_repeated_are_not_learned_from(
    paired: Path, store: SqliteStore
) -> None:
    tells(store, "c")
    store.append([Kept("again", "ab0", "a", "watch", 0)])  # a row of the bundle
    store.append(watched([("t1", "nowhere")], 5000))
    store.add_items([("e", '{"title": "One"}')])
    store.append([Kept("down", "t2", "e", "dismiss", 6000)])
    store.forget("t0")
    store.forget("ab1")
    made = refresh(paired, store)
    assert (made.events, made.unknown_items, made.repeated, made.items) == (181, 1, 1, 1)
    snapshot = sl.load(paired).snapshot
    assert {"t0", "ab1"}.isdisjoint(snapshot.user_vocabulary.ids)
    rows = snapshot.interactions()
    assert rows.table.filter(pl.col("item_id") == "e")["liked"].to_list() == [False]
    assert len(rows) == 80 - 2 + 180 - 2 + 1
    assert snapshot.n_items == 5
    assert (
        "ab1" not in sl.load(paired, version=versions(paired)[0]).snapshot.user_vocabulary.ids
    )


def test_what_is_dismissed_later_is_learned_as_not_liked(
    paired: Path, store: SqliteStore
) -> None:
    told = [
        ("ab0", "a", "dismiss", 1000),  # liked in the bundle
        ("n", "a", "watch", 1000),
        ("n", "b", "watch", 1001),
        ("n", "a", "dismiss", 1002),
        ("n", "a", "watch", 1003),  # after it
        ("m", "a", "watch", 1003),  # somebody else
    ]
    store.append([Kept(f"{n}", *one) for n, one in enumerate(told)])
    assert refresh(paired, store, force=True).version == "0002"
    rows = (
        sl.load(paired)
        .snapshot.interactions()
        .table.filter(pl.col("user_id").is_in(["ab0", "ab1", "m", "n"]))
    )
    assert rows.select("user_id", "item_id", "liked").rows() == [
        ("ab0", "a", False), ("ab0", "b", True), ("ab0", "a", False),
        ("ab1", "a", True), ("ab1", "b", True),
        ("n", "a", False), ("n", "b", True), ("n", "a", False), ("n", "a", True),
        ("m", "a", True),
    ]  # fmt: skip


def test_what_is_rated_low_later_is_learned_as_not_liked(
    serving: Callable[..., Client], bundle: Path
) -> None:
    client = serving()
    said = [("watch", None, 100), ("rating", 1.0, 200)]  # liked from 3 stars on
    events = [
        {"event": event, "rating": rating, "user_id": "n", "item_id": "i1", "timestamp": when}
        for event, rating, when in said
    ]
    client.post("/events", {"events": events})
    with contextlib.closing(existing_store(client.service.settings.events)) as store:
        refresh(bundle, store, force=True)
    rows = sl.load(bundle).snapshot.interactions().table.filter(pl.col("user_id") == "n")
    assert rows["liked"].to_list() == [False, False]


def test_what_learning_needs_is_told_before_anything_is_fitted(
    world: sl.Interactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees = sl.Recommender(sl.retrieval.EASE(), rank=sl.ranking.Boosted(trees=2)).fit(world)
    trees.save(tmp_path / "n.bundle")
    inside = sl.ranking.Stack([sl.ranking.RatingNetwork()])
    for module in ("torch", "lightgbm"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(sl.retrieval.EASE, "fit", lambda *_, **__: pytest.fail("fitted"))
    with pytest.raises(MissingExtraError, match=r"pip install 'shortlist\[torch\]'"):
        sl.Recommender(sl.retrieval.EASE(), rank=inside).fit(world)
    store = SqliteStore(tmp_path / "n.state")
    with pytest.raises(MissingExtraError, match=r"pip install 'shortlist\[boosted\]'"):
        refresh(tmp_path / "n.bundle", store)
    store.close()


def test_a_store_that_knows_less_than_the_bundle_takes_nothing_back(
    paired: Path, store: SqliteStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tells(store, "c")
    assert refresh(paired, store, force=True).behind is False
    other = SqliteStore(tmp_path / "other.state")
    other.append(watched([("somebody", "a")], 5000))
    words = ["refresh", str(paired), "--state", str(tmp_path / "other.state"), "--json"]
    assert main([*words, "--force"]) == 0
    told = capsys.readouterr()
    made = json.loads(told.out)
    assert (made["published"], made["events"], made["state_behind"]) == ("0003", 0, True)
    assert "Is it the right --state?" in " ".join(told.err.split())
    assert sl.load(paired).events_through == 180
    # it goes on behind what was trained on, as under a service
    other.append(watched([("somebody", "b")], 5001))
    assert [one.seq for one in other.events_after(0)] == [1, 181]
    again = refresh(paired, other, force=True)
    assert (again.events, again.behind, sl.load(paired).events_through) == (1, False, 181)
    other.close()


def test_ratings_off_the_scale_are_not_learned_from_and_said(
    bundle: Path, tmp_path: Path, world: sl.Interactions
) -> None:
    store = SqliteStore(tmp_path / "toys.state")
    ratings = [5.0, 1e6, -3.0, 4.0]  # the world's go from 1 to 5
    store.append(
        [
            Kept(f"{n}", f"new{n}", "i1", "rating", 1000 + n, one)
            for n, one in enumerate(ratings)
        ]
    )
    said: list[str] = []
    made = refresh(bundle, store, force=True, say=said.append)
    store.close()
    assert (made.events, made.off_scale, made.unknown_items) == (4, 2, 0)
    assert "4 events since version 0001: 2 new rows" in said[0]
    assert "2 with ratings off the scale" in said[0]
    held = sl.load(bundle).snapshot.histories
    assert held.ratings is not None
    assert (held.ratings.min(), held.ratings.max()) == (1.0, 5.0)
    assert len(held.ratings) == len(world) + 2


def test_the_service_takes_the_new_version_and_tells_it_no_event_twice(
    serving: Callable[..., Client], bundle: Path
) -> None:
    client = serving()
    events = [
        {"event": "rating", "rating": 1 + n % 5, "user_id": f"u{n}", "item_id": f"i{n % 9}"}
        for n in range(40)
    ]
    client.post("/events", {"events": events})
    before = client.get("/users/u7/history")
    store = SqliteStore(Path(client.service.settings.events))
    made = refresh(bundle, store, force=True)
    store.close()
    client.ask("POST", "/admin/reload")
    assert client.service.running.version == made.version == "0002"
    assert client.service.running.through == 40
    after = client.get("/users/u7/history")
    assert after["total"] == before["total"]
    assert client.service.running.snapshot.positive == sl.load(bundle).snapshot.positive


def test_old_versions_are_removed_but_never_the_current_one(
    paired: Path, store: SqliteStore
) -> None:
    for n in range(3):
        store.append(watched([(f"n{n}", "a")], 1000 + n))
        refresh(paired, store, force=True, keep=2)
    assert versions(paired) == ["0003", "0004"]
    roll_back(paired)  # to 0003
    sl.load(paired, version="0004").save(paired)
    roll_back(paired, "0003")
    assert remove_old(paired, 1) == ["0004"]
    assert versions(paired) == ["0003", "0005"]
    with pytest.raises(ConfigError, match="keep must be at least 1"):
        refresh(paired, store, keep=0)


def test_a_bundle_that_reads_a_context_takes_events_and_says_that_it_is_not_refreshed(
    serving: Callable[..., Client],
    world: sl.Interactions,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("torch", reason="the extra torch is not installed")
    table = world.table.with_columns(hour=pl.col("timestamp") // 3600 % 24)
    train = sl.Interactions(table, world.catalogue, world.users, world.positive)
    path = tmp_path / "hours.bundle"
    towers = sl.retrieval.TwoTower(dim=4, epochs=1, context=["hour"], item=["item_id"])
    sl.Recommender([towers]).fit(train).save(path)
    client = serving(bundle=str(path))
    asked = {"user_id": "u3", "k": 40, "context": {"hour": 9}}
    first = client.post("/recommend", asked)["recommendations"][0]["item_id"]
    event = {"event": "watch", "user_id": "u3", "item_id": first}
    client.post("/events", {"events": [event]})
    after = client.post("/recommend", asked)["recommendations"]
    assert first not in {one["item_id"] for one in after}
    late = client.post("/recommend", {**asked, "context": {"hour": 23}})["recommendations"]
    assert [one["score"] for one in late] != [one["score"] for one in after]
    assert main(["refresh", str(path), "--force"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "cannot be refreshed: it was trained with hour of the time of asking" in told
    assert versions(path) == ["0001"]
    assert client.post("/recommend", asked)["recommendations"] == after


def test_who_is_forgotten_while_it_is_fitted_is_in_no_version(
    paired: Path, store: SqliteStore
) -> None:
    tells(store, "c")

    def say(words: str) -> None:
        if words == "fitting on all rows":
            store.forget("ac3")

    made = refresh(paired, store, force=True, say=say)
    assert made.version == versions(paired)[-1] == pointed_at(paired)[0]
    assert all("ac3" not in ids_in(paired, one) for one in versions(paired))
    assert "ac4" in ids_in(paired, made.version)
