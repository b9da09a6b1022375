"""The public surface: everything named is there, is explained, and costs nothing until it is used."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import shortlist
import shortlist.ranking
import shortlist.recommender
import shortlist.retrieval
import shortlist.selection
from shortlist import errors


@pytest.mark.parametrize("name", shortlist.__all__)
def test_every_name_is_there_and_explained(name: str) -> None:
    value = getattr(shortlist, name)
    assert inspect.getdoc(value), name
    if inspect.isclass(value) or inspect.isfunction(value):
        assert value.__module__.startswith("shortlist.")
        assert value.__name__ == name
    else:
        assert isinstance(value, ModuleType)


def test_the_list_is_sorted_and_the_same_everywhere() -> None:
    assert shortlist.__all__ == sorted(shortlist.__all__)
    assert set(shortlist.__all__) == set(shortlist._HOMES)
    assert dir(shortlist) == shortlist.__all__
    # what type checkers are told is what is there at run time
    source = Path(shortlist.__file__).read_text(encoding="utf-8")
    told = source[source.index("if TYPE_CHECKING:") : source.index("_HOMES")]
    names = re.findall(r"\w+", " ".join(re.findall(r"import (.*)", told)))
    assert sorted(names) == shortlist.__all__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'recommendation'"):
        _ = shortlist.recommendation
    assert not hasattr(shortlist, "torch")


@pytest.mark.parametrize(
    "module",
    [shortlist.ranking, shortlist.recommender, shortlist.retrieval, shortlist.selection],
    ids=lambda module: str(module.__name__),
)
def test_parts_export_what_they_name(module: ModuleType) -> None:
    for name in module.__all__:
        assert inspect.getdoc(getattr(module, name)), name


def test_every_error_can_be_caught_by_the_one_exported() -> None:
    kinds = [one for _, one in inspect.getmembers(errors, inspect.isclass)]
    assert len(kinds) > 5
    for kind in kinds:
        assert issubclass(kind, shortlist.ShortlistError)


def imported_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after a statement."""
    code = f"import sys; {statement}; print(' '.join({{name.partition('.')[0] for name in sys.modules}}))"
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(Path(shortlist.__file__).parents[1])},
    )
    return set(run.stdout.split())


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = {
        "torch",
        "polars",
        "numpy",
        "scipy",
        "onnxruntime",
        "pandas",
        "onnx",
        "rich",
        "typer",
    }
    assert not imported_by("import shortlist; dir(shortlist)") & heavy


def test_everything_public_resolves_without_torch() -> None:
    statement = "import shortlist; [getattr(shortlist, name) for name in shortlist.__all__]"
    assert not imported_by(statement) & {"torch", "onnx", "pandas"}
