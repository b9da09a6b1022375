"""An ONNX file asked as anybody would ask it: ONNX Runtime, ids as text."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shortlist.data.queries import Queries
from shortlist.data.topk import TopK
from shortlist.errors import ExportError
from shortlist.export.parity import (
    Parity,
    compare_lists,
    compare_numbers,
    sample_rows,
)
from shortlist.export.towers import VectorRetriever

if TYPE_CHECKING:
    from shortlist.export.targets import Settings
    from shortlist.recommender.recommender import Recommender

_GUESTS = 50
_BROUGHT = 20  # items of a guest's history
_BLOCK = 64  # askers at a time
_NOBODY = "\x00 nobody has this id"


class File:
    """An opened ONNX file.

    Args:
        path: of the file.

    Raises:
        ExportError: ONNX Runtime cannot read it.
    """

    def __init__(self, path: Path) -> None:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's own have no common class
            reason = str(error).strip().partition("\n")[0]
            msg = (
                f"{path} is no ONNX file that ONNX Runtime can open ({reason}). Export it again"
            )
            raise ExportError(msg) from error

    def ask(self, **inputs: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Run the graph.

        Args:
            **inputs: by name.

        Returns:
            The outputs by name.
        """
        names = [one.name for one in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, inputs), strict=True))


class Ids:
    """The ids of a recommender, as files take and give them.

    Args:
        rec: the recommender.
    """

    def __init__(self, rec: "Recommender") -> None:
        self.users = rec.snapshot.user_vocabulary.ids.cast(str).to_list()
        self.items = rec.snapshot.item_vocabulary.ids.cast(str).to_list()
        self._row = {item: row for row, item in enumerate(self.items)}

    def asked(self, queries: Queries) -> dict[str, NDArray[Any]]:
        """Inputs for some askers; guests bring their history.

        Args:
            queries: n askers.

        Returns:
            ``user_id`` (n,) and ``history`` (n, longest).
        """
        users = [_NOBODY if row < 0 else self.users[row] for row in queries.user_rows.tolist()]
        brought = []
        for asker, row in enumerate(queries.user_rows.tolist()):
            at = slice(queries.offsets[asker], queries.offsets[asker + 1])
            rows = queries.history_rows[at].tolist() if row < 0 else []
            brought.append([self.items[one] for one in rows])
        return {"user_id": np.array(users, object), "history": padded(brought)}

    def rows(self, ids: NDArray[Any]) -> NDArray[np.int32]:
        """Item rows of answered ids.

        Args:
            ids: (n, k) text; "" where nothing stands.

        Returns:
            (n, k) int32; -1 where nothing stands.
        """
        found = [self._row[one] if one else -1 for one in ids.ravel().tolist()]
        return np.array(found, np.int32).reshape(ids.shape)


def padded(lines: Sequence[Sequence[str]]) -> NDArray[Any]:
    """Lines of ids as a table.

    Args:
        lines: n of them, of any length.

    Returns:
        (n, longest) text, "" where a line has ended.
    """
    table = np.full((len(lines), max(map(len, lines), default=0)), "", object)
    for number, line in enumerate(lines):
        table[number, : len(line)] = line
    return table


def file_lists(file: File, ids: Ids, queries: Queries, k: int) -> TopK:
    """What a file answers.

    Args:
        file: opened.
        ids: of the recommender.
        queries: n askers.
        k: places.

    Returns:
        A TopK (n, k) of item rows.
    """
    parts = [TopK.nothing(0, k)]
    for start in range(0, len(queries), _BLOCK):
        some = queries.slice(start, min(start + _BLOCK, len(queries)))
        nothing = np.empty((len(some), 0), object)
        told = file.ask(**ids.asked(some), exclude=nothing, k=np.array([k], np.int64))
        parts.append(TopK(ids.rows(told["item_ids"]), told["scores"]))
    return TopK.stack(parts)


def askers(rec: "Recommender", settings: "Settings") -> tuple[Queries, Queries]:
    """Known users; and guests who bring what some of them liked.

    One guest brings nothing, and one an item that nobody took, where there is one.

    Args:
        rec: the recommender.
        settings: how many known users at most, and whether they ask as guests as well.

    Returns:
        Queries of the known, and of the guests.
    """
    snapshot = rec.snapshot
    known = snapshot.queries_of_rows(sample_rows(snapshot.n_users, settings.users))
    liked = []
    for asker in range(len(known)):
        at = slice(known.offsets[asker], known.offsets[asker + 1])
        liked.append(known.history_rows[at][known.history_liked[at]])
    some = sample_rows(len(known), _GUESTS).tolist()
    held = snapshot.histories
    counts = np.bincount(held.item_rows[held.liked], minlength=snapshot.n_items)
    untaken = np.flatnonzero(counts == 0)[:1].astype(np.int32)
    lone = [untaken] if len(untaken) else []
    brought = [np.empty(0, np.int32), *lone, *(liked[asker][-_BROUGHT:] for asker in some)]
    return guests(rec, liked) if settings.guests_only else known, guests(rec, brought)


