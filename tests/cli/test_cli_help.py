"""Help is quick, needs nothing but the base install, and shows an example of every command."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
COMMANDS = (
    "demo",
    "check",
    "train",
    "recommend",
    "similar",
    "audience",
    "predict",
    "verify",
    "forget",
    "export",
    "evaluate",
    "compare",
    "refresh",
    "rollback",
)
BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {words}:
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Block())
from shortlist.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_has_an_example_and_json(run: Run, command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"Example: shortlist {command}" in " ".join(out.split())
    assert "--json" in out


def test_help_lists_every_command_without_torch_pandas_and_the_heavy_rest() -> None:
    words = "{'torch', 'pandas', 'pyarrow', 'numpy', 'scipy', 'polars', 'onnxruntime'}"
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED.replace("{words}", words), "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    for command in COMMANDS:
        assert f"  {command} " in done.stdout
    assert not done.stderr


def test_python_dash_m_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shortlist", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip()[0].isdigit()


@pytest.mark.parametrize(
    "arguments",
    [["no-such-command"], ["train"], ["recommend"], ["recommend", "x", "--nope"]],
)
def test_usage_errors_exit_2_with_a_message(run: Run, arguments: list[str]) -> None:
    code, out, err = run(*arguments)
    assert code == 2
    assert not out
    assert "Error" in err


def test_a_reader_that_leaves_is_no_error(bundle: Path) -> None:
    line = f'"{sys.executable}" -m shortlist recommend "{bundle}" --all-users --k 100 --json | head -1'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout == "{\n"
    assert not done.stderr
