"""Rankers of lists as graphs: the features of each pair are computed as the bundle does.

What is known of a known user is kept in the file; what a guest brings is summed up in the graph.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shortlist.data.protocols import State
from shortlist.data.queries import Queries
from shortlist.export.asking import Asking
from shortlist.export.merged import merged
from shortlist.ranking.boosted import Boosted
from shortlist.ranking.list_network import ListNetwork
from shortlist.ranking.pairs import NOT_PROPOSED, PairFeatures

ListRanker: TypeAlias = Boosted | ListNetwork
_WINDOWS = (1, 3, 10)  # last items, as in ranking.pairs
_NO_PLACE = 1_000.0
_ACTIVITY = 0  # the place of log(1 + rows) among what is known of an asker


@dataclass(frozen=True)
class Proposal:
    """What one retriever proposes, as values of the graph.

    Attributes:
        name: of the retriever.
        line: (n, n_items + 1) float32 scores, -inf for what may not be answered.
        rows: (n, width) int64 its best items.
        there: (n, width) bool whether something stands there.
    """

    name: str
    line: str
    rows: str
    there: str


def list_values(asking: Asking, part: ListRanker, rows: str, proposed: list[Proposal]) -> str:
    """What a list model orders candidates by.

    Args:
        asking: who asks.
        part: a fitted list model.
        rows: (n, m) int64 candidates; ``n_items`` where nothing stands.
        proposed: by the retrievers.

    Returns:
        The name of (n, m) float32.
    """
    net, state = asking.net, part.state()
    features = _features(state)
    held = Pairs(asking, features)
    by_name = {one.name: one for one in proposed}
    columns = [
        column for name in features.sources for column in held.proposal(rows, by_name.get(name))
    ]
    columns += [*held.nearness(rows), held.facts(rows), *held.distances(rows), held.about(rows)]
    x = net.op("Concat", *columns, axis=2)  # (n, m, features)
    flat = net.op("Reshape", x, net.ints(-1, len(features.names)))
    if isinstance(
        part, Boosted
    ):  # thresholds are float64: a rounded one would send equal values elsewhere
        told = merged(
            net, state.graphs["trees"], {"x": net.cast(flat, "float64")}, single=False
        )
        told = net.cast(told, "float32")
    else:
        told = merged(net, state.graphs["layers"], {"x": flat})
    first = net.op("Slice", told, net.ints(0), net.ints(1), net.ints(1))
    return net.op("Reshape", first, net.op("Shape", rows))


class Pairs:
    """Columns of features, each (n, m, c) float32.

    Args:
        asking: who asks.
        features: what is read.
    """

    def __init__(self, asking: Asking, features: PairFeatures) -> None:
        self.asking, self.net, self.features = asking, asking.net, features
        read = self.net.cast(asking.read, "float32")
        self.read = read  # (n, h + 1) entries of guests that count, repeats too
        self.count = self.net.op("ReduceSum", read, self.net.ints(1))  # (n, 1)

    def proposal(self, rows: str, one: Proposal | None) -> list[str]:
        """Score and place of the candidates in one retriever's list.

        Args:
            rows: (n, m) candidates.
            one: the list; None where the retriever is not asked.

        Returns:
            Two columns.
        """
        net = self.net
        if one is None:
            zeros = net.op("Mul", net.cast(rows, "float32"), net.number(0.0))
            none = (NOT_PROPOSED, float(np.log(_NO_PLACE)))
            return [self._wide(net.op("Add", zeros, net.number(value))) for value in none]
        width = net.op("Shape", one.rows, start=1, end=2)
        ranks = net.cast(net.op("Add", net.count(width), net.ints(1)), "float32")
        ranks = net.op("Where", one.there, ranks, net.number(0.0))
        zeros = net.zeros(net.op("Shape", one.line), np.float32)
        placed = net.op("ScatterElements", zeros, one.rows, ranks, axis=1)
        rank = net.op("GatherElements", placed, rows, axis=1)  # (n, m), 0 where not proposed
        there = net.op("Greater", rank, net.number(0.0))
        place = net.op("Log", net.op("Max", rank, net.number(1.0)))
        place = net.op("Where", there, place, net.number(float(np.log(_NO_PLACE))))
        score = net.op("GatherElements", one.line, rows, axis=1)
        return [self._wide(self._levelled(score, there)), self._wide(place)]

    def nearness(self, rows: str) -> list[str]:
        """How alike the candidates are to the last items, and how often they follow them.

        Args:
            rows: (n, m) candidates.

        Returns:
            Six columns.
        """
        net, n_items = self.net, self.asking.n_items
        last = self._last()
        near = self.features.near
        found = []
        for kind in (near[:, :n_items], near[:, n_items:]):
            items, likeness = _padded(sp.csr_array(kind), n_items)
            table, said = net.constant(items), net.learned(likeness)
            total, first = None, 0
            for window in _WINDOWS:
                some = net.op(
                    "Slice", last, net.ints(first), net.ints(window), net.ints(1)
                )  # (n, places), the last one first
                sums = self._summed(some, table, said)
                total = sums if total is None else net.op("Add", total, sums)
                found.append(self._wide(net.op("GatherElements", total, rows, axis=1)))
                first = window
        return found

    def facts(self, rows: str) -> str:
        """What is known of the candidates.

        Args:
            rows: (n, m) candidates.

        Returns:
            A column for each fact.
        """
        return self.net.op("Gather", self.net.constant(self.features.items), rows)

    def distances(self, rows: str) -> list[str]:
        """How far tags and numbers of the candidates are from those of the history.

        Args:
            rows: (n, m) candidates.

        Returns:
            A column for each column of tags, and one for all numbers.
        """
        net, features = self.net, self.features
        found = []
        for lines in features.tags:
            mix = net.op("Unsqueeze", self._mean(lines), net.ints(2))  # (n, t, 1)
            found.append(net.op("MatMul", net.op("Gather", net.constant(lines), rows), mix))
        first = features.items.shape[1] - len(features.item.names)
        numbers = features.items[:, first : first + len(features.item.numbers)]
        if numbers.shape[1]:
            means = net.op("Unsqueeze", self._mean(numbers), net.ints(1))
            own = net.op("Gather", net.constant(np.ascontiguousarray(numbers)), rows)
            found.append(net.op("Sub", own, means))
        return found

    def about(self, rows: str) -> str:
        """What is known of the askers, the same for all their candidates.

        Args:
            rows: (n, m) candidates.

        Returns:
            A column for each fact.
        """
        net, features, asking = self.net, self.features, self.asking
        known = features._of_users(asking.queries)
        guest = features._of_users(asking.snapshot.guest())
        kept = net.op("Gather", net.constant(np.concatenate([known, guest])), asking.user)
        activity = np.zeros((1, guest.shape[1]), np.float32)
        activity[0, _ACTIVITY] = 1.0
        taken = net.op("Log", net.op("Add", self.count, net.number(1.0)))
        kept = net.op("Add", kept, net.op("Mul", taken, net.constant(activity)))
        shape = net.op("Shape", rows)
        wide = net.op("Concat", shape, net.ints(guest.shape[1]), axis=0)
        return net.op("Expand", net.op("Unsqueeze", kept, net.ints(1)), wide)

    def _wide(self, column: str) -> str:
        return self.net.op("Unsqueeze", column, self.net.ints(2))

    def _levelled(self, score: str, there: str) -> str:
        # z-scores over what was proposed, in float64 as the bundle computes them
        net, axis = self.net, self.net.ints(1)
        zero, one = (net.constant(np.array(value, np.float64)) for value in (0, 1))
        held = net.op("Where", there, net.cast(score, "float64"), zero)
        count = net.op("ReduceSum", net.cast(there, "float64"), axis)
        count = net.op("Max", count, one)
        mean = net.op("Div", net.op("ReduceSum", held, axis), count)
        rest = net.op("Where", there, net.op("Sub", held, mean), zero)
        square = net.op("ReduceSum", net.op("Mul", rest, rest), axis)
        spread = net.op("Sqrt", net.op("Div", square, count))
        spread = net.op("Where", net.op("Greater", spread, zero), spread, one)
        level = net.cast(net.op("Div", rest, spread), "float32")
        return net.op("Where", there, level, net.number(NOT_PROPOSED))

    def _last(self) -> str:
        # (n, 10) int64 the latest liked items, the last one first; n_items where there are fewer
        net, asking, most = self.net, self.asking, _WINDOWS[-1]
        kept = net.op(
            "Gather",
            net.constant(_last_liked(asking.queries, most, asking.n_items)),
            asking.user,
        )
        near = net.op("And", asking.read, net.op("Less", asking.places, net.ints(most)))
        to = net.op("Where", near, asking.places, net.ints(most))
        shape = net.op("Concat", asking.size, net.ints(most + 1), axis=0)
        nothing = net.op("Expand", net.ints(asking.n_items), shape)
        moved = net.op("ScatterElements", nothing, to, asking.history, axis=1)
        own = net.op("Slice", moved, net.ints(0), net.ints(most), net.ints(1))
        return net.op("Where", asking.stranger, own, kept)

    def _summed(self, some: str, table: str, said: str) -> str:
        # (n, places) items to (n, n_items + 1) sums of their likenesses
        net, asking = self.net, self.asking
        near = net.cast(net.op("Gather", table, some), "int64")  # (n, places, most)
        start = net.op("Unsqueeze", asking.line_starts, net.ints(2))
        shape = net.op("Concat", asking.size, net.ints(asking.n_items + 1), axis=0)
        total = net.op(
            "ScatterElements",
            net.zeros(net.op("ReduceProd", shape, keepdims=1), np.float32),
            net.op("Reshape", net.op("Add", near, start), net.ints(-1)),
            net.op("Reshape", net.op("Gather", said, some), net.ints(-1)),
            axis=0,
            reduction="add",
        )
        return net.op("Reshape", total, shape)

    def _mean(self, lines: NDArray[np.float32]) -> str:
        # (n, c) means of the lines of what the askers liked; lines is (n_items + 1, c)
        net, asking = self.net, self.asking
        queries = asking.queries
        liked = queries.history_liked
        offsets = np.concatenate([[0], np.cumsum(queries.liked_counts)])
        ones = np.ones(int(offsets[-1]), np.float32)
        held = sp.csr_array(
            (ones, queries.history_rows[liked], offsets), shape=(len(queries), len(lines))
        )
        counts = np.maximum(queries.liked_counts, 1).astype(np.float32)
        known = np.asarray((held @ lines) / counts[:, None], np.float32)
        kept = net.op("Gather", net.constant(np.pad(known, ((0, 1), (0, 0)))), asking.user)
        total = asking.summed(self.read, net.constant(np.ascontiguousarray(lines)))
        own = net.op("Div", total, net.op("Max", self.count, net.number(1.0)))
        return net.op("Where", asking.stranger, own, kept)


def _features(state: State) -> PairFeatures:
    start = "pairs-"
    facts = {k[len(start) :]: a for k, a in state.arrays.items() if k.startswith(start)}
    return PairFeatures.from_parts(state.config["features"], facts)


def _padded(near: sp.csr_array, n_items: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    # (n_items + 1, most) neighbours and likenesses; n_items where there are fewer
    lengths = np.diff(near.indptr)
    most = max(1, int(lengths.max(initial=0)))
    items = np.full((n_items + 1, most), n_items, np.int32)
    likeness = np.zeros((n_items + 1, most), np.float32)
    line = np.repeat(np.arange(n_items), lengths)
    place = np.arange(len(line)) - np.repeat(near.indptr[:-1], lengths)
    items[line, place], likeness[line, place] = near.indices, near.data
    return items, likeness


def _last_liked(queries: Queries, most: int, n_items: int) -> NDArray[np.int64]:
    # (n + 1, most) of each user, the last one first
    last = np.full((len(queries) + 1, most), n_items, np.int64)
    liked = np.flatnonzero(queries.history_liked)
    asker = queries.askers[liked]
    back = np.cumsum(queries.liked_counts)[asker] - 1 - np.arange(len(liked))
    late = back < most
    last[asker[late], back[late]] = queries.history_rows[liked[late]]
    return last
