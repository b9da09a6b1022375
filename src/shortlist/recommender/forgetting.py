"""Forgetting people: out of ids, histories and columns, and out of every part that holds a line for each user.

What many users taught together stays until the next training: item vectors, layers, similarities
between items, counts.
"""

import shutil
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.snapshot import Snapshot
from shortlist.data.states import Part, without_users
from shortlist.data.vocabulary import UserOrItemId, Vocabulary, id_series
from shortlist.errors import BundleError
from shortlist.recommender.bundle import load
from shortlist.recommender.locking import alone_in
from shortlist.recommender.publishing import point_at, pointed_at, versions
from shortlist.recommender.recommender import Recommender
from shortlist.recommender.saving import save


class LinesOut(Protocol):
    """What takes the lines of user rows out of fitted parts."""

    def __call__(self, models: Sequence[Part], rows: NDArray[np.int64]) -> tuple[Part, ...]:
        """The parts without these lines; see :func:`shortlist.data.states.without_users`."""
        ...


def without_people(
    recommender: Recommender,
    users: Iterable[UserOrItemId],
    *,
    lines_out: "LinesOut" = without_users,
) -> Recommender:
    """A recommender as if it had never held some people's ids, rows, columns and vectors.

    They are answered as strangers from then on. Item vectors, layers, similarities and counts, which
    many users taught together, stay as they are until the next training.

    Args:
        recommender: fitted; it is left as it is.
        users: their ids; who is not known has nothing to be taken out.
        lines_out: takes the lines of user rows out of fitted parts.

    Returns:
        A fitted Recommender.
    """
    snapshot, growth = recommender.snapshot, recommender.growth
    ids = id_series(list(users), name="user_id")
    rows = np.unique(snapshot.user_vocabulary.rows(ids)).astype(np.int64)
    rows = rows[rows >= 0]
    fitted = rows if growth is None else rows[rows < growth.n_users]
    *retrievers, fallback = lines_out((*recommender.retrievers, recommender.fallback), fitted)
    rank = None
    if recommender.rank is not None:
        (rank,) = lines_out((recommender.rank,), fitted)
    return recommender.with_parts(
        snapshot=_snapshot_without(snapshot, rows, ids),
        growth=growth and replace(growth, n_users=growth.n_users - len(fitted)),
        retrieve=retrievers,
        rank=rank,
        fallback=fallback,
    )


def forget(path: str | Path, users: Iterable[UserOrItemId]) -> dict[str, str]:
    """Take people out of every version of a bundle.

    Each version from the first that holds one of them is written anew without them, in the same order;
    CURRENT then names the new form of what it named, and the old versions are removed. Whoever has
    the bundle open goes on with what is in memory until it is opened again. After a crash, call it
    again: it finds what is left.

    Args:
        path: the bundle's folder.
        users: their ids.

    Returns:
        Old name of a version -> its new name; empty where nobody was known.

    Raises:
        BundleError: a version cannot be read or written; the versions that hold the people are still
            there.
    """
    wanted = set(id_series(list(users), name="user_id").cast(pl.String))
    path = Path(path)
    return forget_by(path, lambda version: ids_in(path, version) & wanted)


def forget_by(path: Path, whom: Callable[[str], Set[str]]) -> dict[str, str]:
    """Take other people out of each version of a bundle.

    Args:
        path: the bundle's folder.
        whom: tells the people, by their ids as text, whom a version holds and must not hold; it is
            asked once for each version, in their order.

    Returns:
        As for :func:`forget`.

    Raises:
        BundleError: as for :func:`forget`.
    """
    with alone_in(path):
        return _written_anew(path, whom)


def _written_anew(path: Path, whom: Callable[[str], Set[str]]) -> dict[str, str]:
    held = versions(path)
    found = {name: whom(name) for name in held}
    first = next((n for n, name in enumerate(held) if found[name]), len(held))
    current, renamed = pointed_at(path)[0], dict[str, str]()
    for name in held[first:]:  # also those that hold nobody of them: the order stays
        clean = without_people(load(path, version=name), sorted(found[name]))
        renamed[name] = save(clean, path, current=False).name
    if not renamed:
        return {}
    if current in renamed:
        point_at(path, renamed[current])
    try:
        for name in renamed:
            shutil.rmtree(path / "versions" / name)
    except OSError as error:
        msg = f"{path} was written anew without them, but an old version cannot be removed ({error}). Remove {sorted(renamed)} from its versions by hand"
        raise BundleError(msg) from error
    return renamed


def ids_in(path: Path, version: str) -> set[str]:
    """Everybody whom a version holds.

    Args:
        path: the bundle's folder.
        version: of the bundle.

    Returns:
        Their ids, as text.

    Raises:
        BundleError: it cannot be read.
    """
    folder = path / "versions" / version
    tables = [folder / "users.parquet", folder / "user_columns.parquet"]
    try:
        read = [
            pl.read_parquet(one, columns=["user_id"])["user_id"].cast(pl.String)
            for one in tables
            if one.exists()
        ]
    except (OSError, pl.exceptions.PolarsError) as error:
        msg = f"the people in {folder} cannot be read: {error}"
        raise BundleError(msg) from error
    return {user_id for ids in read for user_id in ids}


def _snapshot_without(snapshot: Snapshot, rows: NDArray[np.int64], ids: pl.Series) -> Snapshot:
    known = snapshot.user_vocabulary.ids
    stay = np.setdiff1d(np.arange(len(known)), rows).astype(np.int32)
    users = snapshot.users
    if users is not None:
        users = users.filter(
            ~users["user_id"].cast(pl.String).is_in(ids.cast(pl.String).to_list())
        )
    return replace(
        snapshot,
        user_vocabulary=Vocabulary(known[stay], name="user_id"),
        histories=snapshot.histories.of_users(stay),
        users=users,
    )
