"""Structured logs: one JSON object a line on standard error."""

import contextlib
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from shortlist.errors import ShortlistError

_encode = msgspec.json.Encoder(enc_hook=str).encode


def say(event: str, **fields: Any) -> None:
    """Write a line.

    Args:
        event: what happened, a word.
        fields: numbers and words about it; never bodies, keys or the ids of people.
    """
    line = _encode({"time": round(time.time(), 3), "event": event, **fields})
    try:
        sys.stderr.buffer.write(line + b"\n")
        sys.stderr.buffer.flush()
    except (OSError, ValueError):  # nobody reads it any more; the service goes on
        return


@contextlib.contextmanager
def going_on(event: str) -> Iterator[None]:
    """Write what goes wrong, and go on: what runs in the background outlives everything.

    Args:
        event: the word for it.

    Yields:
        Nothing.
    """
    try:
        yield
    except Exception as error:  # whatever it is, the next turn may go well
        reason = str(error) if isinstance(error, ShortlistError) else place_of(error)
        say(event, level="error", kind=type(error).__name__, reason=reason)


def place_of(error: Exception) -> str:
    """Where something went wrong, but not the values: they may be somebody's.

    Args:
        error: as it was caught.

    Returns:
        File and line.
    """
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return "-" if last is None else f"{last.tb_frame.f_code.co_filename}:{last.tb_lineno}"


class ToJson(logging.Handler):
    """What libraries log, as lines of the same kind."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one.

        Args:
            record: as it was logged; ours name columns and items, never people.
        """
        say(
            "log",
            level=record.levelname.lower(),
            logger=record.name,
            message=record.getMessage(),
        )


def take_over() -> None:
    """Let everything that this process logs or warns of, whoever does, come out as such lines."""
    for name in ("uvicorn", "uvicorn.error", "shortlist"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING)
        logger.propagate, logger.handlers = True, []  # the command's notes are no JSON
    logging.getLogger().handlers = [ToJson(logging.WARNING)]
    logging.captureWarnings(capture=True)
