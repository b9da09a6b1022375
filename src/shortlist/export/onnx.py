"""One ONNX file: string ids in, ids and titles out."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from shortlist.errors import ExportError
from shortlist.export.asking import Asking, texts
from shortlist.export.loss import insist_on_quality, lost_lists, lost_predictions, lost_vectors
from shortlist.export.net import Net
from shortlist.export.parity import Parity, insist, written_whole
from shortlist.export.rankers import predictions
from shortlist.export.running import (
    compare_items,
    compare_predictions,
    compare_shortlists,
    compare_users,
    vector_part,
)
from shortlist.export.stages import Shortlist, check_exportable
from shortlist.export.targets import Report, Settings, Source
from shortlist.export.towers import item_matrix, query_vectors
from shortlist.recommender.rules import Seen

if TYPE_CHECKING:
    from shortlist.recommender.recommender import Recommender

MOST_ITEMS = 100_000  # that the graph itself searches


def export_onnx(source: Source, out: Path, settings: Settings) -> Report:
    """Write one ONNX file.

    Args:
        source: what is exported.
        out: the file.
        settings: how.

    Returns:
        What was written.
    """
    rec, held = source.rec, replace(source, rec=source.inside(settings))
    check_exportable(rec)
    notes = list(_notes(rec, settings))
    part = settings.part
    if part in {"whole", "retriever"} and rec.snapshot.n_items > MOST_ITEMS:
        notes.append(
            f"{rec.snapshot.n_items:,} items are more than the {MOST_ITEMS:,} that a graph searches: this is the "
            "encoder alone (--part user). Put the vectors of --to vectors into an index and ask it"
        )
        part = "user"
    settings = replace(settings, part=part)
    exact = settings.weights == "float32"
    compare, lose = _CHECKS[part]
    same, what = compared(rec, part), f"{out.name} ({part} of {rec.name})"
    lost: dict[str, float] = {}
    with written_whole(out) as draft:
        # the graph must be right, whatever its numbers are stored in
        net = _drawn(held, draft, part, "float32", notes)
        parity = compare(same, draft, settings)
        if not net.approximations:
            insist(parity, what)
        if not exact:
            notes.append("parity is of the same graph with float32 weights")
            net = _drawn(held, draft, part, settings.weights, notes)
        if not exact or net.approximations:
            lost = lose(same, draft, settings)
            insist_on_quality(lost, what)
    inputs, outputs = net.described()
    told = (*notes, *net.approximations)
    return Report("onnx", part, settings.weights, (out,), parity, lost, inputs, outputs, told)


def _drawn(source: Source, draft: Path, part: str, weights: str, notes: list[str]) -> Net:
    net = Net(weights)
    _BUILDERS[part](net, source.rec)
    told = {"part": part, "weights": weights, "notes": [*notes, *net.approximations]}
    draft.write_bytes(net.model({**source.about, **told}))
    return net


def compared(rec: "Recommender", part: str) -> "Recommender":
    """The recommender that a part of the decision should answer like.

    Args:
        rec: the whole.
        part: as in the settings.

    Returns:
        The same, without the ranker where the part has none.
    """
    if part != "retriever" or rec.rank is None:
        return rec
    return rec.with_parts(rank=None)


def _whole(net: Net, rec: "Recommender") -> None:
    Shortlist(net, rec, ranked=True).build()


def _retriever(net: Net, rec: "Recommender") -> None:
    Shortlist(net, rec, ranked=False).build()


def _user(net: Net, rec: "Recommender") -> None:
    part, asking = vector_part(rec), Asking(net, rec.snapshot)
    vectors, known = query_vectors(asking, part)
    net.output("vector", vectors, "float32", "batch", part.item_vectors.shape[1])
    net.output("known", known, "bool", "batch")


def _item(net: Net, rec: "Recommender") -> None:
    part, ids = vector_part(rec), _item_ids(rec)
    rows = net.lookup(net.input("item_id", "string", "batch"), ids)
    vectors = net.op("Gather", item_matrix(net, part), rows)
    known = net.op("Less", rows, net.ints(len(ids)))
    net.output("vector", vectors, "float32", "batch", part.item_vectors.shape[1])
    net.output("known", known, "bool", "batch")


def _ranker(net: Net, rec: "Recommender") -> None:
    if rec.rank is None:
        msg = f"{rec.name} has no ranker to export. Train one with --rank rating, or export --part retriever"
        raise ExportError(msg)
    users = texts(rec.snapshot.user_vocabulary.ids.cast(str).to_list())
    user = net.lookup(net.input("user_id", "string", "batch"), users)
    item = net.lookup(net.input("item_id", "string", "batch"), _item_ids(rec))
    pairs = net.op("Unsqueeze", item, net.ints(1))
    values = predictions(net, rec.snapshot, rec.rank, user, pairs)
    net.output("prediction", net.op("Squeeze", values, net.ints(1)), "float32", "batch")


def _item_ids(rec: "Recommender") -> list[str]:
    return texts(rec.snapshot.item_vocabulary.ids.cast(str).to_list())


def _notes(rec: "Recommender", settings: Settings) -> Iterator[str]:
    if settings.part not in {"whole", "retriever"}:
        return
    left = [rule.kind for rule in rec.rules if not isinstance(rule, Seen)]
    left += [one.kind for one in rec.rerankers]
    left += [] if rec.explore is None else ["explore"]
    if left:
        yield f"not in the file: {', '.join(left)}. Its answers are the bundle's without them"
    if settings.part == "whole" and rec.rank is not None and not rec.rank_lists:
        yield f"the ranker {rec.rank.name} takes no part: the bundle keeps it for predictions, and its lists are in the retrievers' order. --part ranker has it"
    seen = any(isinstance(rule, Seen) for rule in rec.rules)
    yield (
        "what known users have, and the history that is brought, is left out"
        if seen
        else "nothing is left out but what exclude names, since the bundle has no rule about what was seen"
    )


_Build: TypeAlias = Callable[[Net, "Recommender"], None]
_Compare: TypeAlias = Callable[["Recommender", Path, Settings], Parity]
_Lose: TypeAlias = Callable[["Recommender", Path, Settings], dict[str, float]]
_BUILDERS: Mapping[str, _Build] = {
    "whole": _whole,
    "retriever": _retriever,
    "user": _user,
    "item": _item,
    "ranker": _ranker,
}
_CHECKS: Mapping[str, tuple[_Compare, _Lose]] = {
    "whole": (compare_shortlists, lost_lists),
    "retriever": (compare_shortlists, lost_lists),
    "user": (compare_users, lost_vectors),
    "item": (compare_items, lost_vectors),
    "ranker": (compare_predictions, lost_predictions),
}
