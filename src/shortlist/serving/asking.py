"""Many requests as one question to the recommender: the same path as ``Recommender.recommend``.

Requests with different filters, lengths and users share a batch: each has its own mask and its own
exclusions in one :class:`~shortlist.data.eligible.Eligible`.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shortlist.data.eligible import Eligible
from shortlist.data.queries import Queries
from shortlist.errors import ShortlistError
from shortlist.recommender.finishing import Finish
from shortlist.recommender.reasons import Reasons, reasons
from shortlist.recommender.rules import Seen
from shortlist.recommender.stages import Answer
from shortlist.rerank import Diverse
from shortlist.serving import logs
from shortlist.serving.answerable import insist_answerable
from shortlist.serving.overlay import Asker, Overlay, guest
from shortlist.serving.refusals import Refused
from shortlist.serving.running import Running

if TYPE_CHECKING:
    from shortlist.data.protocols import Reranker

Id = str | int


@dataclass(frozen=True, eq=False, kw_only=True)
class Question:
    """A request for a shortlist.

    Attributes:
        user_id: who asks; None for a guest.
        history: of a guest, ids or unique titles.
        about: of a guest, columns of the users' table.
        k: how many.
        where: a condition on the catalogue.
        allow: only these items.
        deny: not these items.
        keep_seen: whether to leave seen items in.
        context: columns known at the time of asking.
        explain: whether to give reasons.
        diversity: strength of :class:`~shortlist.rerank.Diverse`; None for the recommender's own.
        plain: whether to leave re-ranking and exploration out.
    """

    user_id: Id | None = None
    history: Sequence[Id] = ()
    about: Mapping[str, object] | None = None
    k: int = 10
    where: str | None = None
    allow: Sequence[Id] | None = None
    deny: Sequence[Id] | None = None
    keep_seen: bool = False
    context: Mapping[str, object] | None = None
    explain: bool = False
    diversity: float | None = None
    plain: bool = False


@dataclass(frozen=True, eq=False)
class Reply:
    """A shortlist as rows.

    Attributes:
        running: what answered.
        rows: of items, best first.
        scores: of the last stage.
        sources: the part that proposed each.
        propensity: of each, or None.
        known_user: whether anything is known of the asker.
        fallback: whether the list is the fallback's.
        unknown_items: how many items of the request the catalogue lacks.
        because: for each, entries of the history; None where not asked for.
        ranked_by: for each, features; None where not asked for, or nothing can be told.
    """

    running: Running
    rows: list[int]
    scores: list[float]
    sources: list[str]
    propensity: list[float] | None
    known_user: bool
    fallback: bool
    unknown_items: int
    because: list[list[dict[str, Any]]] | None = None
    ranked_by: list[list[dict[str, Any]]] | None = None


@dataclass(frozen=True, eq=False)
class _Prepared:
    place: int  # in the batch
    question: Question
    asker: Asker
    k: int
    mask: NDArray[np.bool_] | None
    unknown: int
    group: Hashable


def answer_batch(
    running: Running, overlay: Overlay, questions: Sequence[Question]
) -> list[Reply | Exception]:
    """Answer requests together.

    Args:
        running: answers.
        overlay: knows what happened since.
        questions: any number.

    Returns:
        A reply for each, or why there is none.
    """
    replies: list[Reply | Exception] = [Refused(500, "defect", "no answer was made")] * len(
        questions
    )
    groups: dict[Hashable, list[_Prepared]] = {}
    for place, question in enumerate(questions):
        try:
            one = _prepared(running, overlay, place, question)
        except Exception as error:  # this request's alone
            replies[place] = error
        else:
            groups.setdefault(one.group, []).append(one)
    for group in groups.values():
        for one, reply in zip(group, _answered(running, overlay, group), strict=True):
            replies[one.place] = reply
    return replies


def queries_of(
    running: Running, overlay: Overlay, askers: Sequence[Asker], ids: Sequence[Id | None]
) -> Queries:
    """Askers as one batch of queries.

    Args:
        running: gives the users' columns.
        overlay: knows the time of the latest event.
        askers: n of them, all guests or none.
        ids: (n,) their ids; None for guests.

    Returns:
        n Queries.
    """
    snapshot = running.snapshot
    counts = [len(one.rows) for one in askers]
    times = [one.times for one in askers if one.times is not None]
    ratings = [one.ratings for one in askers if one.ratings is not None]
    ages = None
    if len(times) == len(askers) and snapshot.last_time is not None:
        now = max(snapshot.last_time, overlay.latest)
        ages = (now - np.concatenate(times)).astype(np.float64)
    users = None
    if snapshot.users is not None and ids[0] is not None:
        users = snapshot.queries(
            [
                str(one) if row.user_row >= 0 else ""
                for one, row in zip(ids, askers, strict=True)
            ]
        ).users
    return Queries(
        np.array([one.user_row for one in askers], np.int32),
        np.concatenate([one.rows for one in askers]),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.concatenate([one.liked for one in askers]),
        ages,
        np.concatenate(ratings) if len(ratings) == len(askers) else None,
        users,
    )


def _prepared(running: Running, overlay: Overlay, place: int, asked: Question) -> _Prepared:
    unknown = 0
    if asked.user_id is not None:
        asker = overlay.asker(running, str(asked.user_id))
    else:
        rows, unknown = running.rows(asked.history)
        asker = guest(rows)
    mask, lacking = _mask(running, asked)
    insist_answerable(running, asked.context, asked.diversity)
    k = min(asked.k, running.snapshot.n_items)
    recommender = running.recommender
    plain = asked.plain or (
        asked.diversity is None and not recommender.rerankers and recommender.explore is None
    )
    alone = asked.about is not None or asked.context is not None
    group = (
        place if alone else -1,
        asked.user_id is None,
        asked.diversity,
        asked.plain,
        0 if plain and k <= recommender.candidates else k,
    )
    return _Prepared(place, asked, asker, k, mask, unknown + lacking, group)


def _mask(running: Running, asked: Question) -> tuple[NDArray[np.bool_] | None, int]:
    if asked.where is None and asked.allow is None and asked.deny is None:
        return running.standing_mask, 0
    masks, unknown = [], 0
    if asked.where is not None:
        masks.append(running.mask_of(asked.where))
    for items, wanted in ((asked.allow, True), (asked.deny, False)):
        if items is not None:
            rows, lacking = running.rows(items)
            unknown += lacking
            mask = np.full(running.snapshot.n_items, not wanted)
            mask[rows] = wanted
            masks.append(mask)
    # given candidates are ordered, all of them
    if running.standing_mask is not None and not asked.plain:
        masks.append(running.standing_mask)
    return np.logical_and.reduce(masks), unknown


def _answered(
    running: Running, overlay: Overlay, group: Sequence[_Prepared]
) -> list[Reply | Exception]:
    try:
        return _together(running, overlay, group)
    except Exception as error:  # the fault of one must not fall on the others
        if len(group) > 1:
            logs.say("batch_split", level="warning", size=len(group), kind=type(error).__name__)
            return [one for each in group for one in _answered(running, overlay, [each])]
        return [_said(error)]


def _said(error: Exception) -> Exception:
    if isinstance(error, ShortlistError):
        return Refused(
            422,
            "cannot_answer",
            "this bundle cannot answer that; look at the values in about and context",
        )
    return error


def _together(
    running: Running, overlay: Overlay, group: Sequence[_Prepared]
) -> list[Reply | Exception]:
    first, width = group[0].question, max(one.k for one in group)
    queries = queries_of(
        running,
        overlay,
        [one.asker for one in group],
        [one.question.user_id for one in group],
    )
    if first.user_id is None and running.snapshot.users is not None:
        queries = replace(queries, users=_of_guests(running, group))
    if context := _read(first.context, running.context_columns):
        asked = pl.DataFrame({name: [value] for name, value in context.items()})
        queries = replace(queries, context=asked)
    answer = _finish(running, first).shown(
        running.stages, running.snapshot, queries, width, _eligible(running, group, queries)
    )
    last = len(running.stages.retrievers)
    rows, scores, source = answer.top.rows, answer.top.scores.tolist(), answer.source.tolist()
    filled = (rows >= 0).sum(axis=1).tolist()
    listed = rows.tolist()
    made: list[Reply | Exception] = []
    for line, one in enumerate(group):
        k = min(one.k, filled[line])
        drawn = answer.propensity
        because, ranked_by = _explained(running, one, queries, answer, line, k)
        made.append(
            Reply(
                running,
                listed[line][:k],
                scores[line][:k],
                [answer.parts[part] for part in source[line][:k]],
                None if drawn is None else drawn[line, :k].tolist(),
                one.asker.user_row >= 0 or len(one.asker.rows) > 0,
                last in source[line][:k],
                one.unknown,
                because,
                ranked_by,
            )
        )
    return made


def _of_guests(running: Running, group: Sequence[_Prepared]) -> pl.DataFrame | None:
    tables = [
        running.snapshot.guest(about=_read(one.question.about, running.about_columns)).users
        for one in group
    ]
    there = [table for table in tables if table is not None]
    return pl.concat(there, how="vertical_relaxed") if there else None


def _read(given: Mapping[str, object] | None, columns: Sequence[str]) -> Mapping[str, object]:
    # what another bundle of the service reads is none of this one's
    return {name: value for name, value in (given or {}).items() if name in columns}


def _finish(running: Running, asked: Question) -> Finish:
    recommender, nothing = running.recommender, np.empty(0, np.int32)
    if asked.plain:
        return Finish((), None, None, nothing)
    rerank: Sequence[Reranker] = recommender.rerankers
    if asked.diversity is not None:
        rerank = [Diverse(asked.diversity)] if asked.diversity else []
    return Finish(rerank, recommender.explore, None, nothing)


def _eligible(running: Running, group: Sequence[_Prepared], queries: Queries) -> Eligible:
    seen = next((rule for rule in running.recommender.rules if isinstance(rule, Seen)), None)
    n = len(group)
    if seen is None:
        rows, offsets = np.empty(0, np.int32), np.zeros(n + 1, np.int64)
    else:
        rows, offsets = seen.excluded(queries)
        kept = np.array([one.question.keep_seen for one in group])
        if kept.any():
            rows = np.where(kept[queries.askers], -1, rows).astype(np.int32)
    numbers: dict[int, int] = {}
    masks: list[NDArray[np.bool_]] = []
    of_query = np.full(n, -1, np.int32)
    for line, one in enumerate(group):
        if one.mask is not None:
            of_query[line] = numbers.setdefault(id(one.mask), len(masks))
            if of_query[line] == len(masks):
                masks.append(one.mask)
    stacked = np.stack(masks) if masks else np.zeros((0, 0), bool)
    return Eligible(rows, offsets, stacked, of_query)


def _explained(
    running: Running, one: _Prepared, queries: Queries, answer: Answer, line: int, k: int
) -> Reasons | tuple[None, None]:
    if not one.question.explain:
        return None, None
    top = answer.top
    mine = Answer(
        type(top)(top.rows[line : line + 1, :k], top.scores[line : line + 1, :k]),
        answer.source[line : line + 1, :k],
        answer.parts,
    )
    asked = queries.slice(line, line + 1)
    return reasons(running.recommender, asked, mine)
