"""Every code block of the README and the docs is run, in order, in a folder of its own."""

import re
import shlex
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from shortlist.cli.main import app
from shortlist.data.datasets import movielens

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    data = movielens()
    data.table.write_csv("ratings.csv")
    films = data.catalogue.table.with_columns(pl.col("genres").list.join("|"))
    films.write_csv("movies.csv")
    names: dict[str, object] = {}
    for language, code in BLOCK.findall(page.read_text()):
        if language == "python":
            exec(compile(code, str(page), "exec"), names)
        elif language == "sh":
            _run_commands(code)
        elif language == "js":
            continue  # run by test_clients.py, where Node is installed
        else:
            assert language == "text", f"{page.name}: a block in {language!r} is run by nobody"


def _run_commands(code: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for line in code.strip().splitlines():
        program, *words = shlex.split(line, comments=True)
        if program == "make":
            assert re.search(rf"^{words[0]}:", makefile, re.MULTILINE), line
            continue
        assert program == "shortlist", line
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, f"{line}\n{result.output}"
