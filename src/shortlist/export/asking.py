"""Who asks, inside the graph: ids become rows, and histories become weights over the items.

A known user's history is in the file, a line of entries for each; a guest brings theirs. Everywhere,
row ``n_items`` stands for no item: padding, and ids that are not known.
"""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shortlist.data.protocols import Retriever
from shortlist.data.queries import LIGHTEST, Queries
from shortlist.data.snapshot import Snapshot
from shortlist.errors import ExportError
from shortlist.export.net import Net


class Asking:
    """The askers of a graph; declares the inputs ``user_id`` (batch,) and ``history`` (batch, h).

    Args:
        net: that grows.
        snapshot: knows the ids and the histories.

    Attributes:
        user: (n,) int64 user rows; ``n_users`` for someone unknown.
        named: (n, h + 1) int64 item rows of the history that is brought, whoever brings it.
        history: the same for guests; ``n_items`` for known users.
    """

    def __init__(self, net: Net, snapshot: Snapshot) -> None:
        self.net, self.snapshot = net, snapshot
        self.n_users, self.n_items = snapshot.n_users, snapshot.n_items
        self.item_ids = texts(snapshot.item_vocabulary.ids.cast(str).to_list())
        users = texts(snapshot.user_vocabulary.ids.cast(str).to_list())
        asked = net.input("user_id", "string", "batch")
        brought = net.input("history", "string", "batch", "h")
        self.user = net.lookup(asked, users)
        self.size = net.op("Shape", asked)  # (1,)
        stranger = net.op("Equal", self.user, net.ints(self.n_users))
        self.stranger = net.op("Unsqueeze", stranger, net.ints(1))  # (n, 1)
        self.named = self.padded(net.lookup(brought, self.item_ids))
        self.history = net.op("Where", self.stranger, self.named, net.ints(self.n_items))
        self.read = net.op(  # (n, h + 1) bool: entries that name a known item
            "Not", net.op("Equal", self.history, net.ints(self.n_items))
        )

    @cached_property
    def queries(self) -> Queries:
        """Every known user, with the history that the bundle has of them."""
        return self.snapshot.queries_of_rows(np.arange(self.n_users, dtype=np.int32))

    def prepare(self) -> None:
        """Add what a branch of the graph may need, outside of it: what a branch makes stays in it."""
        _ = self.latest, self.places, self.brings, self.line_starts

    def padded(self, rows: str) -> str:
        """Add a column of no item: nothing has width 0 then.

        Args:
            rows: (n, m) int64.

        Returns:
            (n, m + 1).
        """
        net = self.net
        column = net.op("Concat", self.size, net.ints(1), axis=0)
        nothing = net.op("Expand", net.ints(self.n_items), column)
        return net.op("Concat", rows, nothing, axis=1)

    @cached_property
    def brings(self) -> str:
        """(n,) bool: guests whose history names a known item."""
        return self._any_of(self.read)

    def known_to(self, part: Retriever) -> str:
        """Known users whom a retriever knows, and guests whose history tells it something.

        Args:
            part: a fitted retriever.

        Returns:
            (n,) bool.
        """
        net = self.net
        every = np.arange(self.n_items, dtype=np.int32)
        learned = net.constant(np.append(part.knows(Queries.of_items(every)), False))
        brings = self._any_of(net.op("Gather", learned, self.history))
        users = net.constant(np.append(part.knows(self.queries), False))
        return net.op("Or", net.op("Gather", users, self.user), brings)

    def _any_of(self, entries: str) -> str:
        # (n, h + 1) bool to (n,)
        net = self.net
        most = net.op("ReduceMax", net.cast(entries, "int32"), net.ints(1), keepdims=0)
        return net.cast(most, "bool")

    @cached_property
    def anyone_brings(self) -> str:
        """() bool: whether any guest does."""
        net = self.net
        most = net.op("ReduceMax", net.cast(self.brings, "int32"), keepdims=0)
        return net.cast(most, "bool")

    def from_end(self, which: str) -> str:
        """How many of the chosen entries follow each one.

        Args:
            which: (n, h + 1) bool.

        Returns:
            (n, h + 1) int64.
        """
        net = self.net
        ones = net.cast(which, "int64")
        so_far = net.op("CumSum", ones, net.constant(np.array(1, np.int64)))
        return net.op("Sub", net.op("ReduceSum", ones, net.ints(1)), so_far)

    @cached_property
    def places(self) -> str:
        """(n, h + 1) int64: steps back from the latest entry of a guest; repeats count."""
        return self.from_end(self.read)

    @cached_property
    def latest(self) -> str:
        """(n, h + 1) bool: the latest entry of each item that a guest brings."""
        net = self.net

        def marked() -> list[str]:
            shape = net.op("Shape", self.history)
            width = net.op("Shape", self.history, start=1, end=2)
            at = net.cast(net.op("Expand", net.count(width), shape), "int32")
            lines = net.op("Concat", self.size, net.ints(self.n_items + 1), axis=0)
            zeros = net.zeros(lines, np.int32)
            last = net.op("ScatterElements", zeros, self.history, at, axis=1, reduction="max")
            own = net.op("Equal", net.op("GatherElements", last, self.history, axis=1), at)
            return [net.op("And", own, self.read)]

        return net.when(self.anyone_brings, marked, lambda: [self.read])[0]

    @cached_property
    def back(self) -> str:
        """(n, h + 1) int64: steps back from the latest item of a guest, repeats left out."""
        return self.from_end(self.latest)

    def weighed(self, back: str, counts: str | None, decay: float) -> str:
        """``exp(-decay * back)``, 0 below ``LIGHTEST`` and for entries that do not count.

        Args:
            back: int64 steps, of any shape.
            counts: bool of the same shape; None where all count.
            decay: per step.

        Returns:
            float32 of the same shape.
        """
        net = self.net
        steps = net.cast(back, "float32")
        weights = net.op("Exp", net.op("Mul", steps, net.number(-decay)))
        heavy = net.op("GreaterOrEqual", weights, net.number(LIGHTEST))
        kept = heavy if counts is None else net.op("And", heavy, counts)
        return net.op("Where", kept, weights, net.number(0.0))

    def summed(self, weights: str, table: str) -> str:
        """Lines of a table, summed over what guests bring.

        Args:
            weights: (n, h + 1) float32.
            table: (n_items + 1, d) float32.

        Returns:
            (n, d) float32.
        """
        net = self.net
        lines = net.op("Gather", table, self.history)  # (n, h + 1, d)
        total = net.op("MatMul", net.op("Unsqueeze", weights, net.ints(1)), lines)
        return net.op("Squeeze", total, net.ints(1))

    @cached_property
    def line_starts(self) -> str:
        """(n, 1) int64: where each asker's line begins in a flat (n, n_items + 1) array."""
        net = self.net
        numbers = net.op("Mul", net.count(self.size), net.ints(self.n_items + 1))
        return net.op("Unsqueeze", numbers, net.ints(1))

    def cells(self, rows: str) -> str:
        """Flat positions of items in an (n, n_items + 1) array.

        Args:
            rows: (n, m) int64.

        Returns:
            (n * m,) int64.
        """
        net = self.net
        return net.op("Reshape", net.op("Add", rows, self.line_starts), net.ints(-1))

    def lines(self, offsets: NDArray[np.int64]) -> tuple[str, str]:
        """The entries that the file keeps of each asker, one after the other.

        Args:
            offsets: (n_users + 1,).

        Returns:
            The asker of each entry and its position in the flat entries, both (total,) int64.
        """
        net = self.net
        first = np.append(offsets[:-1], 0)
        count = np.append(np.diff(offsets), 0)
        begin = net.op("Gather", net.constant(first), self.user)
        counts = net.op("Gather", net.constant(count), self.user)
        ends = net.op("CumSum", counts, net.constant(np.array(0, np.int64)))
        total = net.op("ReduceSum", counts, net.ints(0))  # (1,)
        # an entry's asker is the number of lines that end before it
        zeros = net.zeros(net.op("Add", total, net.ints(1)), np.int64)
        ones = net.op("Expand", net.ints(1), self.size)
        marks = net.op("ScatterElements", zeros, ends, ones, axis=0, reduction="add")
        passed = net.op("CumSum", marks, net.constant(np.array(0, np.int64)))
        asker = net.op("Slice", passed, net.ints(0), total, net.ints(0))
        shift = net.op("Sub", begin, net.op("Sub", ends, counts))
        return asker, net.op("Add", net.count(total), net.op("Gather", shift, asker))

    def kept_cells(
        self, offsets: NDArray[np.int64], items: NDArray[np.int32]
    ) -> tuple[str, str]:
        """Flat positions of the items that the file keeps of each asker.

        Args:
            offsets: (n_users + 1,).
            items: flat item rows.

        Returns:
            (total,) int64 positions in a flat (n, n_items + 1) array, and (total,) positions in ``items``.
        """
        net = self.net
        asker, at = self.lines(offsets)
        small = np.uint16 if self.n_items < 1 << 16 else np.int32
        flat = np.append(items, 0).astype(small)  # never empty
        rows = net.op("Gather", net.constant(flat), at)
        rows = net.cast(rows, "int64")
        starts = net.op("Gather", net.op("Squeeze", self.line_starts, net.ints(1)), asker)
        return net.op("Add", rows, starts), at

    @cached_property
    def entries(self) -> tuple[str, str, str]:
        """Cells, steps back and whether they count, of known users and guests together."""
        net, queries = self.net, self.queries
        counted = np.flatnonzero(queries.counted)
        counts = np.bincount(queries.askers[counted], minlength=self.n_users)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        steps = offsets[1:][queries.askers[counted]] - 1 - np.arange(len(counted))
        cells, at = self.kept_cells(offsets, queries.history_rows[counted])
        kept = net.constant(np.append(steps, 0).astype(np.int32))
        back = net.cast(net.op("Gather", kept, at), "int64")
        # an earlier entry of the same item must not overwrite the latest
        rows = net.op("Where", self.latest, self.history, net.ints(self.n_items))
        flat = net.ints(-1)
        own = net.op("Expand", net.constant(np.array([True])), net.op("Shape", back))
        return (
            net.op("Concat", cells, self.cells(rows), axis=0),
            net.op("Concat", back, net.op("Reshape", self.back, flat), axis=0),
            net.op("Concat", own, net.op("Reshape", self.latest, flat), axis=0),
        )

    def signal(self, decay: float) -> str:
        """The histories as lines over the items, each item by its recency.

        Args:
            decay: per step back; 0: all weigh the same.

        Returns:
            (n, n_items + 1) float32.
        """
        net = self.net
        cells, back, counts = self.entries
        lines = net.op("Concat", self.size, net.ints(self.n_items + 1), axis=0)
        zeros = net.zeros(net.op("ReduceProd", lines, keepdims=1), np.float32)
        weights = self.weighed(back, counts, decay)
        flat = net.op("ScatterElements", zeros, cells, weights, axis=0)
        return net.op("Reshape", flat, lines)


def texts(ids: list[str]) -> list[str]:
    """Ids that a file can hold.

    Args:
        ids: as text.

    Returns:
        The same.

    Raises:
        ExportError: one is the empty text, which stands for padding.
    """
    if "" in ids:
        msg = "an id is the empty text, which stands for padding in exported files; give it a name"
        raise ExportError(msg)
    return ids
