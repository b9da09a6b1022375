"""Writing a bundle: what a recommender holds as files, and the manifest of them.

:mod:`shortlist.recommender.bundle` says how a bundle is laid out, and reads it.
"""

import io
import json
from datetime import UTC, datetime
from importlib.metadata import version as package_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from shortlist.data.protocols import Fittable, Json
from shortlist.errors import BundleError
from shortlist.ranking import RANKERS
from shortlist.recommender.joined import Joined
from shortlist.recommender.publishing import publish
from shortlist.recommender.rules import check_known
from shortlist.recommender.second_stage import mismatch
from shortlist.recommender.tensors import tensor_bytes
from shortlist.rerank import RERANKERS
from shortlist.retrieval import RETRIEVERS

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = 1


def save(recommender: Joined, path: Path, *, current: bool = True) -> Path:
    """Publish a fitted recommender as a new version of a bundle.

    Args:
        recommender: fitted.
        path: the bundle's folder; made where it is not there.
        current: whether CURRENT names it from then on.

    Returns:
        The folder of the version written.

    Raises:
        BundleError: a part is of a kind that bundles cannot hold, the folder holds something else,
            or it cannot be written; nothing is left behind.
    """
    _ = recommender.snapshot  # an unfitted recommender fails before anything is written
    insist_rebuildable(recommender)
    try:
        contents = _contents(recommender)
        json.dumps(recommender.metrics)
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        msg = f"cannot write the bundle {path}: something in it is neither text nor numbers ({error}). Look at metrics and at the columns of items and users"
        raise BundleError(msg) from error
    return publish(
        path,
        contents,
        lambda seals: json.dumps(_manifest(recommender, seals), indent=1).encode(),
        current=current,
    )


def insist_rebuildable(recommender: Joined) -> None:
    """Insist that a bundle can hold each part, and that the parts fit each other.

    Args:
        recommender: fitted.

    Raises:
        BundleError: a part could not be rebuilt without running code, or reads what is not there.
    """
    known: dict[str, type[Fittable]] = {**RETRIEVERS, **RANKERS}
    for part in recommender.parts:
        if known.get(part.name) is not type(part):
            msg = f"a bundle cannot hold {type(part).__name__} (named {part.name!r}): it could not be rebuilt without running code. It can hold {sorted(known)}"
            raise BundleError(msg)
    if (
        reason := mismatch(recommender.rank, recommender.retrievers, recommender.snapshot)
    ) is not None:
        raise BundleError(reason)
    for rule in recommender.rules:
        check_known(rule.kind)
    for one in recommender.rerankers:
        if RERANKERS.get(one.kind) is not type(one):
            msg = f"a bundle cannot hold {type(one).__name__} (kind {one.kind!r}): it could not be rebuilt without running code. It can hold {sorted(RERANKERS)}"
            raise BundleError(msg)


def _manifest(recommender: Joined, files: dict[str, Json]) -> dict[str, Json]:
    snapshot = recommender.snapshot
    times = snapshot.histories.timestamps
    span = None if times is None or not len(times) else [int(times.min()), int(times.max())]
    return {
        "format": FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            name: package_version(name)
            for name in ("shortlist", "numpy", "scipy", "polars", "onnxruntime")
        },
        "name": recommender.name,
        "candidates": recommender.candidates,
        "rank_lists": recommender.rank_lists,
        "retrieve": [part.name for part in recommender.retrievers],
        "rank": None if recommender.rank is None else recommender.rank.name,
        "fallback": recommender.fallback.name,
        "rules": [
            {"kind": rule.kind, "settings": rule.to_json()} for rule in recommender.rules
        ],
        "rerank": [
            {"kind": one.kind, "settings": one.to_json()} for one in recommender.rerankers
        ],
        "explore": None if recommender.explore is None else recommender.explore.to_json(),
        "positive": snapshot.positive,
        "lineage": {
            "rows": len(snapshot.histories.item_rows),
            "users": snapshot.n_users,
            "items": snapshot.n_items,
            "seconds_from_to": span,
        },
        "growth": None
        if recommender.growth is None
        else {"users": recommender.growth.n_users, "items": recommender.growth.n_items},
        "watermark": None if span is None else span[1],
        "events_through": recommender.events_through,
        "metrics": recommender.metrics,
        "files": files,
    }


def _contents(recommender: Joined) -> dict[str, bytes]:
    snapshot = recommender.snapshot
    tables = {
        "users.parquet": snapshot.user_vocabulary.ids.to_frame("user_id"),
        "items.parquet": snapshot.catalogue.table,
    }
    if snapshot.users is not None:
        tables["user_columns.parquet"] = snapshot.users
    contents: dict[str, bytes] = {}
    for name, table in tables.items():
        buffer = io.BytesIO()
        table.write_parquet(buffer)
        contents[name] = buffer.getvalue()
    held = snapshot.histories
    arrays: dict[str, NDArray[Any]] = {
        "item_rows": held.item_rows,
        "offsets": held.offsets,
        "liked": held.liked,
    }
    if held.timestamps is not None:
        arrays["timestamps"] = held.timestamps
    if held.ratings is not None:
        arrays["ratings"] = held.ratings
    if held.weights is not None:
        arrays["weights"] = held.weights
    contents["histories.safetensors"] = tensor_bytes(arrays)
    if recommender.growth is not None:
        alike = recommender.growth.alike
        contents["growth.safetensors"] = tensor_bytes(
            {"offsets": alike.indptr, "items": alike.indices, "weights": alike.data}
        )
    roles: dict[str, Fittable] = {
        f"retrieve-{n}": part for n, part in enumerate(recommender.retrievers)
    }
    roles["fallback"] = recommender.fallback
    if recommender.rank is not None:
        roles["rank"] = recommender.rank
    for role, part in roles.items():
        state = part.state()
        contents[f"{role}/config.json"] = json.dumps(state.config).encode()
        if state.arrays:
            contents[f"{role}/arrays.safetensors"] = tensor_bytes(state.arrays)
        contents |= {f"{role}/{name}.onnx": graph for name, graph in state.graphs.items()}
    return contents
