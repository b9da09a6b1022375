"""A flag that would do nothing is refused: exit code 2, and what it goes with."""

from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("flag", [("--batch", 1), ("--batch", 8)])
@pytest.mark.parametrize("to", ["onnx", "torch", "vectors"])
def test_a_batch_is_for_litert(
    run: Run, bundle: Path, tmp_path: Path, to: str, flag: tuple[str, int]
) -> None:
    code, out, err = run("export", bundle, "--to", to, "--out", tmp_path / "x", *flag)
    assert (code, out) == (2, "")
    assert "--batch would be ignored here: for --to litert" in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["export", "BUNDLE", "--to", "vectors", "--out", "x", "-k", "5"], "k is the length"),
        (["predict", "BUNDLE", "--pairs", "TEST", "--item", "1"], "--item would be ignored"),
        (["predict", "BUNDLE", "--pairs", "TEST", "-k", "10"], "--k would be ignored"),
        (["predict", "BUNDLE", "--user", "1", "--column", "item_id=m"], "table of --pairs"),
        (["predict", "BUNDLE", "--user", "1", "--item", "1", "-k", "3"], "whole catalogue"),
        (["recommend", "BUNDLE", "--user", "1", "--column", "user_id=w"], "table of --users"),
        (["recommend", "BUNDLE", "--user", "1", "--with-titles"], "file of --out"),
        (["compare", "BUNDLE", "--test", "TEST", "--rank", "bias"], "--rank would be ignored"),
        (["compare", "BUNDLE", "--test", "TEST", "--items", "TEST"], "for --train"),
        (["update", "BUNDLE", "--items", "TEST", "--users", "TEST"], "for --rows only"),
        (["update", "BUNDLE", "--items", "TEST", "--on-bad-rows", "quarantine"], "for --rows"),
        (["serve", "BUNDLE", "--share", "0.3"], "there is no challenger"),
        (["check", "movielens", "--column", "user_id=who"], "leave --items, --users, --column"),
        (
            ["train", "--train", "movielens", "--on-bad-rows", "quarantine", "--out", "x"],
            "is read as it is; leave",
        ),
        (
            ["evaluate", "BUNDLE", "--test", "movielens", "--on-bad-rows", "quarantine"],
            "is read as it is; leave",
        ),
    ],
)
def test_a_flag_that_nothing_reads(
    run: Run,
    bundle: Path,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"BUNDLE": bundle, "TEST": folder / "test.csv"}
    code, out, err = run(*(places.get(word, word) for word in words))
    assert (code, out) == (2, ""), err
    assert told in err
    assert not list(tmp_path.iterdir())


def test_what_belongs_together_still_goes(run: Run, bundle: Path) -> None:
    assert run("predict", bundle, "--user", "1", "-k", "3", "--json")[1].count("prediction") > 2
