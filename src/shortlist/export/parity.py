"""Whether an exported file answers as the bundle does: the same items, in order, with the same scores."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shortlist.data.queries import Queries
from shortlist.data.topk import TopK
from shortlist.errors import ExportError
from shortlist.recommender.rules import Seen

if TYPE_CHECKING:
    from shortlist.recommender.recommender import Recommender

TOLERANCE = 1e-4  # of a score, relative to the spread of the asker's list; float32 adds in another order
_MOVED = 0.005  # of the places, by ties within the first of several stages
_FURTHER = 100  # places beyond k in which an item of equal score may stand


@dataclass(frozen=True)
class Parity:
    """How the answers of a file compare with the bundle's.

    Attributes:
        askers: who were asked.
        places: that were compared.
        equal: places with the same item.
        tied: places with another item of the same score.
        apart: the largest difference of scores, relative to the size of the scores.
        allowed: share of the places that may differ. With several stages, two items that tie in one
            retriever's list take different places in the next, and score differently there.
    """

    askers: int
    places: int
    equal: int
    tied: int
    apart: float
    allowed: float = 0.0

    @property
    def agrees(self) -> bool:
        """Whether the places are the same or tied, and no score is apart."""
        alike = self.equal + self.tied
        if self.allowed:
            return alike >= (1 - self.allowed) * self.places
        return alike == self.places and self.apart <= TOLERANCE

    def beside(self, other: "Parity") -> "Parity":
        """Both comparisons as one.

        Args:
            other: of further askers.

        Returns:
            A Parity over all of them.
        """
        return Parity(
            self.askers + other.askers,
            self.places + other.places,
            self.equal + other.equal,
            self.tied + other.tied,
            max(self.apart, other.apart),
            max(self.allowed, other.allowed),
        )

    def __str__(self) -> str:
        return (
            f"{self.askers:,} askers, {self.equal:,} of {self.places:,} places equal, {self.tied:,} tied, "
            f"scores within {self.apart:.1e}"
        )


def sample_rows(n: int, most: int) -> NDArray[np.int32]:
    """Some of the rows 0..n-1, evenly spread.

    Args:
        n: how many there are.
        most: how many to take at most.

    Returns:
        (min(n, most),) rising int32.
    """
    return np.unique(np.linspace(0, max(n - 1, 0), min(n, most)).astype(np.int32))[:n]


def bundle_lists(rec: "Recommender", queries: Queries, k: int) -> TopK:
    """The bundle's answers as far as a file can hold them: no rules but the seen, no re-ranking.

    Args:
        rec: the recommender.
        queries: n askers.
        k: places.

    Returns:
        A TopK (n, k).
    """
    return plain(rec).answer(queries, k).top


def plain(rec: "Recommender") -> "Recommender":
    """The same recommender without what files do not hold: rules but the seen, re-ranking, exploration.

    Args:
        rec: a fitted recommender.

    Returns:
        One of the same fitted parts.
    """
    rules = [rule for rule in rec.rules if isinstance(rule, Seen)]
    return rec.with_parts(rules=rules, rerank=(), explore=None)


def compare_lists(rec: "Recommender", queries: Queries, found: TopK) -> Parity:
    """Compare a file's lists with the bundle's, ties by score aside.

    Args:
        rec: the recommender.
        queries: n askers.
        found: (n, k) what the file answered, as item rows.

    Returns:
        How they compare.
    """
    n, k = found.rows.shape
    # how many are asked for changes what several stages propose
    one_stage = len(rec.retrievers) == 1 and (rec.rank is None or not rec.rank_lists)
    wide = bundle_lists(rec, queries, min(k + _FURTHER * one_stage, rec.snapshot.n_items))
    rows, scores = wide.rows[:, :k], wide.scores[:, :k]
    filled = (rows >= 0) | (found.rows >= 0)
    equal = (rows == found.rows) & filled
    size = np.maximum(np.abs(np.where(rows >= 0, scores, 0)).max(axis=1, initial=0), 1e-9)
    margin = TOLERANCE * size[:, None]
    with np.errstate(invalid="ignore"):  # where nothing stands, scores are -inf
        apart = np.where(rows == found.rows, 0.0, np.inf)
        both = (rows >= 0) & (found.rows >= 0)
        apart[both] = np.abs(scores - found.scores)[both]
    same = found.rows[:, :, None] == wide.rows[:, None, :]  # (n, k, places of the bundle)
    there = same.any(axis=2) & (found.rows >= 0)
    own = np.where(there, np.take_along_axis(wide.scores, same.argmax(axis=2), axis=1), np.inf)
    with np.errstate(invalid="ignore"):
        tied = ~equal & filled & there & (np.abs(own - scores) <= margin)
    return Parity(
        n,
        int(filled.sum()),
        int(equal.sum()),
        int(tied.sum()),
        float((apart / size[:, None])[filled].max(initial=0.0)),
        0.0 if one_stage else _MOVED,
    )


def compare_numbers(
    wanted: NDArray[np.float32], found: NDArray[np.float32], askers: int
) -> Parity:
    """Compare vectors or predictions.

    Args:
        wanted: the bundle's, of any shape.
        found: the file's.
        askers: how many were asked.

    Returns:
        How they compare; a place is equal where the numbers are within the tolerance.
    """
    size = max(float(np.abs(wanted).max(initial=0.0)), 1e-9)
    apart = np.abs(wanted - found) / size
    return Parity(
        askers,
        wanted.size,
        int((apart <= TOLERANCE).sum()),
        0,
        float(apart.max(initial=0.0)),
    )


def insist(parity: Parity, what: str) -> None:
    """Refuse a file that disagrees with the bundle.

    Args:
        parity: how they compare.
        what: was exported, for the message.

    Raises:
        ExportError: they differ.
    """
    if not parity.agrees:
        msg = (
            f"{what} would not answer as the bundle does ({parity}), so it is not written. "
            "Please report it, with the models that the bundle holds"
        )
        raise ExportError(msg)


@contextmanager
def written_whole(out: Path) -> Iterator[Path]:
    """A temporary file beside the target, which gets its name when all is well and is removed otherwise.

    Args:
        out: the target.

    Yields:
        The temporary file.

    Raises:
        ExportError: the folder is not there, or the target is a folder.
    """
    if not out.parent.is_dir() or out.is_dir():
        msg = f"cannot write {out}: {'it is a folder' if out.is_dir() else f'there is no folder {out.parent}'}. Name a file in a folder that exists"
        raise ExportError(msg)
    draft = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        yield draft
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)
