"""What the files of rows have in common: their inputs, the ids that rows stand for, and who is asked to compare.

LiteRT and torch programs read no text. So their inputs are rows, int32, and the ids that the rows stand
for, in order, go with the file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import nn

from shortlist.data.queries import Queries
from shortlist.errors import ExportError
from shortlist.export.modules import places_of, tower_module
from shortlist.export.parity import sample_rows
from shortlist.export.ratings import rating_module
from shortlist.retrieval import SequenceTower

if TYPE_CHECKING:
    from shortlist.export.targets import Settings, Source
    from shortlist.recommender.recommender import Recommender

_ITEMS_EACH = 20  # items that each asker's rating is compared for
_PARTS = ("user", "ranker")


@dataclass(frozen=True, eq=False)
class RowsPart:
    """A part of a recommender, and what it should answer.

    Attributes:
        module: takes the inputs by name.
        inputs: name -> (n, ...) int32, of the n that are compared.
        output: its name.
        wanted: (n, ...) float32, what the bundle answers.
        askers: how many users are among the n.
        notes: what a reader of the file should know.
    """

    module: nn.Module
    inputs: Mapping[str, NDArray[np.int32]]
    output: str
    wanted: NDArray[np.float32]
    askers: int
    notes: tuple[str, ...]

    @classmethod
    def of(cls, source: "Source", settings: "Settings", target: str) -> "RowsPart":
        """Take the part that is asked for.

        Args:
            source: what is exported.
            settings: which part, and how many users to compare.
            target: what for, to be named in messages.

        Returns:
            The part.

        Raises:
            ExportError: there is no such part, or it has no form of rows.
        """
        if settings.part not in _PARTS:
            msg = f"{target} holds numbers, not ids and titles, so it can hold the part user or ranker; got {settings.part!r}. Give --part ranker, or export the whole with --to onnx"
            raise ExportError(msg)
        if settings.weights != "float32":
            msg = f"weights must be float32 for {target}; got {settings.weights!r}. --to onnx stores them smaller"
            raise ExportError(msg)
        rec, held = source.rec, source.inside(settings)
        users = np.append(sample_rows(rec.snapshot.n_users, settings.users), -1)
        asked = rec.snapshot.queries_of_rows(users.astype(np.int32))
        part = _ranker(rec, asked) if settings.part == "ranker" else _user(rec, held, asked)
        part.module.eval().requires_grad_(requires_grad=False)
        return part

    def vocabulary(self, source: "Source", settings: "Settings") -> str:
        """The ids that rows stand for.

        Args:
            source: what is exported.
            settings: how.

        Returns:
            JSON: ``user_id``, ``item_id`` and ``title`` in the order of their rows, the inputs and
            outputs, and what the bundle says of itself.
        """
        snapshot = source.inside(settings).snapshot
        shapes = {name: ["batch", *one.shape[1:]] for name, one in self.inputs.items()}
        held = {
            "inputs": shapes,
            "outputs": {self.output: ["batch", *self.wanted.shape[1:]]},
            "user_id": [str(one) for one in snapshot.user_vocabulary.ids.to_list()],
            "item_id": [str(one) for one in snapshot.item_vocabulary.ids.to_list()],
            "title": snapshot.catalogue.titles.to_list(),
            "about": dict(source.about),
        }
        return json.dumps(held, ensure_ascii=False, separators=(",", ":"), default=str)

    def described(self) -> tuple[dict[str, str], dict[str, str]]:
        """Inputs and outputs in words.

        Returns:
            Two dictionaries, name -> type and shape.
        """

        def shape(one: NDArray[np.generic]) -> str:
            return "(" + ", ".join(["batch", *(str(width) for width in one.shape[1:])]) + ")"

        inputs = {name: f"int32 {shape(one)}" for name, one in self.inputs.items()}
        return inputs, {self.output: f"float32 {shape(self.wanted)}"}


def latest_liked(queries: Queries, places: int) -> NDArray[np.int32]:
    """The latest liked rows of each asker.

    Args:
        queries: n askers.
        places: how many.

    Returns:
        (n, places) int32, oldest first; -1, before the others, where there is none.
    """
    latest = np.full((len(queries), places), -1, np.int32)
    for asker, line in enumerate(latest):
        own = slice(queries.offsets[asker], queries.offsets[asker + 1])
        liked = queries.history_rows[own][queries.history_liked[own]][-places:]
        line[places - len(liked) :] = liked
    return latest


def _ranker(rec: "Recommender", asked: Queries) -> RowsPart:
    if rec.rank is None:
        msg = f"{rec.name} has no ranker to export. Give part='user' for the query tower, or fit with rank=shortlist.ranking.RatingNetwork()"
        raise ExportError(msg)
    module = rating_module(rec.rank, rec.snapshot)
    rng = np.random.default_rng(0)
    items = rng.integers(-1, rec.snapshot.n_items, (len(asked), _ITEMS_EACH), dtype=np.int32)
    wanted = rec.rank.predict(asked, items)
    inputs = {"user": np.repeat(asked.user_rows, _ITEMS_EACH), "item": items.ravel()}
    note = "a row that is not among the ids, such as -1, is someone or something unknown"
    return RowsPart(module, inputs, "rating", wanted.ravel(), len(asked), (note,))


def _user(rec: "Recommender", held: "Recommender", asked: Queries) -> RowsPart:
    if len(rec.retrievers) > 1:
        names = ", ".join(one.name for one in rec.retrievers)
        msg = f"{rec.name} has several retrievers ({names}), so there is no one query tower. Fit a recommender with that tower alone"
        raise ExportError(msg)
    retriever = rec.retrievers[0]
    module, places = tower_module(held.retrievers[0], held.snapshot), places_of(retriever)
    known = latest_liked(asked, places)
    # each history is asked twice: as its user's, and as that of someone new, who brings it
    strangers = np.full(len(asked), -1, np.int32)
    users = np.concatenate([asked.user_rows if held is rec else strangers, strangers])
    history = np.concatenate([known, known])
    wanted = retriever.encode(_queries(users, history, asked))  # type: ignore[attr-defined]
    inputs = {"user": users, "history": history}
    notes = [
        f"history: rows of liked items, oldest first, at most the latest {places}; -1, before the others, fills the rest"
    ]
    if isinstance(retriever, SequenceTower):
        del inputs["user"]
    else:
        notes.append("a user row that is not among the ids, such as -1, is someone unknown")
    notes.append("lists: the highest dot products with the item vectors of --to vectors")
    return RowsPart(module, inputs, "vector", wanted, len(asked), tuple(notes))


def _queries(users: NDArray[np.int32], history: NDArray[np.int32], asked: Queries) -> Queries:
    there = history >= 0
    table = None
    if asked.users is not None:
        nobody = asked.users.clear(len(asked))
        table = asked.users.vstack(nobody)
    return Queries(
        users,
        history[there],
        np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int64),
        np.ones(int(there.sum()), bool),
        users=table,
    )
