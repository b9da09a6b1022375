"""Files for strangers: nobody's id, history or vector is inside, and guests get the bundle's answers."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from shortlist.data.protocols import Retriever
from shortlist.errors import ConfigError, ExportError
from shortlist.export import Settings, export
from shortlist.export.running import File
from shortlist.recommender import Recommender, load
from shortlist.retrieval import ALS, EASE, Blend, GraphFilter, Neighbours, NextItem, TwoTower
from shortlist.retrieval import ease as ease_module
from shortlist.testing import small_world

load_onnx = pytest.importorskip("onnx").load
GUESTS = Settings(guests_only=True)
TINY: dict[str, Any] = {"dim": 4, "epochs": 1, "batch_size": 128, "progress": False}


def saved(folder: Path, model: Retriever) -> Path:
    world = small_world()
    named = pl.format("somebody-{}", pl.col("user_id")).alias("user_id")
    users = None if world.users is None else world.users.with_columns(named)
    train = replace(world, table=world.table.with_columns(named), users=users)
    Recommender(model).fit(train).save(folder / "world.bundle")
    return folder / "world.bundle"


@pytest.mark.parametrize("kind", ["als", "neighbours", "graph-filter", "two-tower"])
def test_guests_are_answered_and_nobody_is_inside(tmp_path: Path, kind: str) -> None:
    models: dict[str, Retriever] = {
        "als": ALS(dim=4),
        "neighbours": Neighbours(),
        "graph-filter": GraphFilter(),
    }
    if kind == "two-tower":
        pytest.importorskip("torch")
    models["two-tower"] = TwoTower(**TINY, user=["user_id", "town"])
    bundle = saved(tmp_path, models[kind])
    everyone, strangers = tmp_path / "all.onnx", tmp_path / "guests.onnx"
    export(bundle, everyone)
    report = export(bundle, strangers, settings=GUESTS)
    assert report.parity is not None
    assert report.parity.agrees
    assert (
        report.parity.askers == 48 + 50
    )  # the users as guests, some again, one with nothing, and one with what nobody took
    assert b"somebody-u17" in everyone.read_bytes()
    assert b"somebody" not in strangers.read_bytes()
    told = File(strangers).ask(
        user_id=np.array(["somebody-u17"], object),
        history=np.array([["i3", "i8"]], object),
        exclude=np.array([[""]], object),
        k=np.array([5], np.int64),
    )
    wanted = load(bundle).recommend(history=["i3", "i8"], k=5)
    assert told["item_ids"][0].tolist() == wanted["item_id"].to_list()


def test_a_query_tower_as_rows(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    bundle = saved(tmp_path, TwoTower(**TINY))
    settings = replace(GUESTS, part="user")
    report = export(bundle, tmp_path / "user.pt2", to="torch", settings=settings)
    assert report.parity is not None
    assert report.parity.agrees
    extra = {"ids.json": ""}
    torch.export.load(tmp_path / "user.pt2", extra_files=extra)
    assert json.loads(extra["ids.json"])["user_id"] == []


@pytest.mark.parametrize(
    "model", [EASE(), NextItem(ease=0.5), Blend([EASE(), ALS(dim=4)], weights=(0.5, 0.5))]
)
def test_lines_of_what_each_user_took_are_multiplied_out(
    model: Retriever, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ease_module, "_SMALL_CATALOGUE", 1)
    bundle = tmp_path / "ease.bundle"
    Recommender(model).fit(small_world(users=20, items=60)).save(bundle)
    report = export(bundle, tmp_path / "x.onnx", settings=GUESTS)
    assert report.parity is not None
    assert report.parity.agrees
    shapes = [tuple(one.dims) for one in load_onnx(tmp_path / "x.onnx").graph.initializer]
    assert not any(20 in shape for shape in shapes)


def test_parts_of_known_users_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a ranker alone answers known users"):
        Settings(part="ranker", guests_only=True)
    bundle = saved(tmp_path, ALS(dim=4))
    with pytest.raises(ExportError, match="no user's vector to write"):
        export(bundle, tmp_path / "v", to="vectors", settings=GUESTS)
    report = export(bundle, tmp_path / "v", to="vectors", settings=replace(GUESTS, part="item"))
    assert len(report.files) == 1
