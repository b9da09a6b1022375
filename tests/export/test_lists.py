"""Rankers of lists in the graph: every feature of a pair is the bundle's."""

from pathlib import Path

import numpy as np
import pytest

import shortlist as sl
from shortlist.data.protocols import Ranker, Retriever
from shortlist.errors import ExportError
from shortlist.testing import small_world

pytest.importorskip("onnx")

from shortlist.export import Settings, export
from shortlist.export.running import File


def boosted() -> Ranker:
    pytest.importorskip("lightgbm")
    return sl.ranking.Boosted(trees=8, leaves=4, least=2)


def network() -> Ranker:
    pytest.importorskip("torch")
    return sl.ranking.ListNetwork(layers=(8,), epochs=1)


@pytest.mark.parametrize(
    ("make", "several"), [(boosted, False), (boosted, True), (network, True)]
)
def test_lists_are_ordered_as_in_the_bundle(
    make: type[Ranker], several: bool, tmp_path: Path
) -> None:
    parts: list[Retriever] = [sl.retrieval.EASE()]
    parts += [sl.retrieval.Popularity()] if several else []
    rec = sl.Recommender(parts, rank=make(), candidates=12).fit(small_world())
    rec.save(tmp_path / "a.bundle")
    report = export(tmp_path / "a.bundle", tmp_path / "a.onnx")
    assert report.parity is not None
    assert report.parity.agrees
    told = File(tmp_path / "a.onnx").ask(
        user_id=np.array(["nobody"], object),
        history=np.array([["i3", "i7", "i3", "no such item"]], object),
        exclude=np.empty((1, 0), object),
        k=np.array([5]),
    )
    wanted = rec.recommend(history=["i3", "i7", "i3"], k=5)
    assert told["item_ids"][0].tolist() == wanted["item_id"].to_list()
    assert told["scores"][0].tolist() == pytest.approx(wanted["score"].to_list(), rel=1e-4)
    with pytest.raises(ExportError, match="cannot be a graph of pairs of ids"):
        export(tmp_path / "a.bundle", tmp_path / "b.onnx", settings=Settings(part="ranker"))
