"""Every example runs, is short, does what its first line says, and stands in the docs."""

import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("[0-9]*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(
    example: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("torch")
    if "HNSW" in example.read_text(encoding="utf-8"):
        pytest.importorskip("faiss")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(example)])  # not pytest's own
    monkeypatch.syspath_prepend(str(example.parent))  # as if the example had been started
    runpy.run_path(str(example), run_name="__main__")
    assert capsys.readouterr().out
    assert len(example.read_text(encoding="utf-8").splitlines()) < 80


def test_the_page_of_examples_has_each_of_them() -> None:
    page = (ROOT / "docs/examples.md").read_text(encoding="utf-8")
    told = re.findall(r"^\[`examples/(.+?)`\]\(\.\./examples/(.+?)\)$", page, re.MULTILINE)
    assert told == [(path.name, path.name) for path in EXAMPLES], (
        "run: python docs/write_examples.py"
    )
    for example in EXAMPLES:
        first = example.read_text(encoding="utf-8").splitlines()[0].strip('"')
        section = page.partition(f"](../examples/{example.name})")[2].partition("\n## ")[0]
        assert first in section, f"{example.name} says something else now"
        assert re.search(r"```text\n.+?\n```", section, re.DOTALL), f"{example.name}: no output"
