"""The container file copies what the build needs, and nothing that is not there."""

import re
import shlex
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE = (ROOT / "deploy/Containerfile").read_text()


def copied() -> set[str]:
    lines = [line for line in FILE.splitlines() if line.startswith("COPY ")]
    own = [shlex.split(line)[1:-1] for line in lines if "--from" not in line]
    return {name for names in own for name in names}


def test_what_is_copied_is_there_and_is_what_the_build_names() -> None:
    names = copied()
    assert all((ROOT / name).exists() for name in names)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"pyproject.toml", "src", project["readme"], *project["license-files"]} <= names
    constraint = re.search(r"--constraint (\S+)", FILE)
    assert constraint is not None
    assert constraint.group(1) in names


def test_the_extras_it_installs_are_there_and_need_no_torch() -> None:
    found = re.search(r"^ARG EXTRAS=([\w,]+)$", FILE, re.MULTILINE)
    assert found is not None
    assert '".[$EXTRAS]"' in FILE
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [project["optional-dependencies"][name] for name in found.group(1).split(",")]
    assert not any(
        "torch" in need for needs in [*extras, project["dependencies"]] for need in needs
    )
