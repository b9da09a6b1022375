"""Vectors as Parquet: their dot products are the bundle's scores."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose
from small_bundles import Bundle, small_bundles  # noqa: F401  (a fixture)

import shortlist as sl
from shortlist.errors import ExportError
from shortlist.export import Settings, export


@pytest.mark.parametrize("kind", ["als", "plain", "sequence"])
def test_the_best_dot_products_are_the_shortlist(
    bundle: Bundle, tmp_path: Path, kind: str
) -> None:
    report = export(bundle(kind), tmp_path / "vectors", to="vectors")
    assert report.parity is not None
    assert report.parity.agrees
    users, items = (pl.read_parquet(file) for file in report.files)
    assert items.columns == ["item_id", "title", "vector"]
    wanted = sl.load(bundle(kind)).recommend("u5", k=3)
    user = users.filter(pl.col("user_id") == "u5")["vector"].to_numpy()[0]
    scores = dict(zip(items["item_id"], items["vector"].to_numpy() @ user, strict=True))
    assert_allclose([scores[one] for one in wanted["item_id"]], wanted["score"], rtol=1e-4)


def test_one_side_is_one_file(bundle: Bundle, tmp_path: Path) -> None:
    file = tmp_path / "users.parquet"
    report = export(bundle("als"), file, to="vectors", settings=Settings(part="user"))
    assert report.files == (file,)
    table = pl.read_parquet(file)
    assert table.shape == (48, 2)
    assert table["vector"].dtype == pl.Array(pl.Float32, 4)
    assert np.isfinite(table["vector"].to_numpy()).all()


def test_models_without_vectors_are_told_which_have_them(
    bundle: Bundle, tmp_path: Path
) -> None:
    for kind, held in (("ease", "ease"), ("two", "two-tower, als")):
        with pytest.raises(ExportError, match=f"TwoTower, SequenceTower or ALS; .* has {held}"):
            export(bundle(kind), tmp_path / "vectors", to="vectors")
    with pytest.raises(ExportError, match="got float32 of 'ranker'"):
        export(bundle("als"), tmp_path / "v", to="vectors", settings=Settings(part="ranker"))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made(bundle: Bundle, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("here")
    for out in (taken, tmp_path / "no" / "folder"):
        with pytest.raises(ExportError, match="cannot make the folder"):
            export(bundle("als"), out, to="vectors")
