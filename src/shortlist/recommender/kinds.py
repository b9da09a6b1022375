"""What a recommender checks of its parts, and what it keeps of its rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.data.protocols import Reranker
from shortlist.data.snapshot import Snapshot
from shortlist.errors import ConfigError
from shortlist.recommender.rules import Rule


@dataclass(frozen=True, eq=False)
class Standing:
    """The mask of the recommender's own rules, made once and not at each request."""

    snapshot: Snapshot
    rules: Sequence[Rule]
    mask: NDArray[np.bool_] | None


def several(given: Any, kind: type, what: str, example: str) -> tuple[Any, ...]:
    """One part or several, as a tuple.

    Args:
        given: a part, or a list of them.
        kind: what each must be.
        what: its name, for messages.
        example: of one, for messages.

    Returns:
        A tuple.

    Raises:
        ConfigError: one is something else, or a class instead of an object.
    """
    parts = given if isinstance(given, list | tuple) else (given,)
    for part in parts:
        if isinstance(part, type) or not isinstance(part, kind):
            msg = f"{part!r} is no {what}; give an object such as shortlist.{example}"
            raise ConfigError(msg)
    return tuple(parts)


def rerankers_of(given: Reranker | Sequence[Reranker]) -> tuple[Reranker, ...]:
    """One re-ranker or several, as a tuple.

    Args:
        given: a re-ranker, or a list of them.

    Returns:
        A tuple.

    Raises:
        ConfigError: as for :func:`several`.
    """
    return several(given, Reranker, "re-ranker", "rerank.Diverse(0.2)")


def rules_of(given: Rule | Sequence[Rule]) -> tuple[Rule, ...]:
    """One rule or several, as a tuple.

    Args:
        given: a rule, or a list of them.

    Returns:
        A tuple.

    Raises:
        ConfigError: as for :func:`several`.
    """
    return several(given, Rule, "rule", "rules.Where('year > 1990')")
