"""Several models as one: what a blend or a stack of them is saved as, and whom all of them let go of."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from shortlist.data.protocols import Fittable, Json, RemembersUsers, State
from shortlist.errors import ConfigError

Model = TypeVar("Model", bound=Fittable)
Part = TypeVar("Part")


def joined(
    models: Sequence[Model],
    known: Mapping[str, type[Model]],
    config: dict[str, Json],
    what: str,
) -> State:
    """Join the states of fitted models, their arrays and graphs by number.

    Args:
        models: the parts.
        known: the kinds that can be rebuilt, by name.
        config: of what they are parts of.
        what: it is, for messages.

    Returns:
        A State whose config holds ``parts`` beside ``config``.

    Raises:
        ConfigError: a part is of a kind that could not be rebuilt without running code.
    """
    for model in models:
        if known.get(model.name) is not type(model):
            msg = f"a {what} with a part of one's own, {type(model).__name__}, cannot be saved; it can hold {sorted(known)}"
            raise ConfigError(msg)
    states = [model.state() for model in models]
    parts = [
        {"name": model.name, "config": state.config}
        for model, state in zip(models, states, strict=True)
    ]
    arrays = {f"{i}-{key}": one for i, s in enumerate(states) for key, one in s.arrays.items()}
    graphs = {f"{i}-{key}": one for i, s in enumerate(states) for key, one in s.graphs.items()}
    return State({"parts": parts, **config}, arrays, graphs)


def taken_apart(state: State, known: Mapping[str, type[Model]], what: str) -> list[Model]:
    """Rebuild the models of a joined state.

    Args:
        state: what :func:`joined` gave.
        known: the kinds, by name.
        what: they are parts of, for messages.

    Returns:
        The fitted parts.

    Raises:
        ConfigError: a part is of a kind that this version does not know.
    """
    models = []
    for number, part in enumerate(state.config["parts"]):
        if part["name"] not in known:
            msg = f"the {what} holds a {part['name']!r}, which this version does not know; known are {sorted(known)}. Upgrade shortlist"
            raise ConfigError(msg)
        arrays = _numbered(state.arrays, number)
        graphs = _numbered(state.graphs, number)
        models.append(known[part["name"]].from_state(State(part["config"], arrays, graphs)))
    return models


def without_users(models: Sequence[Part], rows: NDArray[np.int64]) -> tuple[Part, ...]:
    """Let go of users.

    Args:
        models: fitted parts.
        rows: user rows, rising.

    Returns:
        The parts; those that hold nothing of single users are as they were.
    """
    return tuple(
        one.without_users(rows) if isinstance(one, RemembersUsers) else one for one in models
    )


def _numbered(values: Mapping[str, Any], number: int) -> dict[str, Any]:
    start = f"{number}-"
    return {key[len(start) :]: one for key, one in values.items() if key.startswith(start)}
