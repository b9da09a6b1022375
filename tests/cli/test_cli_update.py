"""``shortlist update``: what came since, in a new version of a bundle."""

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import polars as pl
import pytest

import shortlist as sl

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def own(bundle: Path, tmp_path: Path) -> Path:
    return copytree(bundle, tmp_path / "own.bundle")


def test_items_users_and_rows_are_added(
    run: Run, own: Path, folder: Path, tmp_path: Path
) -> None:
    films = pl.read_csv(folder / "movies.csv")
    new = films[:2].with_columns(movieId=pl.Series([900001, 900002]))
    pl.concat([films, new]).write_csv(tmp_path / "films.csv")
    rows = pl.read_csv(folder / "test.csv")
    rows[:3].with_columns(userId=pl.lit("anna"), movieId=pl.lit(900001)).write_csv(
        tmp_path / "today.csv"
    )
    given = ["--items", tmp_path / "films.csv", "--rows", tmp_path / "today.csv"]
    code, out, err = run("update", own, *given, "--json")
    assert code == 0, err
    told = json.loads(out)
    assert told["added"] == {"items": 2, "users": 1, "rows": 3}
    assert told["version"] == "0002"
    assert [part["part"] for part in told["parts"]] == ["ease", "bias", "popularity"]
    rec = sl.load(own)
    assert rec.recommend("anna")["source"][0] == "ease"
    assert rec.recommend("4", k=1, allow=["900002"]).height == 1
    code, out, _ = run("evaluate", own, "--test", folder / "test.csv", "--k", 5)
    assert code == 0
    code, out, _ = run("update", own, "--rows", folder / "test.csv")
    assert code == 0
    assert "answers from all histories at once" in " ".join(out.split())


def test_rows_beside_a_service_may_bring_the_forgotten_back_and_it_says_so(
    run: Run, own: Path, folder: Path
) -> None:
    _, _, err = run("update", own, "--rows", folder / "test.csv")
    assert "forgotten" not in err
    rec = sl.load(own)
    rec.events_through = 7
    rec.save(own)
    _, _, err = run("update", own, "--rows", folder / "test.csv")
    assert "Forget them once more: shortlist forget" in " ".join(err.split())


def test_nothing_to_add_and_unknown_items_are_errors(
    run: Run, own: Path, tmp_path: Path
) -> None:
    code, _, err = run("update", own)
    assert code == 2
    assert "nothing to add" in err
    pl.DataFrame(
        {"userId": ["4"], "movieId": ["no such"], "rating": [5.0], "timestamp": [1]}
    ).write_csv(tmp_path / "rows.csv")
    code, _, err = run("update", own, "--rows", tmp_path / "rows.csv")
    assert code == 2
    assert "no such" in err
    assert sl.verify(own)["growth"] is None  # and no version was published


def test_people_are_forgotten(run: Run, own: Path) -> None:
    code, out, err = run("forget", own, "--user", "4", "--user", "nobody", "--json")
    assert code == 0, err
    assert json.loads(out)["versions"] == {"0001": "0002"}
    assert sl.load(own).snapshot.user_vocabulary.row("4") == -1
    code, out, _ = run("forget", own, "--user", "4")
    assert code == 0
    assert "no version" in out
