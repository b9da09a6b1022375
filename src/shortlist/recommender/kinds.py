"""What a recommender checks of its parts, and what it keeps of its rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.data.snapshot import Snapshot
from shortlist.errors import ConfigError
from shortlist.recommender.rules import Rule


@dataclass(frozen=True, eq=False)
class Standing:
    """The mask of the recommender's own rules, made once and not at each request."""

    snapshot: Snapshot
    rules: Sequence[Rule]
    mask: NDArray[np.bool_] | None


def several(given: Any) -> tuple[Any, ...]:
    """One part or several, as a tuple.

    Args:
        given: a part, or a list of them.

    Returns:
        A tuple.
    """
    return tuple(given) if isinstance(given, list | tuple) else (given,)


def check_kinds(given: Sequence[object], kind: type, what: str, example: str) -> None:
    """Insist on objects of a kind.

    Args:
        given: what was passed.
        kind: what each must be.
        what: its name, for messages.
        example: of one, for messages.

    Raises:
        ConfigError: one is something else, or a class instead of an object.
    """
    for part in given:
        if isinstance(part, type) or not isinstance(part, kind):
            msg = f"{part!r} is no {what}; give an object such as shortlist.{example}"
            raise ConfigError(msg)
