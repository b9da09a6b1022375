"""Vectors of users and items as Parquet tables, for a search engine or a database."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.queries import Queries
from shortlist.errors import ExportError
from shortlist.export.parity import (
    Parity,
    compare_numbers,
    insist,
    sample_rows,
    written_whole,
)
from shortlist.export.targets import Report

if TYPE_CHECKING:
    from shortlist.data.snapshot import Snapshot
    from shortlist.export.targets import Settings, Source
    from shortlist.recommender.recommender import Recommender

_SIDES = {"whole": ("user", "item"), "user": ("user",), "item": ("item",)}
_BLOCK = 10_000  # users encoded at a time


@runtime_checkable
class _HasVectors(Protocol):
    name: str

    def encode(self, queries: Queries) -> NDArray[np.float32]: ...

    def score_all(self, queries: Queries) -> NDArray[np.float32]: ...

    @property
    def item_vectors(self) -> NDArray[np.float32]: ...


def export_vectors(source: "Source", out: Path, settings: "Settings") -> Report:
    """Write ids and vectors of users and items; the dot product of two is the score.

    Args:
        source: what is exported.
        out: a folder for ``user.parquet`` and ``item.parquet``, made where it is not there; of one
            side alone, the file.
        settings: ``part`` is ``"whole"`` for both sides, ``"user"`` or ``"item"``.

    Returns:
        What was written.

    Raises:
        ExportError: not exactly one retriever has vectors, or the part or the weights are others.
    """
    if settings.part not in _SIDES or settings.weights != "float32":
        msg = f"vectors are float32, of the part whole (both sides), user or item; got {settings.weights} of {settings.part!r}. Give one of these"
        raise ExportError(msg)
    if settings.guests_only and settings.part != "item":
        msg = f"guests_only leaves no user's vector to write; got the part {settings.part!r}. Give --part item, and --to onnx --part user for the guests' own"
        raise ExportError(msg)
    model, snapshot = _one_with_vectors(source.rec), source.rec.snapshot
    sides = _SIDES[settings.part]
    files = [out]
    if len(sides) > 1:
        if out.is_file() or not out.absolute().parent.is_dir():
            msg = f"cannot make the folder {out} for user.parquet and item.parquet: a file is in its place, or the folder above it is not there. Name another, or give --part user or item for one file"
            raise ExportError(msg)
        out.mkdir(exist_ok=True)
        files = [out / f"{side}.parquet" for side in sides]
    with contextlib.ExitStack() as stack:
        drafts = [stack.enter_context(written_whole(file)) for file in files]
        for side, draft in zip(sides, drafts, strict=True):
            table = _items(model, snapshot) if side == "item" else _users(model, snapshot)
            table.write_parquet(draft)
        parity = _compare(model, snapshot, dict(zip(sides, drafts, strict=True)), settings)
        insist(parity, str(out))
    width = model.item_vectors.shape[1]
    columns = {f"{side}_id, vector": f"text, float32 ({width},)" for side in sides}
    return Report(
        "vectors",
        settings.part,
        settings.weights,
        tuple(files),
        parity,
        outputs=columns,
        notes=(
            f"the dot product of a user's and an item's vector is the score of {model.name}",
        ),
    )


def _one_with_vectors(rec: "Recommender") -> _HasVectors:
    found = [one for one in rec.retrievers if isinstance(one, _HasVectors)]
    if len(found) != 1:
        names = ", ".join(one.name for one in rec.retrievers)
        msg = f"vectors are written of one retriever that has them: TwoTower, SequenceTower or ALS; this bundle has {names}. Fit a recommender with one of them"
        raise ExportError(msg)
    if len(found[0].item_vectors) != rec.snapshot.n_items:
        msg = f"{found[0].name} has vectors of {len(found[0].item_vectors):,} items and the bundle knows {rec.snapshot.n_items:,}: some came after the fit. Fit again, then export"
        raise ExportError(msg)
    return found[0]


def _users(model: _HasVectors, snapshot: "Snapshot") -> pl.DataFrame:
    rows = np.arange(snapshot.n_users, dtype=np.int32)
    blocks = [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]
    vectors = np.concatenate([model.encode(snapshot.queries_of_rows(one)) for one in blocks])
    return pl.DataFrame({"user_id": _text(snapshot.user_vocabulary.ids), "vector": vectors})


def _items(model: _HasVectors, snapshot: "Snapshot") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "item_id": _text(snapshot.item_vocabulary.ids),
            "title": snapshot.catalogue.titles,
            "vector": np.asarray(model.item_vectors),
        }
    )


def _text(ids: pl.Series) -> pl.Series:
    return ids.cast(pl.String)


def _compare(
    model: _HasVectors, snapshot: "Snapshot", files: dict[str, Path], settings: "Settings"
) -> Parity:
    # what the files hold of a side; the model's own of the other
    asked = sample_rows(snapshot.n_users, settings.users)
    queries = snapshot.queries_of_rows(asked)
    read = {side: pl.read_parquet(file)["vector"].to_numpy() for side, file in files.items()}
    users = read["user"][asked] if "user" in read else model.encode(queries)
    items = read.get("item", model.item_vectors)
    return compare_numbers(model.score_all(queries), users @ items.T, len(asked))
