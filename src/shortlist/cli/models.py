"""The names of retrievers and rankers on the command line: the one place where they are listed."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from shortlist.errors import ConfigError, closest

if TYPE_CHECKING:
    from shortlist.data.protocols import Ranker, Retriever
    from shortlist.recommender.recommender import Recommender

# name on the command line -> class in shortlist.retrieval, in shortlist.ranking
RETRIEVERS: Mapping[str, str] = {
    "popularity": "Popularity",
    "ease": "EASE",
    "neighbours": "Neighbours",
    "two-tower": "TwoTower",
    "content": "Content",
    "blend": "Blend",
}
RANKERS: Mapping[str, str] = {"rating": "RatingNetwork", "bias": "Biases"}


def make_recommender(
    retrieve: str, rank: str | None, seed: int, *, keep_seen: bool = False
) -> "Recommender":
    """Build what ``--retrieve`` and ``--rank`` name.

    Args:
        retrieve: names with commas between.
        rank: a name, or None.
        seed: for the parts that take one.
        keep_seen: whether lists may hold what the asker already has.

    Returns:
        A Recommender that is not fitted.
    """
    import shortlist as sl

    names = [name.strip() for name in retrieve.split(",")]
    parts: Sequence[Retriever] = [
        _make(sl.retrieval, RETRIEVERS, "retriever", name, seed) for name in names
    ]
    ranker: Ranker | None = (
        None if rank is None else _make(sl.ranking, RANKERS, "ranker", rank, seed)
    )
    if keep_seen:
        return sl.Recommender(parts, ranker, rules=())
    return sl.Recommender(parts, ranker)


def _make(home: object, known: Mapping[str, str], what: str, name: str, seed: int) -> Any:
    if name not in known:
        msg = (
            f"no {what} {name!r}; choose among {', '.join(known)}.{closest(name, list(known))}"
        )
        raise ConfigError(msg)
    kind = getattr(home, known[name])
    seeded = any(setting.name == "seed" for setting in fields(kind))
    return kind(seed=seed) if seeded else kind()
