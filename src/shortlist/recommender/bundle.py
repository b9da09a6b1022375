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
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import polars as pl
import scipy.sparse as sp

from shortlist.data.catalogue import Catalogue
from shortlist.data.protocols import Json, State
from shortlist.data.snapshot import Histories, Snapshot
from shortlist.data.vocabulary import Vocabulary
from shortlist.errors import BundleError
from shortlist.ranking import RANKERS
from shortlist.recommender.files import RESTORE, check_files
from shortlist.recommender.growth import Growth
from shortlist.recommender.publishing import pointed_at
from shortlist.recommender.recommender import Recommender
from shortlist.recommender.rules import rule_from_json
from shortlist.recommender.saving import FORMAT, insist_rebuildable
from shortlist.recommender.tensors import read_tensors
from shortlist.rerank import RERANKERS, Explore
from shortlist.retrieval import RETRIEVERS

Part = TypeVar("Part")


def load(path: str | Path, *, version: str | None = None) -> Recommender:
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
        insist_rebuildable(read)
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


def _read(folder: Path, manifest: dict[str, Json]) -> Recommender:
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
