"""Who is asking, in blocks, with what each may get: how every question enters the stages."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.eligible import Eligible
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.data.topk import Candidates
from shortlist.data.vocabulary import IdColumn, UserOrItemId, id_series
from shortlist.errors import ConfigError
from shortlist.recommender.rules import Rule, Seen, listed
from shortlist.recommender.stages import Stages

if TYPE_CHECKING:
    from shortlist.recommender.joined import Joined

_BLOCK = 1024  # askers at a time


def askers(
    snapshot: Snapshot,
    user: UserOrItemId | None,
    users: IdColumn | None,
    history: Iterable[UserOrItemId] | None,
    about: Mapping[str, object] | None,
    context: Mapping[str, object] | None,
) -> tuple[Queries, pl.Series | None]:
    """Who is asking: one user, many, or a guest.

    Args:
        snapshot: knows the users.
        user: one user's id.
        users: many ids.
        history: ids or unique titles that a guest likes, oldest first.
        about: a guest's own columns.
        context: columns known at the time of asking.

    Returns:
        The askers, and their ids; None for a guest.

    Raises:
        ConfigError: not exactly one of the three is given.
    """
    guest = history is not None or about is not None
    if (user is not None) + (users is not None) + guest != 1:
        msg = "say who is asking: exactly one of user=, users= and, for a guest, history= or about="
        raise ConfigError(msg)
    ids = None
    if guest:
        brought = () if history is None else history
        queries = snapshot.guest(listed("history", brought), about=about)
    else:
        given: IdColumn = [user] if user is not None else users if users is not None else []
        given = given if isinstance(given, pl.Series) else listed("users", given)
        ids = id_series(given, name="user_id")
        queries = snapshot.queries(ids)
    if context is not None:
        asked = pl.DataFrame({name: [value] for name, value in context.items()})
        queries = replace(queries, context=pl.concat([asked] * len(queries)))
    return queries, ids


def blocks(
    rec: "Joined",
    queries: Queries,
    rules: Sequence[Rule] = (),
    *,
    keep_seen: bool = False,
) -> Iterator[tuple[Queries, Eligible]]:
    """Cut askers into blocks, each with what it may get.

    Args:
        rec: gives the standing rules.
        queries: n askers.
        rules: further rules for this request.
        keep_seen: whether to leave seen items in.

    Yields:
        Up to 1024 askers, and their limits.
    """
    mask = rec.mask(rules)
    seen = next((rule for rule in [*rules, *rec.rules] if isinstance(rule, Seen)), None)
    for start in range(0, len(queries), _BLOCK):
        block = queries.slice(start, min(start + _BLOCK, len(queries)))
        excluded = None if keep_seen or seen is None else seen.excluded(block)
        yield block, Eligible.of(len(block), excluded=excluded, mask=mask)


def proposals(
    rec: "Joined", stages: Stages, queries: Queries
) -> tuple[Candidates, NDArray[np.bool_]]:
    """What the ranker is handed for each asker, by the path that serves.

    Args:
        rec: gives the rules.
        stages: its parts.
        queries: n askers.

    Returns:
        Candidates (n, m), and (n,) bool whether a retriever knows the asker: the others are
        answered by the fallback, without a ranker.
    """
    found, helped = [], [np.empty(0, bool)]
    for block, may in blocks(rec, queries):
        knows = stages.knows(block)
        found.append(stages.candidates_for(block, 1, may, knows))
        helped.append(np.asarray(knows.any(axis=0)))
    width = max((one.k for one in found), default=1)
    empty = np.empty((len(stages.retrievers), 0, width))
    sources = tuple(part.name for part in stages.retrievers)
    return Candidates(
        np.concatenate(
            [np.empty((0, width), np.int32), *(_wide(c.rows, width, -1) for c in found)]
        ),
        np.concatenate(
            [
                np.empty((0, width), np.float32),
                *(_wide(c.scores, width, -np.inf) for c in found),
            ]
        ),
        sources,
        np.concatenate(
            [empty.astype(np.float32), *(_wide(c.source_scores, width, np.nan) for c in found)],
            axis=1,
        ),
        np.concatenate(
            [empty.astype(np.int32), *(_wide(c.source_ranks, width, 0) for c in found)], axis=1
        ),
    ), np.concatenate(helped)


def _wide(array: NDArray[Any], width: int, filler: float) -> NDArray[Any]:
    lacking = [(0, 0)] * (array.ndim - 1) + [(0, width - array.shape[-1])]
    return np.pad(array, lacking, constant_values=filler)