def guests(rec: "Recommender", histories: Sequence[NDArray[np.int32]]) -> Queries:
    """Questions of guests.

    Args:
        rec: the recommender.
        histories: item rows, oldest first, of each.

    Returns:
        n Queries.
    """
    about = rec.snapshot.guest().users
    rows = np.concatenate([np.empty(0, np.int32), *histories]).astype(np.int32)
    offsets = np.cumsum([0, *map(len, histories)]).astype(np.int64)
    nobody = np.full(len(histories), -1, np.int32)
    users = None if about is None else about[np.zeros(len(histories), np.int64)]
    return Queries(nobody, rows, offsets, np.ones(len(rows), bool), users=users)


def compare_shortlists(rec: "Recommender", path: Path, settings: "Settings") -> Parity:
    """Ask a file of whole shortlists and the bundle the same.

    Args:
        rec: the recommender that the file should answer like.
        path: the file.
        settings: how many users, how long the lists.

    Returns:
        How the answers compare.
    """
    file, ids = File(path), Ids(rec)
    k = min(settings.k, rec.snapshot.n_items)
    known, strangers = askers(rec, settings)
    return compare_lists(rec, known, file_lists(file, ids, known, k)).beside(
        compare_lists(rec, strangers, file_lists(file, ids, strangers, k))
    )


def compare_users(rec: "Recommender", path: Path, settings: "Settings") -> Parity:
    """Ask a file of user vectors and the bundle the same.

    Args:
        rec: its first retriever has vectors.
        path: the file.
        settings: how many users.

    Returns:
        How the vectors compare.
    """
    file, ids, part = File(path), Ids(rec), vector_part(rec)
    known, strangers = askers(rec, settings)
    found = []
    for queries in (known, strangers):
        told = file.ask(**ids.asked(queries))
        knows = part.knows(queries)
        wanted = np.where(knows[:, None], part.encode(queries), told["vector"])
        same = (told["known"] == knows).all()
        wanted = wanted if same else np.full_like(wanted, np.inf)
        found.append(compare_numbers(wanted, told["vector"], len(queries)))
    return found[0].beside(found[1])


def compare_items(rec: "Recommender", path: Path, settings: "Settings") -> Parity:
    """Ask a file of item vectors and the bundle the same.

    Args:
        rec: its first retriever has vectors.
        path: the file.
        settings: how many items.

    Returns:
        How the vectors compare.
    """
    rows = sample_rows(rec.snapshot.n_items, settings.users)
    names = np.array([Ids(rec).items[row] for row in rows], object)
    told = File(path).ask(item_id=names)
    return compare_numbers(vector_part(rec).item_vectors[rows], told["vector"], len(rows))


def compare_predictions(rec: "Recommender", path: Path, settings: "Settings") -> Parity:
    """Ask a file of predictions and the bundle the same: each user with ten items, one of them unknown.

    Args:
        rec: with a ranker.
        path: the file.
        settings: how many users.

    Returns:
        How the predictions compare.
    """
    snapshot = rec.snapshot
    users = np.append(sample_rows(snapshot.n_users, settings.users), -1).astype(np.int32)
    rng = np.random.default_rng(0)
    items = rng.integers(-1, snapshot.n_items, (len(users), 10)).astype(np.int32)
    wanted, found = predicted_pairs(rec, File(path), users, items)
    return compare_numbers(wanted, found, len(users))


def predicted_pairs(
    rec: "Recommender", file: File, users: NDArray[np.int32], items: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What the bundle and a file predict of the same pairs.

    Args:
        rec: with a ranker.
        file: of predictions.
        users: (n,) rows; -1 for someone unknown.
        items: (n, m) rows; -1 for an unknown item.

    Returns:
        (n * m,) predictions of the bundle, and of the file.

    Raises:
        ExportError: there is no ranker.
    """
    if rec.rank is None:
        msg = f"{rec.name} has no ranker to compare with"
        raise ExportError(msg)
    known, many = Ids(rec), users.repeat(items.shape[1])
    told = file.ask(
        user_id=np.array([known.users[u] if u >= 0 else _NOBODY for u in many], object),
        item_id=np.array(
            [known.items[i] if i >= 0 else _NOBODY for i in items.ravel()], object
        ),
    )
    wanted = rec.rank.predict(rec.snapshot.queries_of_rows(users), items)
    return wanted.ravel(), told["prediction"]


def vector_part(rec: "Recommender") -> VectorRetriever:
    """The first retriever that has vectors.

    Args:
        rec: a recommender.

    Returns:
        A retriever.

    Raises:
        ExportError: none has.
    """
    for part in rec.retrievers:
        if isinstance(part, VectorRetriever):
            return part
    names = ", ".join(part.name for part in rec.retrievers)
    msg = f"{names} has no vectors of users and items; two-tower, sequence and als have. Export the whole, or train one of these"
    raise ExportError(msg)
