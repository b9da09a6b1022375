"""Rankers of ratings as graphs: a number for each pair of an asker and an item."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shortlist.data.protocols import Ranker, State
from shortlist.data.ragged import times_table
from shortlist.data.sides import Side
from shortlist.data.snapshot import Snapshot
from shortlist.errors import ExportError
from shortlist.export.merged import merged
from shortlist.export.net import Net
from shortlist.ranking.biases import Biases
from shortlist.ranking.factorisation import Factorisation
from shortlist.ranking.network import RatingNetwork
from shortlist.ranking.stack import Stack

Writer: TypeAlias = Callable[[Net, Snapshot, Any, str, str], str]


def predictions(net: Net, snapshot: Snapshot, part: Ranker, user: str, items: str) -> str:
    """Predicted ratings.

    Args:
        net: that grows.
        snapshot: knows users and items.
        part: a fitted ranker.
        user: (n,) int64 user rows; ``n_users`` for someone unknown.
        items: (n, m) int64 item rows; ``n_items`` for an unknown item.

    Returns:
        The name of (n, m) float32.

    Raises:
        ExportError: this kind of ranker cannot be a graph.
    """
    write = _WRITERS.get(type(part))
    if write is None:
        kinds = ", ".join(kind.name for kind in _WRITERS)
        msg = (
            f"the ranker {part.name} cannot be a graph of pairs of ids; {kinds} can. One of lists is exported with the "
            "whole; else export the first stage with --part retriever"
        )
        raise ExportError(msg)
    return write(net, snapshot, part, user, items)


def _biases(net: Net, snapshot: Snapshot, part: Any, user: str, items: str) -> str:
    return _biases_of(net, part.state(), user, items)


def _biases_of(net: Net, state: State, user: str, items: str) -> str:
    # both end with 0, for whoever and whatever is unknown
    mean = float(state.config["mean"])
    generous = net.constant((np.asarray(state.arrays["users"]) + mean).astype(np.float32))
    liked = net.constant(np.asarray(state.arrays["items"]).astype(np.float32))
    own = net.op("Unsqueeze", net.op("Gather", generous, user), net.ints(1))
    return net.op("Add", net.op("Gather", liked, items), own)


def _network(net: Net, snapshot: Snapshot, part: Any, user: str, items: str) -> str:
    state = part.state()
    people = user_lines(snapshot, Side.from_json(state.config["sides"][0]), state)
    own = net.op("Gather", net.learned(people), user)  # (n, dim)
    things = net.op("Gather", net.learned(np.asarray(state.arrays["items"])), items)
    shape = net.op("Shape", things)  # (n, m, dim)
    wide = net.op("Expand", net.op("Unsqueeze", own, net.ints(1)), shape)
    pairs = net.op("Concat", wide, things, axis=2)
    width = people.shape[1] + int(np.asarray(state.arrays["items"]).shape[1])
    flat = net.op("Reshape", pairs, net.ints(-1, width))
    numbers = merged(net, state.graphs["layers"], {"x": flat})
    left = net.op("Reshape", numbers, net.op("Shape", items))
    arrays = {name: state.arrays[f"{name}_biases"] for name in ("users", "items")}
    biases = State(state.config["biases"], arrays)
    return net.op("Add", _biases_of(net, biases, user, items), left)


def _factorisation(net: Net, snapshot: Snapshot, part: Any, user: str, items: str) -> str:
    # the draws stand side by side, so that one product is the sum over them
    fitted = part._fitted()
    known = snapshot.queries_of_rows(np.arange(snapshot.n_users, dtype=np.int32))
    bias, factors = [], []
    for queries in (known, snapshot.guest()):
        asked = fitted.askers(queries, implicit=part.implicit)
        mood, _ = fitted.moods.at(queries.user_rows, np.full(len(queries), np.nan))
        bias.append(asked.bias.mean(axis=1, dtype=np.float64) + mood)
        factors.append(asked.factors / asked.bias.shape[1])
    held, scale = fitted.posterior, fitted.scale
    own = net.constant((np.concatenate(bias) * scale.spread + scale.mean).astype(np.float32))
    its = held.item_bias.mean(axis=1, dtype=np.float64) * scale.spread
    people = net.learned(np.concatenate(factors) * np.float32(scale.spread))
    vectors = net.op("Unsqueeze", net.op("Gather", people, user), net.ints(2))
    things = net.op("Gather", net.learned(held.item_factors), items)  # (n, m, draws * dim)
    dots = net.op("Squeeze", net.op("MatMul", things, vectors), net.ints(2))
    both = net.op("Add", dots, net.op("Gather", net.constant(its.astype(np.float32)), items))
    value = net.op("Add", both, net.op("Unsqueeze", net.op("Gather", own, user), net.ints(1)))
    if not part.clip:
        return value
    return net.op("Clip", value, net.number(scale.low), net.number(scale.high))


def _stack(net: Net, snapshot: Snapshot, part: Any, user: str, items: str) -> str:
    fitted = part._fitted()
    total = net.number(float(fitted.weights[-1]))
    for model, weight in zip(fitted.models, fitted.weights[:-1], strict=True):
        told = predictions(net, snapshot, model, user, items)
        total = net.op("Add", total, net.op("Mul", told, net.number(float(weight))))
    if not part.clip:
        return total
    low, high = fitted.scale
    return net.op("Clip", total, net.number(low), net.number(high))


def user_lines(snapshot: Snapshot, side: Side, state: State) -> NDArray[np.float32]:
    """What the network reads of each user.

    Args:
        snapshot: knows the users.
        side: the users' features.
        state: of the network.

    Returns:
        (n_users + 1, dim); the last line is of someone unknown.
    """
    known = snapshot.queries_of_rows(np.arange(snapshot.n_users, dtype=np.int32))
    guest = snapshot.guest()
    table = np.asarray(state.arrays["user_table"], np.float32)
    lines = [
        times_table(side.encode(asked.user_rows, asked.users), table)
        for asked in (known, guest)
    ]
    return np.concatenate(lines).astype(np.float32)


_WRITERS: Mapping[type[Any], Writer] = {
    Biases: _biases,
    RatingNetwork: _network,
    Factorisation: _factorisation,
    Stack: _stack,
}
