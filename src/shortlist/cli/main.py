"""The command ``shortlist``: gathers the commands, and turns errors into one message and an exit code.

Exit codes: 0 done; 2 what was asked for cannot be done, with the reason; 130 interrupted; 1 a defect
of ours, or ``evaluate --fail-if-worse`` or ``refresh`` that found it worse. Nothing heavy is imported here: commands import what they need when they run.
"""

import contextlib
import errno
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from shortlist.cli import (
    audience,
    check,
    compare,
    demo,
    evaluate,
    export,
    forget,
    key,
    predict,
    recommend,
    refresh,
    rollback,
    serve,
    similar,
    train,
    tune,
    update,
    verify,
)
from shortlist.cli.words import as_flags
from shortlist.errors import ShortlistError

FAILED, DEFECT, INTERRUPTED = 2, 1, 130
_FULL = "the disk is full; free some space"


class Commands(TyperGroup):
    """The commands, with errors turned into messages and exit codes."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command.

        Args:
            ctx: as the parser made it.

        Returns:
            What the command returns.

        Raises:
            OSError: the reader of our output has gone; the parser ends quietly.
            Exit: with a code other than 0, after the message.
        """
        with _notes():
            try:
                return super().invoke(ctx)
            except ShortlistError as error:
                code = _failed(str(error))
            except KeyboardInterrupt:
                code = INTERRUPTED
            except MemoryError:
                code = _failed("the memory is full; take fewer rows, or close other programs")
            except OSError as error:
                if error.errno == errno.EPIPE:
                    raise
                code = _failed(_FULL if error.errno == errno.ENOSPC else str(error))
            except Exception as error:
                if type(error).__module__.partition(".")[0] in {"typer", "click"}:
                    raise  # the parser's own: wrong usage, or --help
                code = _defect(error)
        raise typer.Exit(code)


app = typer.Typer(
    name="shortlist",
    cls=Commands,
    help="From a table of interactions to a served recommender. Start with: shortlist demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
)
for _module in (
    demo,
    check,
    train,
    tune,
    update,
    recommend,
    similar,
    audience,
    predict,
    verify,
    export,
    forget,
    evaluate,
    compare,
    serve,
    key,
    refresh,
    rollback,
):
    _name = _module.__name__.rpartition(".")[2]
    app.command(_name, epilog=_module.EXAMPLE)(getattr(_module, _name))


@app.callback(invoke_without_command=True)
def _options(
    *,
    version: bool = typer.Option(False, "--version", help="Print the version and leave."),
) -> None:
    if version:
        from importlib.metadata import version as version_of

        print(version_of("shortlist"))
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: words after the command's name; None takes those of the process.

    Returns:
        The exit code.
    """
    # Threads that wait by spinning steal the processor from each other wherever it has other work;
    # it must be said before numpy or torch start theirs.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        app(args=None if arguments is None else list(arguments), prog_name="shortlist")
    except SystemExit as leaving:
        return _code(leaving)
    return 0


def _code(leaving: SystemExit) -> int:
    try:
        sys.stdout.flush()
    except OSError:  # whoever read our output has gone, as `| head` does
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    return leaving.code if isinstance(leaving.code, int) else 0


def _failed(message: str) -> int:
    print(f"error: {as_flags(message)}", file=sys.stderr)
    return FAILED


def _defect(error: Exception) -> int:
    if os.environ.get("SHORTLIST_TRACEBACK"):
        raise error
    print(
        f"error: {type(error).__name__}: {error}\n"
        "This is a defect of shortlist, not of your data. Please report it, with what "
        "SHORTLIST_TRACEBACK=1 before the command prints",
        file=sys.stderr,
    )
    return DEFECT


@contextlib.contextmanager
def _notes() -> Iterator[None]:
    # what the library logs as a warning is a note to whoever runs a command
    class ToNotes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            print(f"note: {as_flags(record.getMessage())}", file=sys.stderr)

    logger, handler = logging.getLogger("shortlist"), ToNotes(logging.WARNING)
    before, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before
