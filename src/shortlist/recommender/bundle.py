"""The bundle: a folder that holds everything an answer needs, and cannot run code.

::

    movies.bundle/
        CURRENT                     version and SHA-256 of its manifest; replaced atomically
        versions/0001/
            manifest.json           format, parts, rules, lineage, size and SHA-256 of every file
            users.parquet, items.parquet, histories.safetensors[, user_columns.parquet]
            [growth.safetensors]        what items that came after the fit are like
            retrieve-0/ ... rank/ fallback/
                config.json[, arrays.safetensors, NAME.onnx]

A version is written beside the others, flushed to disk, renamed into place, and only then named in
CURRENT: readers see the old version or the new one. Versions are never changed; only forgetting a
person removes one, after writing it anew without them.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version as package_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl
import scipy.sparse as sp

from shortlist.data.catalogue import Catalogue
from shortlist.data.protocols import Fittable, Json, State
from shortlist.data.snapshot import Histories, Snapshot
from shortlist.data.vocabulary import Vocabulary
from shortlist.errors import BundleError
from shortlist.ranking import RANKERS
from shortlist.recommender.files import RESTORE, check_files
from shortlist.recommender.growth import Growth
from shortlist.recommender.publishing import pointed_at, publish
from shortlist.recommender.rules import check_known, rule_from_json
from shortlist.recommender.second_stage import mismatch
from shortlist.recommender.tensors import read_tensors, tensor_bytes
from shortlist.rerank import RERANKERS, Explore
from shortlist.retrieval import RETRIEVERS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shortlist.recommender.recommender import Recommender

FORMAT = 1
Part = TypeVar("Part")


def save(recommender: "Recommender", path: Path, *, current: bool = True) -> Path:
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
    _insist_rebuildable(recommender)
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


def load(path: str | Path, *, version: str | None = None) -> "Recommender":
    """Open a bundle. Needs no torch.

    The manifest, and the size and the hash of every file, are checked.

    Args:
        path: the bundle's folder.
        version: one of ``publishing.versions``; None for the one that CURRENT names.

    Returns:
        The fitted recommender; its answers are those of the one saved.

    Raises:
        BundleError: a file is missing, changed or truncated, or the format is newer; the message
            names the file.
    """
    folder, manifest = _open(Path(path), version)
    check_files(folder, manifest["files"])
    try:
        read = _read(folder, manifest)
        _insist_rebuildable(read)
        return read
    except BundleError:
        raise
    except Exception as error:  # the files are whole, so whoever wrote them was not save()
        msg = f"{folder} cannot be read although its files are whole ({error!r}); was it written by another program?"
        raise BundleError(msg) from error


def verify(path: str | Path) -> dict[str, Json]:
    """Check every byte of a bundle's current version.

    Args:
        path: the bundle's folder.

    Returns:
        The manifest.

    Raises:
        BundleError: as for :func:`load`, and also where a file is there that the manifest lacks.
    """
    folder, manifest = _open(Path(path))
    check_files(folder, manifest["files"])
    listed = {*manifest["files"], "manifest.json"}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.relative_to(folder).as_posix() not in listed:
            msg = f"{file} is not in the manifest; a bundle holds only what was published. Remove it"
            raise BundleError(msg)
    load(path)
    return manifest


def _manifest(recommender: "Recommender", files: dict[str, Json]) -> dict[str, Json]:
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


def _insist_rebuildable(recommender: "Recommender") -> None:
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


def _contents(recommender: "Recommender") -> dict[str, bytes]:
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


def _read(folder: Path, manifest: dict[str, Json]) -> "Recommender":
    from shortlist.recommender.recommender import Recommender

    histories = read_tensors(folder / "histories.safetensors")
    columns = folder / "user_columns.parquet"
    items = pl.read_parquet(folder / "items.parquet")
    snapshot = Snapshot(
        Vocabulary(pl.read_parquet(folder / "users.parquet")["user_id"], name="user_id"),
        Vocabulary(items["item_id"], name="item_id"),
        Catalogue(items),
        Histories(
            histories["item_rows"],
            histories["offsets"],
            histories["liked"],
            histories.get("timestamps"),
            histories.get("ratings"),
            histories.get("weights"),
        ),
        pl.read_parquet(columns) if "user_columns.parquet" in manifest["files"] else None,
        manifest["positive"],
    )
    rank = manifest["rank"]
    return Recommender.from_parts(
        snapshot,
        retrieve=[
            _kind(RETRIEVERS, name).from_state(_state(folder, f"retrieve-{number}", manifest))
            for number, name in enumerate(manifest["retrieve"])
        ],
        rank=None
        if rank is None
        else _kind(RANKERS, rank).from_state(_state(folder, "rank", manifest)),
        rules=[rule_from_json(rule["kind"], rule["settings"]) for rule in manifest["rules"]],
        fallback=_kind(RETRIEVERS, manifest["fallback"]).from_state(
            _state(folder, "fallback", manifest)
        ),
        candidates=manifest["candidates"],
        name=manifest["name"],
        rank_lists=manifest["rank_lists"],
        rerank=[_kind(RERANKERS, one["kind"])(**one["settings"]) for one in manifest["rerank"]],
        explore=None if manifest["explore"] is None else Explore(**manifest["explore"]),
        metrics=manifest["metrics"],
        growth=_growth(folder, manifest["growth"], len(items)),
        events_through=int(manifest["events_through"]),
    )


def _growth(folder: Path, known: dict[str, int] | None, n_items: int) -> Growth | None:
    if known is None:
        return None
    held = read_tensors(folder / "growth.safetensors")
    alike = sp.csr_array(
        (held["weights"], held["items"], held["offsets"]),
        shape=(n_items - known["items"], known["items"]),
    )
    return Growth(known["users"], known["items"], alike)


def _kind(known: Mapping[str, type[Part]], name: str) -> type[Part]:
    if name not in known:
        msg = f"the bundle holds a {name!r}, which this version does not know; known are {sorted(known)}. Upgrade shortlist"
        raise BundleError(msg)
    return known[name]


def _state(folder: Path, role: str, manifest: dict[str, Json]) -> State:
    names = [name for name in manifest["files"] if name.startswith(f"{role}/")]
    graphs = {
        Path(name).stem: (folder / name).read_bytes()
        for name in names
        if name.endswith(".onnx")
    }
    arrays = (
        read_tensors(folder / role / "arrays.safetensors")
        if f"{role}/arrays.safetensors" in names
        else {}
    )
    return State(json.loads((folder / role / "config.json").read_bytes()), arrays, graphs)


def _open(path: Path, version: str | None = None) -> tuple[Path, dict[str, Json]]:
    named, digest = pointed_at(path)
    folder = path / "versions" / (named if version is None else version)
    try:
        content = (folder / "manifest.json").read_bytes()
    except OSError as error:
        msg = f"{folder / 'manifest.json'} cannot be read ({error}). {RESTORE}"
        raise BundleError(msg) from error
    if folder.name == named and hashlib.sha256(content).hexdigest() != digest:
        msg = f"{folder / 'manifest.json'} is not what was published (its SHA-256 differs from CURRENT). {RESTORE}"
        raise BundleError(msg)
    try:
        manifest: dict[str, Json] = json.loads(content)
        number, _ = int(manifest["format"]), dict(manifest["files"])
    except (KeyError, TypeError, ValueError) as error:
        msg = f"{folder / 'manifest.json'} is no manifest of a bundle ({error!r}); was it written by another program?"
        raise BundleError(msg) from error
    if number > FORMAT:
        msg = f"{folder / 'manifest.json'} has format {number}; this version reads up to {FORMAT}. Upgrade shortlist"
        raise BundleError(msg)
    return folder, manifest
