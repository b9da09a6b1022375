"""The demo on a part of the bundled data, with and without towers."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import shortlist as sl
from shortlist.cli import demo

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    data = sl.read(folder / "train.csv", items=folder / "movies.csv")
    monkeypatch.setattr(sl.datasets, "movielens", lambda: data)
    monkeypatch.setattr(demo, "_TOWER_EPOCHS", 2)


def test_demo_tells_the_whole_path(run: Run, small: None, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    out = tmp_path / "kept.bundle"
    code, said, err = run("demo", "--user", 4, "--out", out)
    assert code == 0
    for words in (
        "The data",
        "The split",
        "What leaks",
        "two-tower",
        "ease+two-tower > rating",
        "Serve",
        "ranker",
        "rating network",
        "bias model",
        "Ten films for user 4",
        "Like ",
        "Who would want Toy Story (1995)",
        "same answers: yes",
        "Done in",
    ):
        assert words in said
    assert "fitting two-tower" in err
    assert sl.load(out).metrics["test"]["name"] == "latest"


def test_demo_without_torch_leaves_the_towers_out(
    run: Run, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torch", "lightgbm"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it fails
    code, said, err = run("demo", "--user", 4, "--json")
    assert code == 0
    assert "left out" in err
    assert "pip install 'shortlist[torch]'" in err
    assert "pip install 'shortlist[boosted]'" in err
    told = json.loads(said)
    assert [line["name"] for line in told["comparison"]["lines"]] == [
        "popularity",
        "ease",
        "ease > bias",
    ]
    assert told["same_answers"] is True
    assert len(told["recommendations"]) == 10
    assert len(told["similar"]["items"]) == 3
    assert told["served"] in {"ease", "popularity"}


def test_demo_answers_someone_unknown(
    run: Run, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    code, said, _ = run("demo", "--user", "nobody")
    assert code == 0
    assert "(fallback)" in said
