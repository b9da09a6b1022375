"""Targets are found by name; settings and paths that cannot be are refused with a remedy."""

import importlib
import sys
from pathlib import Path

import pytest

from shortlist.errors import ConfigError, ExportError, MissingExtraError
from shortlist.export import Settings, export
from shortlist.export.parity import Parity, sample_rows, written_whole


def test_a_target_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'onx'; targets are .*onnx.*Did you mean 'onnx'"):
        export(tmp_path, tmp_path / "x.onnx", to="onx")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"part": "users"}, r"part must be one of .*'users'.*Did you mean 'user'"),
        ({"weights": "int4"}, r"weights must be one of float32, float16, int8; got 'int4'"),
        ({"k": 0}, "at least 1"),
        ({"batch": (1, 0)}, "at least 1"),
    ],
)
def test_settings_out_of_range(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Settings(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("to", "settings", "words"),
    [
        ("onnx", {"batch": (8,)}, "batch is for litert"),
        ("torch", {"part": "ranker", "k": 5}, "k is the length of the lists"),
        ("onnx", {"part": "item", "k": 5}, "of the part item, which has none"),
    ],
)
def test_a_setting_that_the_target_does_not_read(
    tmp_path: Path, to: str, settings: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        export(tmp_path, tmp_path / "x", to=to, settings=Settings(**settings))  # type: ignore[arg-type]


def test_a_file_gets_its_name_only_when_all_is_well(tmp_path: Path) -> None:
    out = tmp_path / "a.onnx"
    out.write_bytes(b"old")

    def fails() -> None:
        with written_whole(out) as draft:
            draft.write_bytes(b"new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert out.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["a.onnx"]
    with written_whole(out) as draft:
        draft.write_bytes(b"new")
    assert out.read_bytes() == b"new"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with (
        pytest.raises(ExportError, match="there is no folder"),
        written_whole(tmp_path / "no" / "a"),
    ):
        pass
    with pytest.raises(ExportError, match="it is a folder"), written_whole(tmp_path):
        pass


def test_some_rows_evenly_spread() -> None:
    assert sample_rows(5, 3).tolist() == [0, 2, 4]
    assert sample_rows(2, 9).tolist() == [0, 1]
    assert sample_rows(0, 9).tolist() == []


def test_onnx_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    for name in list(sys.modules):
        if name.startswith("shortlist.export."):
            monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtraError, match=r"pip install 'shortlist\[export\]'"):
        importlib.import_module("shortlist.export.onnx")


def test_ties_in_a_first_stage_may_move_few_places() -> None:
    assert Parity(20, 200, 199, 1, 1e-5).agrees
    assert not Parity(20, 200, 199, 0, 1e-5).agrees
    assert not Parity(20, 200, 200, 0, 1e-3).agrees
    several = Parity(20, 200, 199, 0, 0.02, allowed=0.005)
    assert several.agrees  # 1 of 200
    assert not several.beside(Parity(20, 200, 198, 0, 0.02, allowed=0.005)).agrees  # 3 of 400
