"""Writes docs/examples.md: each example's first line, a link, and what it prints on the bundled data.

Run ``python docs/write_examples.py`` after changing an example; a test checks that each is there.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAD = """# Examples

This page is written by `docs/write_examples.py`, which runs each example on the bundled data and keeps
what it prints. Run one with `python examples/03_retrieval_tutorial.py`; those that read
`example_data.py` take `--data FOLDER` for larger data sets. Seconds depend on the machine.
"""


def section(example: Path) -> str:
    """An example's part of the page.

    Args:
        example: its path.

    Returns:
        Markdown.

    Raises:
        RuntimeError: the example fails.
    """
    first = example.read_text(encoding="utf-8").splitlines()[0].strip('"')
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        told = subprocess.run(
            [sys.executable, example],
            cwd=folder,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
    if told.returncode:
        msg = f"{example.name} failed:\n{told.stderr}"
        raise RuntimeError(msg)
    title = example.stem.partition("_")[2].replace("_", " ").capitalize()
    printed = "\n".join(line.rstrip() for line in told.stdout.strip().splitlines())
    link = f"[`examples/{example.name}`](../examples/{example.name})"
    return f"## {title}\n\n{link}\n\n{first}\n\n```text\n{printed}\n```\n"


if __name__ == "__main__":
    parts = [HEAD, *map(section, sorted((ROOT / "examples").glob("[0-9]*.py")))]
    (ROOT / "docs/examples.md").write_text("\n".join(parts), encoding="utf-8")
