"""docs/cli.md says what --help says."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_the_help() -> None:
    code = "import runpy; print(runpy.run_path('docs/write_cli.py')['page'](), end='')"
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONIOENCODING": "utf-8"},
        check=True,
        capture_output=True,
        encoding="utf-8",
    ).stdout
    assert told == (ROOT / "docs/cli.md").read_text(encoding="utf-8"), (
        "docs/cli.md is not what --help says; run: python docs/write_cli.py"
    )
