"""What every part must do about a user who is to be forgotten."""

from collections.abc import Callable

import numpy as np

from shortlist.data.protocols import Fittable, RemembersUsers
from shortlist.testing.asking import fitted, insist, world


def nothing_of_a_user_stays(make: Callable[[], Fittable]) -> None:
    """A part whose state has a line for each user can take lines out: ``without_users``."""
    model, n_users = fitted(make), len(world().user_vocabulary)
    if not isinstance(model, RemembersUsers):
        held = _per_user(model, n_users)
        insist(not held, f"{held} have a line for each user: without_users() must take it out")
        return
    before = _shapes(model)
    left = model.without_users(np.array([0, 3, n_users - 1]))
    held = _per_user(left, n_users)
    insist(not held, f"{held} still have a line for each user after without_users()")
    insist(_shapes(model) == before, "without_users() must leave the model itself as it was")


def _per_user(model: Fittable, n_users: int) -> list[str]:
    # n_users, or one more for the unknown or the offsets
    return [
        name
        for name, array in model.state().arrays.items()
        if array.ndim and array.shape[0] in {n_users, n_users + 1}
    ]


def _shapes(model: Fittable) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in model.state().arrays.items()}
