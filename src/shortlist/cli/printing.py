"""What people read: headings, tables and numbers on stdout; progress on stderr; JSON for programs."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console, RenderableType

    from shortlist.evaluation.comparison import Comparison, Line

_PAGE = 100  # characters a line where there is no terminal to ask
_NUMBERS = {"rank", "score", "prediction"}


def console() -> "Console":
    """A page for people.

    Returns:
        A console on stdout that prints words as they are.
    """
    from rich.console import Console

    return Console(
        width=None if sys.stdout.isatty() else _PAGE,
        highlight=False,
        markup=False,
        emoji=False,
    )


def show(*parts: "RenderableType") -> None:
    """Print for people.

    Args:
        *parts: lines, tables.
    """
    page = console()
    for part in parts:
        if isinstance(part, str):
            page.print(part, soft_wrap=not sys.stdout.isatty())
        else:
            page.print(part)


def heading(words: str) -> None:
    """Print a heading with an empty line before it.

    Args:
        words: short.
    """
    from rich.text import Text

    show("", Text(words, style="bold"))


def progress(words: str) -> None:
    """Say what is going on, on stderr.

    Args:
        words: a line.
    """
    print(words, file=sys.stderr, flush=True)


def as_json(document: Any) -> None:
    """Print the one JSON document.

    Args:
        document: of plain values; NaN becomes null.
    """
    print(json.dumps(_plain(document), indent=1, ensure_ascii=False))


def rows_of(table: "pl.DataFrame") -> list[dict[str, Any]]:
    """A table for JSON.

    Args:
        table: of plain values.

    Returns:
        One dictionary per row.
    """
    return table.to_dicts()


def table_of(table: "pl.DataFrame", *, first: int | None = None) -> "RenderableType":
    """Draw a table of answers: titles whole, numbers short and to the right.

    Args:
        table: as the library answers.
        first: draw no more than so many rows.

    Returns:
        Something that rich prints.
    """
    from rich import box
    from rich.table import Table

    from shortlist.metrics.intervals import brief

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in table.columns:
        right = name in _NUMBERS
        drawn.add_column(
            name, justify="right" if right else "left", overflow="fold", no_wrap=right
        )
    shown = table if first is None else table.head(first)
    for row in shown.iter_rows():
        drawn.add_row(*(brief(one) if isinstance(one, float) else str(one) for one in row))
    return drawn


def comparison_of(comparison: "Comparison") -> "RenderableType":
    """Draw a comparison, best first: the deciding metric, row accuracies, the paired difference.

    Args:
        comparison: of at least two recommenders, by a metric where higher is better.

    Returns:
        Something that rich prints.
    """
    from rich import box
    from rich.table import Table

    from shortlist.metrics.intervals import brief

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    drawn.add_column("recommender", overflow="fold")
    drawn.add_column(comparison.metric, no_wrap=True)
    lengths = comparison.reports[0].protocol.k
    for k in lengths:
        drawn.add_column(f"rows@{k}", justify="right", no_wrap=True)
    several = len(comparison.lines) > 1
    if several:
        drawn.add_column("difference", no_wrap=True)
    order = sorted(
        zip(comparison.lines, comparison.reports, strict=True),
        key=lambda one: -one[0].estimate.value,
    )
    for line, report in order:
        accuracy = [brief(report[f"row_accuracy@{k}"].value) for k in lengths]
        drawn.add_row(
            line.name,
            str(line.estimate),
            *accuracy,
            *([_beside(line)] if several else []),
            style="bold" if line.best else "",
        )
    return drawn


def key_of(comparison: "Comparison") -> str:
    """Explain what :func:`comparison_of` draws.

    Args:
        comparison: that was drawn.

    Returns:
        A line.
    """
    return (
        "rows@K: the share of test rows whose item is in the user's top K. [95 % intervals]; "
        f"differences are from {comparison.against}, ~ where none is shown."
    )


def sentence(words: str) -> str:
    """Make words a sentence.

    Args:
        words: a clause; a name at its start stays as it is.

    Returns:
        The same with a capital and a full stop.
    """
    starts = ("the simple", "best value", "no difference")
    return (words[:1].upper() + words[1:] if words.startswith(starts) else words) + "."


def _beside(line: "Line") -> str:
    if line.difference is None:
        return ""
    return f"{line.difference}{'' if line.difference.shown else ' ~'}"


def bulleted(lines: Sequence[str]) -> str:
    """Put lines under each other.

    Args:
        lines: sentences.

    Returns:
        Text with a dash before each.
    """
    return "\n".join(f"- {line}" for line in lines)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
