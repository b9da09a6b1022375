"""The names of retrievers and rankers on the command line: the one place where they are listed."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from shortlist.cli.settings import read_settings
from shortlist.errors import ConfigError, closest

if TYPE_CHECKING:
    from shortlist.data.protocols import Ranker, Retriever
    from shortlist.recommender.recommender import Recommender

# name on the command line -> class in shortlist.retrieval, in shortlist.ranking
RETRIEVERS: Mapping[str, str] = {
    "popularity": "Popularity",
    "ease": "EASE",
    "als": "ALS",
    "graph-filter": "GraphFilter",
    "next-item": "NextItem",
    "neighbours": "Neighbours",
    "two-tower": "TwoTower",
    "sequence": "SequenceTower",
    "content": "Content",
    "blend": "Blend",
}
AUTO = "auto"  # in place of names: train tries them all
RANKERS: Mapping[str, str] = {
    "rating": "RatingNetwork",
    "bias": "Biases",
    "factorisation": "Factorisation",
    "stack": "Stack",
    "boosted": "Boosted",
    "network": "ListNetwork",
}
LIST_RANKERS = ("boosted", "network")  # they learn from what was taken, not from ratings


def make_recommender(
    retrieve: str,
    rank: str | None,
    seed: int,
    *,
    keep_seen: bool = False,
    settings: Sequence[str] | None = None,
) -> "Recommender":
    """Build what ``--retrieve`` and ``--rank`` name.

    Args:
        retrieve: names with commas between.
        rank: a name, or None.
        seed: for the parts that take one.
        keep_seen: whether lists may hold what the asker already has.
        settings: as given to ``--set``.

    Returns:
        A Recommender that is not fitted.
    """
    import shortlist as sl

    names = [name.strip() for name in retrieve.split(",")]
    given = _by_name(names, settings or ())
    parts: Sequence[Retriever] = [
        _make(sl.retrieval, RETRIEVERS, "retriever", name, seed, given[name]) for name in names
    ]
    ranker: Ranker | None = (
        None if rank is None else _make(sl.ranking, RANKERS, "ranker", rank, seed)
    )
    if keep_seen:
        return sl.Recommender(parts, ranker, rules=())
    return sl.Recommender(parts, ranker)


def _by_name(names: Sequence[str], settings: Sequence[str]) -> dict[str, list[str]]:
    # whose each setting is: NAME=VALUE of the only retriever, or RETRIEVER.NAME=VALUE
    given: dict[str, list[str]] = {name: [] for name in names}
    for pair in settings:
        owner, dot, rest = pair.partition("=")[0].partition(".")
        if dot and owner in given:
            given[owner].append(rest + pair[len(owner) + 1 + len(rest) :])
        elif len(names) == 1:
            given[names[0]].append(pair)
        else:
            msg = f"--set {pair} does not say whose setting it is; write {names[0]}.{pair}, for one of {', '.join(names)}"
            raise ConfigError(msg)
    return given


def _make(
    home: object,
    known: Mapping[str, str],
    what: str,
    name: str,
    seed: int,
    settings: Sequence[str] = (),
) -> Any:
    if name == AUTO:
        msg = "auto stands alone, and only in train: shortlist train --retrieve auto"
        raise ConfigError(msg)
    if name not in known:
        msg = (
            f"no {what} {name!r}; choose among {', '.join(known)}.{closest(name, list(known))}"
        )
        raise ConfigError(msg)
    kind = getattr(home, known[name])
    given = read_settings(kind, name, settings)
    if any(setting.name == "seed" for setting in fields(kind)):
        given.setdefault("seed", seed)
    return kind(**given)
