"""Retrievers with vectors, as graphs: two towers, the sequence tower, ALS.

A known user's vector is what the bundle gives for them, and is kept; a guest's is made in the graph
from the history they bring.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.data.protocols import Retriever
from shortlist.data.ragged import times_table
from shortlist.errors import ExportError
from shortlist.export.asking import Asking
from shortlist.export.merged import merged
from shortlist.export.net import Net
from shortlist.retrieval.als import ALS
from shortlist.retrieval.sequence import SequenceTower
from shortlist.retrieval.towers import AnsweringTowers
from shortlist.retrieval.two_tower import TwoTower

VectorRetriever = TwoTower | SequenceTower | ALS


def query_vectors(asking: Asking, part: VectorRetriever) -> tuple[str, str]:
    """Vectors of the askers.

    Args:
        asking: who asks.
        part: a fitted retriever.

    Returns:
        (n, d) float32 vectors, and (n,) bool whether the part knows the asker.
    """
    net = asking.net
    known = part.encode(asking.queries)
    vectors = net.learned(np.concatenate([known, np.zeros((1, known.shape[1]), np.float32)]))
    kept = net.op("Gather", vectors, asking.user)
    asking.prepare()

    def with_guests() -> list[str]:
        if isinstance(part, TwoTower):
            made = _tower(asking, part)
        elif isinstance(part, SequenceTower):
            made = _sequence(asking, part)
        else:
            made = _regression(asking, part)
        return [net.op("Where", asking.stranger, made, kept)]

    (answer,) = net.when(asking.anyone_brings, with_guests, lambda: [kept])
    return answer, asking.known_to(part)


def item_matrix(net: Net, part: VectorRetriever) -> str:
    """The item vectors, and zeros for no item.

    Args:
        net: that grows.
        part: a fitted retriever.

    Returns:
        (n_items + 1, d) float32.
    """
    return net.learned(_with_nothing(part.item_vectors))


def is_exact(part: Retriever) -> bool:
    """Whether a retriever's index finds what the dot products say.

    Args:
        part: a retriever.

    Returns:
        False for approximate indexes.
    """
    return getattr(part, "index", "exact") == "exact"


def _with_nothing(table: NDArray[Any]) -> NDArray[np.float32]:
    nothing = np.zeros((1, table.shape[1]), np.float32)
    return np.concatenate([np.asarray(table, np.float32), nothing])


def _tower(asking: Asking, part: TwoTower) -> str:
    net, towers = asking.net, AnsweringTowers.from_state(part.state(), part)
    side, table = towers.sides[0], towers.tables["user"]
    guest = asking.snapshot.guest()
    base = times_table(side.encode(guest.user_rows, guest.users), table[: side.static_columns])
    if towers.context is not None:
        base = base + towers.tables["context_mean"]
    pooled = None
    if side.has_id:  # the guess stands in the place of the unknown user's embedding
        lines = towers.tables["guest"]
        base = base + lines[-1] - table[side.n_rows]
        pooled = _mean(asking, asking.latest, _with_nothing(lines[:-1]))
    if side.history:
        near = net.op("Less", asking.places, net.ints(side.history))
        read = net.op("And", asking.latest, near)
        history = _mean(asking, read, _with_nothing(table[side.static_columns :]))
        pooled = history if pooled is None else net.op("Add", pooled, history)
    start = net.constant(np.asarray(base, np.float32))
    if pooled is None:  # the tower reads columns of the user only, which a guest does not bring
        shape = net.op("Concat", asking.size, net.ints(1), axis=0)
        pooled = net.zeros(shape, np.float32)
    pooled = net.op("Add", pooled, start)
    graph = towers.graphs.get("user")
    made = pooled if graph is None else merged(net, graph, {"x": pooled})
    return net.op("Div", made, net.number(towers.temperature))


def _mean(asking: Asking, which: str, table: NDArray[np.float32]) -> str:
    net = asking.net
    ones = net.cast(which, "float32")
    count = net.op("ReduceSum", ones, net.ints(1))
    total = asking.summed(ones, net.learned(table))
    return net.op("Div", total, net.op("Max", count, net.number(1.0)))


def _sequence(asking: Asking, part: SequenceTower) -> str:
    # the latest entries to the right, padding before them
    net, state = asking.net, part.state()
    wide = net.op("Shape", asking.history, start=1, end=2)
    places = net.op("Min", wide, net.ints(part.length))  # (1,)
    near = net.op("And", asking.read, net.op("Less", asking.places, places))
    last = net.op("Sub", net.op("Sub", places, net.ints(1)), asking.places)
    to = net.op("Where", near, last, places)
    shape = net.op("Concat", asking.size, net.op("Add", places, net.ints(1)), axis=0)
    nothing = net.op("Expand", net.ints(-1), shape)
    moved = net.op("ScatterElements", nothing, to, asking.history, axis=1)
    rows = net.op("Slice", moved, net.ints(0), places, net.ints(1))
    items = net.learned(part.item_vectors)
    return merged(net, state.graphs["history"], {"rows": rows, "items": items})


def _regression(asking: Asking, part: ALS) -> str:
    # A p = b by conjugate gradients, A = a Q'Q + sum of q q' + ridge: exact after dim rounds but for rounding
    net, step = asking.net, part.state().config["half_step"]
    items = part.item_vectors
    dim = items.shape[1]
    table = net.learned(_with_nothing(items))
    ones = net.cast(asking.latest, "float32")
    count = net.op("ReduceSum", ones, net.ints(1))  # (n, 1)
    own = net.op(
        "Mul", net.op("Gather", table, asking.history), net.op("Unsqueeze", ones, net.ints(2))
    )
    flipped = net.op("Transpose", own, perm=[0, 2, 1])
    shared = net.op("MatMul", flipped, own)  # (n, dim, dim)
    gram = np.float32(step["unobserved"]) * (items.T @ items)
    less = net.op("Add", count, net.number(step["unobserved"] * len(items)))
    ridge = net.op(
        "Mul", net.op("Pow", less, net.number(step["scaling"])), net.number(step["l2"])
    )
    eye = net.constant(np.eye(dim, dtype=np.float32))
    diagonal = net.op("Mul", net.op("Unsqueeze", ridge, net.ints(2)), eye)
    system = net.op("Add", net.op("Add", shared, net.constant(gram)), diagonal)
    right = net.op("Unsqueeze", asking.summed(ones, table), net.ints(2))  # (n, dim, 1)
    return net.op("Squeeze", _solved(asking, system, right, dim), net.ints(2))


def _solved(asking: Asking, system: str, right: str, dim: int) -> str:
    net = asking.net
    least = net.number(1e-30)

    def dot(one: str, other: str) -> str:
        return net.op("ReduceSum", net.op("Mul", one, other), net.ints(1))  # (n, 1, 1)

    x = net.op("Sub", right, right)
    rest, way, size = right, right, dot(right, right)
    for _ in range(dim):
        along = net.op("MatMul", system, way)
        step = net.op("Div", size, net.op("Max", dot(way, along), least))
        x = net.op("Add", x, net.op("Mul", step, way))
        rest = net.op("Sub", rest, net.op("Mul", step, along))
        after = dot(rest, rest)
        turn = net.op("Div", after, net.op("Max", size, least))
        way, size = net.op("Add", rest, net.op("Mul", turn, way)), after
    return x


def check_exact(part: Retriever) -> None:
    """Refuse an approximate index.

    Args:
        part: a retriever.

    Raises:
        ExportError: its index may miss what the file finds.
    """
    if not is_exact(part):
        msg = f"{part.name} answers through an approximate index, which a file does not hold. Export with --part user and ask your index, or fit with index='exact'"
        raise ExportError(msg)
