"""Forgetting people: out of ids, histories and columns, and out of every part that holds a line for each user.

What many users taught together stays until the next training: item vectors, layers, similarities
between items, counts.
"""

import json
import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
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
from shortlist.recommender.files import check_files
from shortlist.recommender.locking import alone_in
from shortlist.recommender.publishing import point_at, pointed_at, versions
from shortlist.recommender.recommender import Recommender
from shortlist.recommender.saving import save

_SETTLED_SECONDS = 3600  # nobody takes so long between two files of a copy
_log = logging.getLogger(__name__)


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
        BundleError: the versions cannot be written: they are as they were. Or one cannot be read and
            may hold the people: all others were written anew. It is removed, with a logged warning,
            once it is damaged, is not the current one, and nothing in it changed for an hour.
    """
    wanted = set(id_series(list(users), name="user_id").cast(pl.String))
    path = Path(path)
    made = forget_by(path, lambda version: ids_in(path, version) & wanted)
    if made.left:
        msg = f"{'; '.join(made.left)}. All other versions are without them. Restore or remove what cannot be read; what is damaged, and not the current version, goes by forgetting again an hour after its last change"
        raise BundleError(msg)
    return made.renamed


@dataclass(frozen=True)
class WrittenAnew:
    """What became of the versions of a bundle.

    Attributes:
        renamed: old name of a version -> its new name.
        left: for each version that may hold the people still, as it cannot be read, what to know.
    """

    renamed: dict[str, str]
    left: tuple[str, ...]


def forget_by(path: Path, whom: Callable[[str], Set[str]]) -> WrittenAnew:
    """Take other people out of each version of a bundle.

    Args:
        path: the bundle's folder.
        whom: tells the people, by their ids as text, whom a version holds and must not hold; it is
            asked once for each version, in their order.

    Returns:
        What became of the versions.

    Raises:
        BundleError: one cannot be written, or an old one cannot be removed.
    """
    with alone_in(path):
        return _written_anew(path, whom)


def _written_anew(path: Path, whom: Callable[[str], Set[str]]) -> WrittenAnew:
    renamed, unread = dict[str, str](), dict[str, str]()
    current = pointed_at(path)[0]
    try:
        for name, found in _found(path, whom, unread):
            if not found and not renamed:
                continue  # the first to be written holds one of them; after it all are: the order stays
            try:
                whole = load(path, version=name)
            except BundleError as error:
                if found:
                    unread[name] = str(error)
                continue
            clean = without_people(whole, sorted(found))
            renamed[name] = save(clean, path, current=False).name
        if current in renamed:
            point_at(path, renamed[current])
    except BaseException:
        for name in set(renamed.values()) - {pointed_at(path)[0]}:
            shutil.rmtree(path / "versions" / name, ignore_errors=True)
        raise
    _remove(path, renamed)
    for name in [one for one in unread if one != current and _gone_bad(path, one)]:
        _remove(path, [name])
        _log.warning(
            "version %s of %s was removed: it could never answer, and may have held somebody forgotten: %s",
            name,
            path,
            unread.pop(name),
        )
    left = (
        f"version {name} of {path} cannot be read, and may hold who is to be forgotten: {why}"
        for name, why in unread.items()
    )
    return WrittenAnew(renamed, tuple(left))


def _found(
    path: Path, whom: Callable[[str], Set[str]], unread: dict[str, str]
) -> Iterator[tuple[str, Set[str]]]:
    for name in versions(path):
        try:
            yield name, whom(name)
        except BundleError as error:
            unread[name] = str(error)


def _remove(path: Path, names: Iterable[str]) -> None:
    for name in names:
        try:
            shutil.rmtree(path / "versions" / name)
        except OSError as error:
            msg = f"{path} was written anew without them, but version {name} cannot be removed ({error}). Remove it by hand"
            raise BundleError(msg) from error


def _gone_bad(path: Path, version: str) -> bool:
    # not what was published, and not a copy that is still being made; a copy may bring old mtimes along
    folder = path / "versions" / version
    try:
        changed = max(one.lstat().st_ctime for one in (folder, *folder.rglob("*")))
        if time.time() - changed < _SETTLED_SECONDS:
            return False
        seals = dict(json.loads((folder / "manifest.json").read_bytes())["files"])
        check_files(folder, seals)
    except OSError as error:
        return isinstance(error, FileNotFoundError)
    except BundleError as error:  # what cannot be read now may be whole
        cause = error.__cause__
        return cause is None or isinstance(cause, FileNotFoundError)
    except (KeyError, TypeError, ValueError):
        return True
    return False


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
