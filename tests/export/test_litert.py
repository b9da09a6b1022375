"""LiteRT files: what the bundle answers, from the interpreter that phones have."""

import json
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from small_bundles import Bundle, small_bundles  # noqa: F401  (a fixture)

import shortlist as sl
from shortlist.errors import ExportError, MissingExtraError
from shortlist.export import Settings, export
from shortlist.export.rows import RowsPart

pytest.importorskip("torch")
needs_converter = pytest.mark.skipif(
    find_spec("litert_torch") is None,
    reason="the LiteRT converter is not installed: make install-heavy",
)
RANKER = Settings(part="ranker")


def run(file: Path, signature: str, **inputs: object) -> NDArray[np.float32]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(file), num_threads=1)
    rows = {name: np.array(one, np.int32) for name, one in inputs.items()}
    (answer,) = interpreter.get_signature_runner(signature)(**rows).values()
    return np.asarray(answer, np.float32)


def test_without_the_converter(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "litert_torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'shortlist\[litert\]'"):
        export(bundle("plain"), tmp_path / "r.tflite", to="litert", settings=RANKER)
    assert not list(tmp_path.iterdir())


def test_the_ids_need_a_name_of_their_own(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"Let it end in \.tflite"):
        export(bundle("plain"), tmp_path / "r.json", to="litert", settings=RANKER)


@needs_converter
@pytest.mark.parametrize("kind", ["rich", "plain", "drawn"])
def test_ratings_of_one_pair_and_of_many(bundle: Bundle, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "ranker.tflite"
    settings = Settings(part="ranker", batch=(1, 39))
    report = export(bundle(kind), file, to="litert", settings=settings)
    assert report.files == (file, tmp_path / "ranker.json")
    assert report.parity is not None
    assert report.parity.agrees
    assert report.parity.places == 2 * 49 * 20  # two signatures, 48 users and a stranger
    ids = json.loads((tmp_path / "ranker.json").read_text())
    rec = sl.load(bundle(kind))
    user = ids["user_id"].index("u7")
    wanted = rec.predict("u7", ids["item_id"])["prediction"]
    every = run(file, "batch_39", user=[user] * 39, item=range(39))
    assert_allclose(every, wanted, rtol=1e-5)
    assert_allclose(run(file, "batch_1", user=[user], item=[3]), wanted[3], rtol=1e-5)
    stranger = rec.predict("nobody", [ids["item_id"][3]])["prediction"]
    for unknown in (-1, 48, 10_000):
        assert_allclose(run(file, "batch_1", user=[unknown], item=[3]), stranger, rtol=1e-5)


@needs_converter
@pytest.mark.parametrize("kind", ["rich", "history", "attributes", "sequence"])
def test_query_vectors_of_a_known_user_and_a_guest(
    bundle: Bundle, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "user.tflite"
    report = export(bundle(kind), file, to="litert", settings=Settings(part="user"))
    assert report.parity is not None
    assert report.parity.agrees
    ids = json.loads((tmp_path / "user.json").read_text())
    rec = sl.load(bundle(kind))
    liked = ["i1", "i9", "i4"]
    places = ids["inputs"]["history"][1]
    history = [-1] * (places - 3) + [ids["item_id"].index(one) for one in liked]
    asked: dict[str, object] = {"history": [history]}
    if kind != "sequence":
        asked["user"] = [-1]
    scores = run(file, "batch_1", **asked) @ rec.retrievers[0].item_vectors.T  # type: ignore[attr-defined]
    wanted = rec.recommend(history=liked, k=5)
    at = [ids["item_id"].index(one) for one in wanted["item_id"]]
    assert_allclose(scores[0, at], wanted["score"], rtol=1e-4)


@needs_converter
def test_a_file_that_would_disagree_is_not_written(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = RowsPart.of

    def wrong(*given: object) -> RowsPart:
        part = right(*given)  # type: ignore[arg-type]
        return replace(part, wanted=part.wanted + 1)

    monkeypatch.setattr(RowsPart, "of", wrong)
    with pytest.raises(ExportError, match=r"r\.tflite would not answer as the bundle does"):
        export(bundle("plain"), tmp_path / "r.tflite", to="litert", settings=RANKER)
    assert not list(tmp_path.iterdir())


@needs_converter
def test_a_model_that_the_converter_refuses(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    right = RowsPart.of

    def complex_valued(*given: object) -> RowsPart:
        part = right(*given)  # type: ignore[arg-type]
        part.module.forward = lambda user, item: torch.linalg.eigvals(
            torch.outer(user, item).float()
        )
        return part

    monkeypatch.setattr(RowsPart, "of", complex_valued)
    with pytest.raises(ExportError, match="the LiteRT converter cannot write this model"):
        export(bundle("plain"), tmp_path / "r.tflite", to="litert", settings=RANKER)
    assert not list(tmp_path.iterdir())
