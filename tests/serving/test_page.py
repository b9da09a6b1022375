"""The page, used in headless Chromium: what it shows is what the service answers."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import shortlist as sl
from serving.conftest import Client
from serving.test_process import Process
from shortlist.data.catalogue import Catalogue
from shortlist.testing.worlds import small_world

PACKAGES = Path(__file__).parents[2] / "examples/browser"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or ""
SCENARIOS = ("guest", "rates", "user", "halves", "filter", "keyboard", "look", "owner")
Read = dict[str, Any]

_REASONS = [
    pytest.mark.skipif(not shutil.which("node"), reason="Node.js is not installed"),
    pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed"),
    pytest.mark.skipif(
        not (PACKAGES / "node_modules").is_dir(),
        reason="Playwright is not installed: cd examples/browser && npm ci --ignore-scripts",
    ),
]


def needs_browser(test: Callable[..., None]) -> Callable[..., None]:
    for mark in (*_REASONS, pytest.mark.slow):
        test = mark(test)
    return test


def used(process: Process, pictures: Path, *scenarios: str) -> Read:
    script = Path(__file__).with_name("use_page.mjs")
    url = f"http://localhost:{process.started['port']}/"
    done = subprocess.run(
        ["node", str(script), str(PACKAGES), url, str(pictures), *scenarios],
        check=False,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        env={**os.environ, "CHROMIUM": CHROMIUM},
    )
    assert done.returncode == 0, done.stderr
    told: Read = json.loads(done.stdout)
    return told


def of(read: Read, scenario: str, *errors: str) -> Read:
    told: Read = read[scenario]
    assert "error" not in told, told["error"]
    assert sorted({*told["errors"]}) == [*errors]
    assert told["elsewhere"] == []  # nothing is asked of any other host
    return told


@contextlib.contextmanager
def stopped_after(process: Process) -> Iterator[None]:
    with process.popen:
        try:
            yield
        finally:
            process.popen.kill()


@pytest.fixture(scope="module")
def rec() -> sl.Recommender:
    made = sl.Recommender([sl.retrieval.Neighbours()], rank=sl.ranking.Biases())
    made.fit(sl.datasets.movielens())
    toys = sl.split.latest(small_world(), test=0.1)
    popular = sl.Recommender(sl.retrieval.Popularity()).fit(toys.train)
    compared = sl.compare(popular, toys.test)
    made.metrics = {"holdout": {"name": "latest", "comparison": compared.to_dict()}}
    return made


@pytest.fixture(scope="module")
def read(rec: sl.Recommender, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Read]:
    folder = tmp_path_factory.mktemp("page")
    rec.save(folder / "movies.bundle")
    process = Process(folder / "movies.bundle", "--no-access-log")
    with stopped_after(process):
        half = {"event": "rating", "user_id": "halves", "item_id": HEAT, "rating": 3.5}
        assert process.ask("POST", "/events", {"events": [half]})[0] == 200
        yield used(process, folder, *SCENARIOS)


def asked(rec: sl.Recommender, k: int = 18, **asker: Any) -> list[str]:
    return rec.recommend(k=k, **asker)["item_id"].to_list()


MATRIX, HEAT, TOYS = "2571", "6", "1"


@needs_browser
def test_a_guest_picks_two_titles_and_reads_a_list_with_reasons(
    rec: sl.Recommender, read: Read
) -> None:
    told = of(read, "guest")
    assert told["heading"] == "What most people like"
    assert "Popular with everybodyProposed by popularity" in told["first"]
    assert told["popular"] == asked(rec, history=[])
    assert told["picked"] == asked(rec, history=[MATRIX, HEAT])
    answer = rec.recommend(history=[MATRIX, HEAT], k=18, explain=True)
    for reason, because in zip(told["reasons"], answer["because"].to_list(), strict=True):
        names = ["The Matrix" if one["item_id"] == MATRIX else "Heat" for one in because[:2]]
        assert reason == f"Because of {' and '.join(names)}"
    assert set(told["from"]) == {"Proposed by neighbours \u2192 , put in order by biases"}
    assert told["again"] == told["picked"]  # a tab that is loaded again has not forgotten
    assert told["one"] == asked(rec, history=[MATRIX])
    assert told["more"] == asked(rec, k=36, history=[MATRIX])


@needs_browser
def test_two_ratings_change_the_list_at_once(rec: sl.Recommender, read: Read) -> None:
    told = of(read, "rates")
    assert told["middle"] == asked(rec, history=told["rated"][:1])
    assert told["after"] == asked(rec, history=told["rated"])
    assert told["before"] != told["middle"] != told["after"]
    assert [chip[-7:] for chip in told["chips"]] == ["4 of 5\u2715", "5 of 5\u2715"]
    assert told["status"].endswith("4 of 5. 18 titles. From 2 titles you like.")


@needs_browser
def test_what_a_user_says_is_kept_by_the_service_until_they_are_forgotten(
    rec: sl.Recommender, read: Read
) -> None:
    told = of(read, "user")
    assert told["before"] == asked(rec, history=[])
    assert not {*told["rated"], told["dismissed"]} & set(told["after"])
    assert told["after"] != told["before"]
    assert told["again"] == told["after"]
    assert ["not for me" in chip for chip in told["chips"]] == [True, False, False]
    assert ["2 of 5" in told["chips"][1], "5 of 5" in told["chips"][2]] == [True, True]
    assert told["guest"] == []


@needs_browser
def test_half_a_star_is_said_and_the_words_of_posters_are_whole(read: Read) -> None:
    told = of(read, "halves")
    assert told["chips"] == ["Heat3.5\u2605, 3.5 of 5"]
    assert told["broken"] == []


@needs_browser
def test_filters_and_variety(rec: sl.Recommender, read: Read) -> None:
    told = of(read, "filter")
    where = "year >= 1990 and ('Comedy' in genres or 'War' in genres)"
    assert told["filtered"] == asked(rec, history=[], where=where)
    assert "Nothing fits" in told["nothing"]
    assert told["reset"] == told["all"] == asked(rec, history=[])
    assert told["close"] == asked(rec, history=[TOYS])
    assert told["diversity"] == 0.8
    diverse = rec.recommend(history=[TOYS], k=18, rerank=[sl.rerank.Diverse(0.8)])
    assert told["varied"] == diverse["item_id"].to_list()


@needs_browser
def test_everything_can_be_done_by_keyboard(read: Read) -> None:
    told = of(read, "keyboard")
    assert told["first"] == "To the list"
    assert told["active"] == "found-1"
    assert "Star Wars" in told["marked"]
    assert told["closed"] == "false"
    assert len(told["picked"]) == 1
    assert told["genre"] == ["Drama"]
    assert told["after"] != told["before"]
    assert told["stays"]  # in the list, although the rated title has left it
    assert told["sheet"]
    assert told["returned"]


@needs_browser
def test_both_views_in_both_themes_and_on_a_phone(read: Read) -> None:
    told = of(read, "look")
    assert told["violations"] == []  # axe-core's rules of accessibility
    assert told["wide"] == []  # nothing to scroll sideways to
    assert told["grounds"]["light"] == told["grounds"]["phone"] == "rgb(250, 246, 239)"
    assert told["grounds"]["dark"] == told["grounds"]["chosen"] == "rgb(20, 18, 15)"
    assert told["pressed"]["chosen"] == "true"  # the choice outlives a reload


@needs_browser
def test_the_owner_sees_traffic_model_and_comparison(rec: sl.Recommender, read: Read) -> None:
    told = of(read, "owner")
    assert told["name"] == rec.name
    assert "neighbours, 200 candidates" in told["card"]
    lines = rec.metrics["holdout"]["comparison"]["lines"]
    assert [row.partition(".")[0] for row in told["comparison"]] == [
        one["name"] for one in lines
    ]
    assert {"Half within", "99 % within", "Fallback", "Coverage", "Popularity bias"} <= set(
        told["tiles"]
    )
    assert told["bands"][0] == "Top 1 %"
    ((arm, version, count, share, *_),) = told["arms"]
    assert (arm, version, share) == ("champion", "0001", "100.0 %")
    assert int(count) > int(told["before"][0])
    assert "POST /recommend" in told["routes"]
    assert not [route for route in told["routes"] if "/page/" in route or "/stats" in route]
    assert told["shown"] == 10
    assert told["rate"].startswith("Requests a second: now ")


@needs_browser
def test_a_key_is_asked_for_and_titles_alone_are_enough(tmp_path: Path) -> None:
    titles = ["<img src=x>", "B", "C"]  # text is text, never markup
    table = pl.DataFrame({"user_id": ["u", "u", "v", "v"], "item_id": ["a", "b", "a", "c"]})
    items = Catalogue(pl.DataFrame({"item_id": ["a", "b", "c"], "title": titles}))
    bare = sl.Recommender(sl.retrieval.EASE()).fit(sl.Interactions(table, catalogue=items))
    bare.save(tmp_path / "bare.bundle")
    digest = hashlib.sha256(b"correct horse").hexdigest()
    process = Process(
        tmp_path / "bare.bundle", "--no-access-log", SHORTLIST_KEYS=f"page:write:{digest}"
    )
    with stopped_after(process):
        told = of(
            used(process, tmp_path, "bare"),
            "bare",
            "Failed to load resource: the server responded with a status of 401 (Unauthorized)",
        )
    assert (told["controls"], told["tune"], told["stars"]) == (0, False, 0)
    assert told["before"] == ["a", "b", "c"]
    assert told["after"] == asked(bare, history=["a"])
    assert "Because of <img src=x>" in told["text"]
    assert told["marks"] == 0


def test_the_page_asks_nobody_else_and_brings_its_own_policy(client: Client) -> None:
    for path in ("/", "/owner"):
        told = client.ask("GET", path)
        assert told.headers["content-type"] == "text/html; charset=utf-8"
        assert "unsafe" not in told.headers["content-security-policy"]
        for link in re.findall(r'(?:src|href)="([^"#]+)"', told.body.decode()):
            assert client.ask("GET", link).status == 200, link
    for file in files("shortlist.serving.page").iterdir():
        text = file.read_text("utf-8") if file.name.endswith((".html", ".css", ".js")) else ""
        bare = text.replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in bare
        assert "https:" not in bare
        assert "innerHTML" not in bare
