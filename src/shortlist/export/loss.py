"""What a file that is not exact costs: recall of rows that the bundle knows, against the bundle's own."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shortlist.data.queries import Queries
from shortlist.data.topk import TopK
from shortlist.errors import ExportError
from shortlist.export.parity import bundle_lists, sample_rows
from shortlist.export.running import (
    File,
    Ids,
    askers,
    file_lists,
    guests,
    predicted_pairs,
    vector_part,
)

if TYPE_CHECKING:
    from shortlist.export.targets import Settings
    from shortlist.recommender.recommender import Recommender

MOST_LOST = 0.02  # of the recall; above it a file is refused
LENGTHS = (10, 100)


def lost_lists(rec: "Recommender", path: Path, settings: "Settings") -> dict[str, float]:
    """How much worse the file's lists are.

    Some users are asked as guests who bring every other item that they liked, and the rest is looked
    for in the lists; and as themselves, to see how much of the bundle's own top 10 stays.

    Args:
        rec: the recommender that the file should answer like.
        path: the file.
        settings: how many users.

    Returns:
        Name -> share of the bundle's lost, below 0 where the file is better.
    """
    file, ids = File(path), Ids(rec)
    known, _ = askers(rec, settings)
    brought, wanted = [], []
    for asker in range(len(known)):
        at = slice(known.offsets[asker], known.offsets[asker + 1])
        liked = known.history_rows[at][known.history_liked[at]]
        brought.append(liked[::2])
        wanted.append(liked[1::2])
    strangers = guests(rec, brought)
    most = min(LENGTHS[-1], rec.snapshot.n_items)
    theirs, ours = bundle_lists(rec, strangers, most), file_lists(file, ids, strangers, most)
    lost = {}
    for k in LENGTHS:
        before, after = (_hits(lists, wanted, k) for lists in (theirs, ours))
        lost[f"recall@{k} of known rows"] = 1 - after / before if before else 0.0
    own = _same(rec, file, ids, known)
    return {**lost, "places of the top 10": 1 - own}


def lost_predictions(rec: "Recommender", path: Path, settings: "Settings") -> dict[str, float]:
    """How much larger the error of the file's predictions is, on ratings that the bundle knows.

    Args:
        rec: with a ranker.
        path: the file.
        settings: how many users.

    Returns:
        Name -> share by which it grows.
    """
    snapshot = rec.snapshot
    held = snapshot.histories
    if held.ratings is None or not len(held.ratings):
        return {}
    rows = sample_rows(len(held.ratings), 100 * settings.users)
    users = np.searchsorted(held.offsets, rows, side="right").astype(np.int32) - 1
    theirs, ours = predicted_pairs(rec, File(path), users, held.item_rows[rows][:, None])
    errors = [np.sqrt(np.mean((one - held.ratings[rows]) ** 2)) for one in (theirs, ours)]
    return {"RMSE of known rows": float(errors[1] / errors[0] - 1) if errors[0] else 0.0}


def lost_vectors(rec: "Recommender", path: Path, settings: "Settings") -> dict[str, float]:
    """How far the file's vectors of known users or of items turn away.

    Args:
        rec: with vectors.
        path: the file.
        settings: the part, and how many are asked.

    Returns:
        Name -> mean of 1 - cosine.
    """
    ids, part = Ids(rec), vector_part(rec)
    if settings.part == "item":
        rows = sample_rows(rec.snapshot.n_items, settings.users)
        wanted = part.item_vectors[rows]
        names = np.array([ids.items[row] for row in rows], object)
        found = File(path).ask(item_id=names)["vector"]
    else:
        known, _ = askers(rec, settings)
        wanted, found = part.encode(known), File(path).ask(**ids.asked(known))["vector"]
    size = np.linalg.norm(wanted, axis=1) * np.linalg.norm(found, axis=1)
    there = size > 0
    cosines = (wanted * found).sum(axis=1)[there] / size[there]
    return {"direction": float(1 - cosines.mean()) if there.any() else 0.0}


def insist_on_quality(lost: dict[str, float], what: str) -> None:
    """Refuse a file that lost too much.

    Args:
        lost: as measured.
        what: was exported, for the message.

    Raises:
        ExportError: it lost more than ``MOST_LOST``.
    """
    name = f"recall@{LENGTHS[-1]} of known rows"
    if lost.get(name, 0.0) > MOST_LOST:
        msg = f"{what} would lose {lost[name]:.1%} of its {name}; {MOST_LOST:.0%} is the most. Export with more exact weights: float16, or float32"
        raise ExportError(msg)


def _hits(lists: TopK, wanted: list[NDArray[np.int32]], k: int) -> int:
    return sum(
        int(np.isin(rows, lists.rows[asker, :k]).sum()) for asker, rows in enumerate(wanted)
    )


def _same(rec: "Recommender", file: File, ids: Ids, known: Queries) -> float:
    k = min(LENGTHS[0], rec.snapshot.n_items)
    theirs, ours = bundle_lists(rec, known, k), file_lists(file, ids, known, k)
    same = [
        np.isin(a[a >= 0], b).mean()
        for a, b in zip(theirs.rows, ours.rows, strict=True)
        if (a >= 0).any()
    ]
    return float(np.mean(same)) if same else 1.0
