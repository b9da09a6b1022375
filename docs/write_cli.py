"""Writes docs/cli.md from the commands' own help, so that it cannot say something else.

Run ``python docs/write_cli.py`` after changing a command; a test compares the page with the help.
"""

import os
from pathlib import Path

os.environ |= {"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}

from typer.main import get_command
from typer.testing import CliRunner

from shortlist.cli.main import app

HEAD = """# The command line

This page is written by `docs/write_cli.py` from each command's `--help`.
"""


def page() -> str:
    """The whole page."""
    names = list(get_command(app).commands)  # type: ignore[attr-defined]
    parts = [HEAD]
    for name in names:
        told = CliRunner().invoke(app, [name, "--help"], terminal_width=100).output
        lines = "\n".join(line.rstrip() for line in told.strip().splitlines())
        parts.append(f"## shortlist {name}\n\n```text\n{lines}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    Path(__file__).with_name("cli.md").write_text(page())
