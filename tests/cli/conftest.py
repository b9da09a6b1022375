"""A small table as a newcomer brings it, a bundle trained on it, and the command line in-process."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import shortlist as sl
from shortlist.cli.main import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run_command(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(one) for one in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return code, out, err

    return run_command


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``train.csv``, ``test.csv`` and ``movies.csv``: 60 users, 150 films of the bundled data."""
    home = tmp_path_factory.mktemp("data")
    data = sl.datasets.movielens()
    popular = data.table["item_id"].value_counts(sort=True)["item_id"][:150]
    few = pl.col("user_id").cast(pl.Int64) <= 60
    rows = data.table.filter(few, pl.col("item_id").is_in(popular.implode()))
    films = data.catalogue.table.filter(pl.col("item_id").is_in(popular.implode()))
    names = {"user_id": "userId", "item_id": "movieId"}
    last = pl.int_range(pl.len()).over("user_id") % 5 == 4
    rows.filter(~last).rename(names).write_csv(home / "train.csv")
    rows.filter(last).rename(names).write_csv(home / "test.csv")
    films.with_columns(pl.col("genres").list.join("|")).rename(
        {"item_id": "movieId"}
    ).write_csv(home / "movies.csv")
    return home


@pytest.fixture(scope="session")
def bundle(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """EASE with the bias model behind it."""
    path = tmp_path_factory.mktemp("bundles") / "small.bundle"
    given = [
        "--train",
        folder / "train.csv",
        "--items",
        folder / "movies.csv",
        "--rank",
        "bias",
    ]
    assert main(["train", *map(str, given), "--out", str(path)]) == 0
    return path
