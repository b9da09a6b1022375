"""``train --retrieve auto``, ``train --set`` and ``tune``."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

import shortlist as sl
from shortlist.cli.settings import read_settings
from shortlist.errors import ConfigError

Run = Callable[..., tuple[int, str, str]]


def test_auto_prints_who_was_tried_and_why_one_was_kept(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    given = ("train", "--train", folder / "train.csv", "--retrieve", "auto", "--seconds", 0)
    code, said, err = run(*given, "--out", tmp_path / "b")
    assert code == 0
    assert "Holdout: latest" in said
    assert "not tried: time" in said
    assert "popularity is kept" in said
    assert "trying popularity" in err
    code, said, _ = run(*given, "--holdout", "last-out", "--out", tmp_path / "b", "--json")
    told = json.loads(said)
    rec = sl.load(tmp_path / "b")
    assert code == 0
    assert told["name"] == rec.name == told["auto"]["kept"] == "popularity"
    assert told["holdout"]["name"] == rec.metrics["holdout"]["name"] == "last-out"
    assert told["auto"]["table"][0]["method"] == "popularity"
    assert len(rec.snapshot.histories.item_rows) == told["rows"]


def test_auto_by_a_validation_file(run: Run, folder: Path, tmp_path: Path) -> None:
    code, said, _ = run(
        *("train", "--train", folder / "train.csv", "--validation", folder / "test.csv"),
        *("--retrieve", "auto", "--seconds", 0, "--out", tmp_path / "b", "--json"),
    )
    assert code == 0
    assert json.loads(said)["holdout"]["name"] == "validation"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--retrieve", "auto,ease"], "auto stands alone"),
        (["--retrieve", "auto", "--rank", "bias"], "leave --rank and --set out"),
        (["--retrieve", "auto", "--set", "l2=3"], "leave --rank and --set out"),
        (["--seconds", 3], "--seconds is for --retrieve auto"),
        (["--set", "l2"], "takes NAME=VALUE"),
        (["--set", "l3=4"], "no setting 'l3'"),
        (["--set", "l2=much"], "l2 of ease must be a number; got 'much'"),
        (["--retrieve", "ease,popularity", "--set", "l2=4"], "write ease.l2=4"),
    ],
)
def test_what_cannot_be_asked(
    run: Run, folder: Path, tmp_path: Path, words: list[object], message: str
) -> None:
    code, _, err = run(
        "train", "--train", folder / "train.csv", "--out", tmp_path / "b", *words
    )
    assert code == 2
    assert message in err


def test_settings_reach_their_retriever(run: Run, folder: Path, tmp_path: Path) -> None:
    code, _, _ = run(
        *("train", "--train", folder / "train.csv", "--retrieve", "ease,popularity"),
        *("--set", "ease.l2=77", "--set", "popularity.by=recent", "--out", tmp_path / "b"),
    )
    assert code == 0
    ease, popularity = sl.load(tmp_path / "b").retrievers
    assert ease.state().config["l2"] == 77
    assert popularity.state().config["by"] == "recent"


@dataclass
class Kinds:
    """Every kind of setting."""

    whole: int = 1
    real: float | None = 1.0
    flag: bool = False
    word: str = ""
    one: Literal["a", "b"] = "a"
    several: tuple[int, ...] = ()
    speeds: tuple[float, ...] = ()
    thing: Any = None


def test_values_are_read_as_the_setting_holds_them() -> None:
    given = [
        "whole=3",
        "real=none",
        "flag=True",
        "word=x=y",
        "one=b",
        "several=64,32",
        "speeds=.5, 1",
    ]
    assert read_settings(Kinds, "it", given) == {
        "whole": 3,
        "real": None,
        "flag": True,
        "word": "x=y",
        "one": "b",
        "several": [64, 32],
        "speeds": [0.5, 1.0],
    }
    for wrong, message in (
        ("whole=1.5", "must be a whole number"),
        ("flag=maybe", "must be one of true, yes, false, no"),
        ("one=c", "must be one of a, b"),
        ("several=a", "must be a whole number"),
        ("thing=1", "use the Python interface"),
        ("wole=1", "Did you mean 'whole'"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_settings(Kinds, "it", [wrong])
    with pytest.raises(ConfigError, match="given twice"):
        read_settings(Kinds, "it", ["whole=1", "whole=2"])


def test_tune_says_how_to_train(run: Run, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    given = ("tune", "--train", folder / "train.csv", "--retrieve", "ease", "--trials", 2)
    code, said, _ = run(*given, "--study", tmp_path / "s")
    assert code == 0
    assert "Train with: shortlist train --train" in said
    assert "--retrieve ease --set l2=" in said
    code, said, _ = run(*given, "--study", tmp_path / "s", "--json")
    told = json.loads(said)
    assert code == 0
    assert told["method"] == "ease"
    assert told["holdout"]["name"] == "latest"
    assert [one["trial"] for one in told["trials"]] == [0, 1]
    assert told["best"]["l2"] in [one["l2"] for one in told["trials"]]
