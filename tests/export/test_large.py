"""Catalogues too large for one file: pruned weights, or the encoder alone, and both say so."""

from pathlib import Path

import numpy as np
import pytest

import shortlist as sl
from shortlist.data.protocols import Retriever
from shortlist.testing import small_world

pytest.importorskip("onnx")

from onnx import load as load_onnx

from shortlist.export import Report, Settings, export, onnx, weights
from shortlist.export.running import File

PARTS: list[Retriever] = [
    sl.retrieval.EASE(decay=0.1),
    sl.retrieval.GraphFilter(rank=4),
    sl.retrieval.NextItem(),
]


def exported(rec: sl.Recommender, folder: Path, settings: Settings | None = None) -> Report:
    rec.save(folder / "a.bundle")
    return export(folder / "a.bundle", folder / "a.onnx", settings=settings)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_pruned_weights_say_what_they_lost(
    part: Retriever, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 39 items; room for 25 of the 39 weights of each line, 6 bytes each; NextItem has 4 matrices
    room = 39 * 25 * 6 * (4 if part.name == "next-item" else 1)
    monkeypatch.setattr(weights, "LARGEST", room)
    monkeypatch.setattr("shortlist.export.loss.MOST_LOST", 1.0)
    train = small_world()
    report = exported(sl.Recommender(part).fit(train), tmp_path)
    assert "keeps the 25 largest of its 39 weights" in report.notes[1]
    assert "recall@10 of known rows" in report.loss
    assert report.parity is not None
    assert report.parity.equal < report.parity.places
    assert abs(report.loss["recall@10 of known rows"]) < 0.05
    assert 0 < report.loss["places of the top 10"] < 0.1


def test_few_neighbours_are_kept_whole_where_they_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "LARGEST", 39 * 30 * 6)
    rec = sl.Recommender(sl.retrieval.Neighbours(neighbours=2)).fit(small_world())
    report = exported(rec, tmp_path)
    assert not report.loss
    assert report.parity is not None
    assert report.parity.agrees


def test_more_items_than_a_graph_searches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx, "MOST_ITEMS", 38)
    rec = sl.Recommender(sl.retrieval.ALS(dim=4)).fit(small_world())
    report = exported(rec, tmp_path)
    assert report.part == "user"
    assert "more than the 38" in report.notes[-1]
    told = File(tmp_path / "a.onnx").ask(
        user_id=np.array(["u1"], object), history=np.empty((1, 0), object)
    )
    assert told["vector"].shape == (1, 4)


@pytest.mark.parametrize("room", [200_000_000, 6_100])
def test_weights_by_users(room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # two matrices of 20 users by 39 items take 6,240 bytes, one of 39 by 39 takes 6,084
    monkeypatch.setattr("shortlist.retrieval.ease._SMALL_CATALOGUE", 0)
    monkeypatch.setattr(weights, "LARGEST", room)
    rec = sl.Recommender(sl.retrieval.EASE(decay=0.1)).fit(small_world(users=20))
    report = exported(rec, tmp_path)
    assert "own" in rec.retrievers[0].state().arrays
    assert report.parity is not None
    assert report.parity.agrees


@pytest.mark.parametrize("guests_only", [False, True])
def test_a_graph_by_users(
    guests_only: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shortlist.retrieval.graph_filter._SMALL_CATALOGUE", 0)
    rec = sl.Recommender(sl.retrieval.GraphFilter(rank=4)).fit(small_world())
    report = exported(rec, tmp_path, Settings(guests_only=guests_only))
    assert "basis" in rec.retrievers[0].state().arrays
    assert report.parity is not None
    assert report.parity.agrees
    model = load_onnx(tmp_path / "a.onnx")
    by_user = any(list(one.dims) == [48, 40] for one in model.graph.initializer)
    assert by_user is not guests_only  # what each of the 48 users took
