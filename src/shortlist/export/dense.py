"""Retrievers as graphs: scores of the whole catalogue, and who is known."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.protocols import Retriever, State
from shortlist.data.queries import Queries
from shortlist.errors import ExportError
from shortlist.export.asking import Asking
from shortlist.export.content import cosines
from shortlist.export.towers import check_exact, item_matrix, query_vectors
from shortlist.export.weights import Lines, fits, spoken_for
from shortlist.retrieval.als import ALS
from shortlist.retrieval.blend import Blend
from shortlist.retrieval.content import Content
from shortlist.retrieval.ease import EASE
from shortlist.retrieval.graph_filter import GraphFilter
from shortlist.retrieval.neighbours import Neighbours
from shortlist.retrieval.next_item import NextItem
from shortlist.retrieval.popularity import Popularity
from shortlist.retrieval.sequence import SequenceTower
from shortlist.retrieval.two_tower import TwoTower

Scored: TypeAlias = tuple[str, str]  # (n, n_items + 1) float32 scores, (n,) bool who is known
_LEVEL = 1e-6  # as in retrieval.weights


def scores(asking: Asking, part: Retriever) -> Scored:
    """Scores of the whole catalogue; what stands in the last column means nothing.

    Args:
        asking: who asks.
        part: a fitted retriever.

    Returns:
        The names of (n, n_items + 1) float32 scores, and of (n,) bool whether the part knows the asker.

    Raises:
        ExportError: this kind of retriever cannot be a graph.
    """
    write = _WRITERS.get(type(part))
    if write is None:
        kinds = ", ".join(kind.name for kind in _WRITERS)
        msg = f"the retriever {part.name} cannot be a graph; {kinds} can. Leave it out of retrieve, or answer from the bundle"
        raise ExportError(msg)
    return write(asking, part)


def _vectors(asking: Asking, part: Any) -> Scored:
    check_exact(part)
    vectors, knows = query_vectors(asking, part)
    net = asking.net
    items = net.op("Transpose", item_matrix(net, part), perm=[1, 0])
    return net.op("MatMul", vectors, items), knows


def _popularity(asking: Asking, part: Any) -> Scored:
    net = asking.net
    line = net.constant(np.append(part.state().arrays["scores"], 0).astype(np.float32))
    shape = net.op("Concat", asking.size, net.ints(asking.n_items + 1), axis=0)
    everyone = net.op("Expand", net.constant(np.array([True])), asking.size)
    return net.op("Expand", line, shape), everyone


def _ease(asking: Asking, part: Any) -> Scored:
    return _ease_scores(asking, part, part.decay), asking.known_to(part)


def _ease_scores(asking: Asking, part: Any, decay: float, *, of: int = 1) -> str:
    net, held, n = asking.net, part.state().arrays, asking.n_items
    weights = np.asarray(held["weights"])
    if "own" not in held:
        return spoken_for(asking, decay, lambda rows: weights[rows], of=of)
    users = weights.shape[1]
    weights = weights.swapaxes(0, 1).reshape(users, -1)[:, :n]  # they come in strips of items
    # without its people, a file must not hold what each of them took: their lines are multiplied out
    if not asking.n_users or not fits(asking, 2 * weights.size, of=of):
        return spoken_for(asking, decay, _lines(part), of=of)
    items_of = sp.csr_array(
        (held["shares"], held["items"], held["offsets"]), shape=weights.shape
    ).toarray()
    signal = asking.signal(decay)
    shared = net.op("MatMul", signal, net.learned(_tall(items_of.T, n)))  # (n, users)
    found = net.op("MatMul", shared, net.learned(_wide(weights)))
    own = net.constant(np.append(held["own"], 0).astype(np.float32))
    return net.op("Sub", found, net.op("Mul", signal, own))


def _lines(part: Any) -> Lines:
    # of a linear model: what a history of one item alone speaks for
    return lambda rows: part.score_all(Queries.of_items(rows))


def _next_item(asking: Asking, part: Any) -> Scored:
    net, held = asking.net, part.state().arrays
    n, odds = asking.n_items, held.get("odds")
    of = len(part.decays) + (odds is not None) + bool(part.ease)
    near = [
        spoken_for(asking, decay, _strip(held["weights"], number * n), of=of)
        for number, decay in enumerate(part.decays)
    ]
    total = _log_above(asking, 0.01, net.op("Sum", *near))
    shares = np.append(np.float32(part.popularity) * held["shares"], 0).astype(np.float32)
    total = net.op("Add", total, net.constant(shares))
    if odds is not None:
        said = spoken_for(asking, part.odds_decay, _strip(odds, 0), of=of)
        total = net.op("Add", total, net.op("Mul", said, net.number(part.odds)))
    if part.ease:
        its = {
            name.removeprefix("ease "): array
            for name, array in held.items()
            if name.startswith("ease ")
        }
        ease = EASE.from_state(State({"decay": part.ease_decay}, its))
        found = _log_above(asking, 0.1, _ease_scores(asking, ease, part.ease_decay, of=of))
        total = net.op("Add", total, net.op("Mul", found, net.number(part.ease)))
    return total, asking.known_to(part)


def _strip(weights: NDArray[Any], first: int) -> Lines:
    return lambda rows: np.asarray(weights[first + rows], np.float32)


def _log_above(asking: Asking, floor: float, numbers: str) -> str:
    net = asking.net
    above = net.op("Add", net.op("Relu", numbers), net.number(floor))
    return net.op("Log", above)


def _graph_filter(asking: Asking, part: Any) -> Scored:
    net, held, n = asking.net, part.state().arrays, asking.n_items
    if (  # as for EASE
        "weights" in held
        or not asking.n_users
        or not fits(asking, (len(held["offsets"]) - 1) * n + held["basis"].size)
    ):
        return _linear(asking, part)
    scale = net.constant(np.append(held["scale"], 1).astype(np.float32))
    users = sp.csr_array(
        (held["numbers"], held["items"], held["offsets"]), shape=(len(held["offsets"]) - 1, n)
    ).toarray()
    even = net.op("Div", asking.signal(0.0), scale)
    table = net.learned(_wide(users))  # (users, n_items + 1)
    shared = net.op("MatMul", even, net.op("Transpose", table, perm=[1, 0]))
    near = net.op("MatMul", shared, table)
    basis = net.learned(_tall(held["basis"], n))  # (n_items + 1, rank)
    gains = net.constant(np.asarray(held["gains"], np.float32))
    along = net.op("Mul", net.op("MatMul", even, basis), gains)
    far = net.op("MatMul", along, net.op("Transpose", basis, perm=[1, 0]))
    both = net.op("Mul", net.op("Add", near, far), scale)
    return both, asking.known_to(part)


def _linear(asking: Asking, part: Any) -> Scored:
    return spoken_for(asking, 0.0, _lines(part)), asking.known_to(part)


def _content(asking: Asking, part: Any) -> Scored:
    return cosines(asking, part), asking.known_to(part)


def _blend(asking: Asking, part: Any) -> Scored:
    net = asking.net
    models, weights = part._fitted()
    found = [scores(asking, model) for model in models]
    known = [net.cast(knows, "float32") for _, knows in found]
    counts = [net.op("Mul", one, net.number(w)) for one, w in zip(known, weights, strict=True)]
    plain = net.op("Sum", *known)
    total = net.op("Sum", *counts)
    # whoever only parts of weight 0 know is answered by those; whoever none knows, by all weights
    spare = net.op("Equal", total, net.number(0.0))
    summed = None
    for (line, _), count, one, weight in zip(found, counts, known, weights, strict=True):
        nobody = net.op("Equal", plain, net.number(0.0))
        instead = net.op("Where", nobody, net.number(weight), one)
        share = net.op("Where", spare, instead, count)
        level = (_ranks if part.by == "ranks" else _z_scores)(asking, line)
        term = net.op("Mul", level, net.op("Unsqueeze", share, net.ints(1)))
        summed = term if summed is None else net.op("Add", summed, term)
    whole = net.op("Where", spare, net.op("Max", plain, net.number(1.0)), total)
    answer = net.op("Div", str(summed), net.op("Unsqueeze", whole, net.ints(1)))
    return answer, net.op("Greater", plain, net.number(0.0))


def _z_scores(asking: Asking, line: str) -> str:
    net, axis = asking.net, asking.net.ints(1)
    real = net.op("Slice", line, net.ints(0), net.ints(asking.n_items), axis)
    mean = net.op("ReduceMean", real, axis)
    apart = net.op("Sub", real, mean)
    spread = net.op("Sqrt", net.op("ReduceMean", net.op("Mul", apart, apart), axis))
    size = net.op("ReduceMax", net.op("Abs", real), axis)
    says = net.op("Greater", spread, net.op("Mul", size, net.number(_LEVEL)))
    inverse = net.op("Div", net.number(1.0), net.op("Where", says, spread, net.number(1.0)))
    scale = net.op("Where", says, inverse, net.number(0.0))
    return net.op("Mul", net.op("Sub", line, mean), scale)


def _ranks(asking: Asking, line: str) -> str:
    net, n = asking.net, asking.n_items
    real = net.op("Slice", line, net.ints(0), net.ints(n), net.ints(1))
    _, order = net.ops("TopK", real, net.ints(n), outputs=2, axis=1)
    worth = net.constant((1 / (60 + np.arange(1, n + 1))).astype(np.float32))
    wide = net.op("Expand", worth, net.op("Shape", order))
    return net.op("ScatterElements", net.op("Sub", line, line), order, wide, axis=1)


def _wide(weights: NDArray[Any]) -> NDArray[np.float32]:
    return np.pad(np.asarray(weights, np.float32), ((0, 0), (0, 1)))


def _tall(weights: NDArray[Any], n: int) -> NDArray[np.float32]:
    return np.pad(np.asarray(weights, np.float32), ((0, n + 1 - len(weights)), (0, 0)))


_WRITERS: Mapping[type[Any], Callable[[Asking, Any], Scored]] = {
    TwoTower: _vectors,
    SequenceTower: _vectors,
    ALS: _vectors,
    EASE: _ease,
    Content: _content,
    NextItem: _next_item,
    GraphFilter: _graph_filter,
    Neighbours: _linear,
    Popularity: _popularity,
    Blend: _blend,
}
