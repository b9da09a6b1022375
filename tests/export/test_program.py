"""Torch programs: what the bundle answers, read back by torch alone, with the ids inside."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from small_bundles import Bundle, small_bundles  # noqa: F401  (a fixture)

import shortlist as sl
from shortlist.errors import ExportError, MissingExtraError
from shortlist.export import Settings, export, targets

torch = pytest.importorskip("torch")


def rows(*values: object) -> Any:
    return torch.tensor(values, dtype=torch.int32)


def read(file: Path) -> tuple[Any, dict[str, Any]]:
    extra = {"ids.json": ""}
    program = torch.export.load(file, extra_files=extra)
    return program.module(), json.loads(extra["ids.json"])


@pytest.mark.parametrize("kind", ["rich", "plain", "drawn"])
def test_ratings_of_pairs_by_id(bundle: Bundle, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "ranker.pt2"
    report = export(bundle(kind), file, to="torch", settings=Settings(part="ranker"))
    assert report.parity is not None
    assert report.parity.agrees
    assert report.parity.askers == 49  # the 48 users, and someone unknown
    rate, ids = read(file)
    rec = sl.load(bundle(kind))
    wanted = rec.predict("u7", ["i3", "i30"])["prediction"].to_numpy()
    user, items = ids["user_id"].index("u7"), [ids["item_id"].index(i) for i in ("i3", "i30")]
    assert_allclose(rate(user=rows(user, user), item=rows(*items)).numpy(), wanted, rtol=1e-5)
    stranger = rec.predict("nobody", ["i3"])["prediction"].to_numpy()
    for unknown in (-1, 48, 10_000):
        found = rate(user=rows(unknown), item=rows(items[0])).numpy()
        assert_allclose(found, stranger, rtol=1e-5)
    assert ids["inputs"] == {"user": ["batch"], "item": ["batch"]}
    assert ids["about"]["lineage"]["users"] == 48


@pytest.mark.parametrize("kind", ["rich", "plain", "history", "attributes", "sequence"])
def test_query_vectors_find_what_the_bundle_recommends_to_a_guest(
    bundle: Bundle, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "user.pt2"
    export(bundle(kind), file, to="torch", settings=Settings(part="user"))
    encode, ids = read(file)
    rec = sl.load(bundle(kind))
    liked = ["i1", "i9", "i4"]
    places = ids["inputs"]["history"][1]
    history = [-1] * (places - 3) + [ids["item_id"].index(one) for one in liked]
    asked = {"history": rows(history)}
    if kind != "sequence":
        asked["user"] = rows(-1)
    vector = encode(**asked).numpy()
    scores = vector @ rec.retrievers[0].item_vectors.T  # type: ignore[attr-defined]
    wanted = rec.recommend(history=liked, k=5)
    at = [ids["item_id"].index(one) for one in wanted["item_id"]]
    assert_allclose(scores[0, at], wanted["score"].to_numpy(), rtol=1e-4)
    seen = [ids["item_id"].index(one) for one in liked]
    scores[0, seen] = -np.inf
    assert np.argsort(-scores[0])[:5].tolist() == at


def test_repeats_and_unknown_items_of_a_history_add_nothing(
    bundle: Bundle, tmp_path: Path
) -> None:
    export(bundle("plain"), tmp_path / "u.pt2", to="torch", settings=Settings(part="user"))
    encode, _ = read(tmp_path / "u.pt2")
    nothing = [-1] * 46
    once = encode(user=rows(-1), history=rows([*nothing, -1, -1, 3, 5]))
    again = encode(user=rows(-1), history=rows([*nothing, 5, 999, 3, 5]))
    assert_allclose(again, once, rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        ("rich", {"part": "whole"}, "part user or ranker; got 'whole'.*--to onnx"),
        (
            "rich",
            {"part": "ranker", "weights": "int8"},
            "float32 for a torch program; got 'int8'",
        ),
        ("als", {"part": "ranker"}, "no ranker to export"),
        ("als", {"part": "user"}, "'als' has no query tower; TwoTower and SequenceTower"),
        ("two", {"part": "user"}, r"several retrievers \(two-tower, als\)"),
    ],
)
def test_what_cannot_be_written_is_named(
    bundle: Bundle, tmp_path: Path, kind: str, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(ExportError, match=words):
        export(bundle(kind), tmp_path / "x.pt2", to="torch", settings=Settings(**settings))
    assert not list(tmp_path.iterdir())


def test_without_what_a_target_needs(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "TARGETS", {"torch": "shortlist_without_torch:export"})
    with pytest.raises(MissingExtraError, match=r"needs .*pip install 'shortlist\[torch\]'"):
        export(bundle("als"), tmp_path / "x.pt2", to="torch")
