"""Structured logs: one JSON object a line on standard error."""

import logging
import sys
import time
from typing import Any

import msgspec

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


class ToJson(logging.Handler):
    """What libraries log, as lines of the same kind."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one.

        Args:
            record: as it was logged. Warnings of ours may name ids, so only their place is told.
        """
        words = record.getMessage() if not record.name.startswith("shortlist") else record.msg
        say("log", level=record.levelname.lower(), logger=record.name, message=str(words))
