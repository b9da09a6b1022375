"""The path of a question as a graph: retrieve, exclude, merge, rank, fall back, ids and titles."""

from typing import TYPE_CHECKING

import numpy as np

from shortlist.data.protocols import Ranker
from shortlist.errors import ExportError
from shortlist.export.asking import Asking
from shortlist.export.dense import scores
from shortlist.export.net import Net
from shortlist.export.pairs import ListRanker, Proposal, list_values
from shortlist.export.rankers import predictions
from shortlist.ranking.factorisation import Factorisation
from shortlist.ranking.stack import Stack
from shortlist.recommender.rules import Seen

if TYPE_CHECKING:
    from shortlist.recommender.recommender import Recommender

_CALM = 60  # as in recommender.merging


class Shortlist:
    """A graph from ids to shortlists.

    Args:
        net: that grows.
        rec: the recommender.
        ranked: whether the ranker takes part.
    """

    def __init__(self, net: Net, rec: "Recommender", *, ranked: bool) -> None:
        self.net, self.rec = net, rec
        self.asking = Asking(net, rec.snapshot)
        self.rank = rec.rank if ranked and rec.rank_lists else None
        if isinstance(self.rank, Factorisation | Stack):
            msg = f"the ranker {self.rank.name} reads a guest's history, or may, which the graph of a ranker does not. Export --part retriever and --part ranker, or fit another ranker, such as bias"
            raise ExportError(msg)
        self.n_items = rec.snapshot.n_items
        given = net.lookup(net.input("exclude", "string", "batch", "e"), self.asking.item_ids)
        self.k = net.op("Min", net.input("k", "int64", 1), net.ints(self.n_items))
        self.excluded = self._excluded(given)

    def build(self) -> None:
        """Add the stages, and the outputs ``item_ids``, ``titles``, ``scores`` and ``known``."""
        net = self.net
        found = [scores(self.asking, part) for part in self.rec.retrievers]
        known = found[0][1]
        for _, other in found[1:]:
            known = net.op("Or", known, other)
        if len(found) == 1 and self.rank is None:
            dense = found[0][0]
        else:
            proposed = [
                self._proposal(part.name, line, knows)
                for part, (line, knows) in zip(self.rec.retrievers, found, strict=True)
            ]
            dense = proposed[0].line if len(found) == 1 else self._merged(proposed)
            if self.rank is not None:
                dense = self._ranked(self.rank, dense, proposed)
        line = net.op("Unsqueeze", known, net.ints(1))
        least = net.op("ReduceMin", net.cast(known, "int32"), keepdims=0)

        def best(line: str) -> list[str]:
            return net.ops("TopK", self._open(line), self.k, outputs=2, axis=1)

        def with_fallback() -> list[str]:
            rest, _ = scores(self.asking, self.rec.fallback)
            return best(net.op("Where", line, dense, rest))

        self.asking.prepare()
        everyone = net.cast(least, "bool")
        top, rows = net.when(everyone, lambda: best(dense), with_fallback)
        empty = net.op("IsInf", top)
        rows = net.op("Where", empty, net.ints(self.n_items), rows)
        catalogue = self.rec.snapshot.catalogue
        ids = net.words([*self.asking.item_ids, ""])
        titles = net.words([*catalogue.titles.to_list(), ""])
        shape = ("batch", "k_or_fewer")
        net.output("item_ids", net.op("Gather", ids, rows), "string", *shape)
        net.output("titles", net.op("Gather", titles, rows), "string", *shape)
        net.output("scores", top, "float32", *shape)
        net.output("known", known, "bool", "batch")

    def _excluded(self, given: str) -> str:
        # flat cells of what may not be answered: what is asked to be left out, no item, what was seen
        net, asking = self.net, self.asking
        seen = next((rule for rule in self.rec.rules if isinstance(rule, Seen)), None)
        if seen is None:
            return asking.cells(asking.padded(given))
        own = asking.cells(net.op("Concat", asking.named, given, axis=1))
        rows, _ = seen.excluded(asking.queries)
        recent = np.flatnonzero(rows >= 0)
        counts = np.bincount(asking.queries.askers[recent], minlength=asking.n_users)
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        kept, _ = asking.kept_cells(starts, rows[recent])
        return net.op("Concat", own, kept, axis=0)

    def _open(self, dense: str) -> str:
        # (n, n_items + 1) with -inf for what may not be answered
        net = self.net
        flat = net.op("Reshape", dense, net.ints(-1))
        never = net.op("Expand", net.number(-np.inf), net.op("Shape", self.excluded))
        kept = net.op("ScatterElements", flat, self.excluded, never, axis=0)
        return net.op("Reshape", kept, net.ints(-1, self.n_items + 1))

    def _width(self) -> str:
        least = self.net.ints(min(self.rec.candidates, self.n_items))
        return self.net.op("Max", self.k, least)

    def _proposal(self, name: str, line: str, knows: str) -> Proposal:
        net, open_to = self.net, self._open(line)
        top, rows = net.ops("TopK", open_to, self._width(), outputs=2, axis=1)
        there = net.op("Not", net.op("IsInf", top))
        there = net.op("And", there, net.op("Unsqueeze", knows, net.ints(1)))
        return Proposal(name, open_to, rows, there)

    def _merged(self, proposed: list[Proposal]) -> str:
        # reciprocal ranks in float64, as the bundle adds them
        net, total = self.net, None
        ranks = net.op("Add", net.count(self._width()), net.ints(_CALM + 1))
        worth = net.op("Div", _double(net, 1.0), net.cast(ranks, "float64"))
        for one in proposed:
            gained = net.op("Where", one.there, worth, _double(net, 0.0))
            zeros = net.zeros(net.op("Shape", one.line), np.float64)
            part = net.op("ScatterElements", zeros, one.rows, gained, axis=1)
            total = part if total is None else net.op("Add", total, part)
        fused = net.cast(str(total), "float32")
        some = net.op("Greater", fused, net.number(0.0))
        return net.op("Where", some, fused, net.number(-np.inf))

    def _ranked(self, rank: Ranker, dense: str, proposed: list[Proposal]) -> str:
        net, asking = self.net, self.asking
        wide = net.op("Mul", self._width(), net.ints(len(proposed)))
        width = net.op("Min", wide, net.ints(self.n_items))
        top, rows = net.ops("TopK", dense, width, outputs=2, axis=1)
        there = net.op("Not", net.op("IsInf", top))
        if isinstance(rank, ListRanker):
            values = list_values(asking, rank, rows, proposed)
        else:
            values = predictions(net, self.rec.snapshot, rank, asking.user, rows)
        values = net.op("Where", there, values, net.number(-np.inf))
        never = net.op("Expand", net.number(-np.inf), net.op("Shape", dense))
        return net.op("ScatterElements", never, rows, values, axis=1)


def check_exportable(rec: "Recommender") -> None:
    """Refuse a recommender that a file cannot hold.

    Args:
        rec: a fitted recommender.

    Raises:
        ExportError: it has grown since it was fitted.
    """
    if rec.growth is not None:
        msg = "this bundle was updated since it was trained, and what came after is answered through its likes, which a file does not hold. Train it again, then export"
        raise ExportError(msg)


def _double(net: Net, value: float) -> str:
    return net.constant(np.array(value, np.float64))
