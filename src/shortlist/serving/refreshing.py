"""From a bundle and the events that came since to its next version, if that is not worse.

The new rows are cut by time. What was fitted on the bundle's own rows and the earlier events is set against
the running bundle, which is told the same earlier events, on the latest ones, which neither has
seen. If it is not shown to be worse, everything is fitted again on all rows and published. From too few
users nothing could be shown: then the rows wait until there are more.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from shortlist.data.interactions import Interactions
from shortlist.data.vocabulary import same_kind
from shortlist.errors import ConfigError
from shortlist.recommender.learning import insist_extras
from shortlist.recommender.locking import alone_in
from shortlist.recommender.publishing import remove_old
from shortlist.recommender.recommender import Recommender
from shortlist.selection.gating import LEAST_ASKERS, Gate, gate
from shortlist.serving.cleaning import clean
from shortlist.serving.events import Kept, Store
from shortlist.serving.opening import open_running
from shortlist.serving.running import Running
from shortlist.serving.waiting import n_fitted, untold

_LIKED = "liked == true"


@dataclass(frozen=True, eq=False)
class Refreshed:
    """What came of it.

    Attributes:
        events: new ones, after those that the bundle was trained on, and those that waited for an item.
        unknown_items: events left out, as no catalogue has their item; they wait for it.
        repeated: events left out, as the bundle was fitted on the same row.
        off_scale: events left out, as their rating is off the running bundle's scale.
        items: new ones.
        held_back: of the new rows, the latest, on which both were judged.
        behind: whether the store knew of fewer events than the bundle was trained on: it may be the wrong one.
        gate: what they say; None where there was nothing, or too little, to judge.
        version: published; None where nothing was.
        worse: whether it was kept back for being worse.
        verdict: in words.
    """

    events: int
    unknown_items: int
    repeated: int
    off_scale: int
    items: int
    held_back: int
    behind: bool
    gate: Gate | None
    version: str | None
    worse: bool
    verdict: str


def refresh(
    path: Path,
    store: Store,
    *,
    held_back: float = 0.2,
    force: bool = False,
    keep: int | None = None,
    seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> Refreshed:
    """Train on the events, judge, and publish what is not worse. One waits for the other.

    Args:
        path: the bundle's folder.
        store: of the events.
        held_back: share of the new rows, the latest, on which new and running are judged; between 0
            and 1.
        force: whether to publish also what is worse, or cannot be judged.
        keep: how many versions stay when a new one is published; None for all.
        seed: of the intervals.
        say: told of each step.

    Returns:
        What came of it.

    Raises:
        ConfigError: ``held_back`` or ``keep`` is out of range, or a part of the bundle reads columns
            of a context, which neither the bundle's rows nor events have.
        MissingExtraError: what a part of the bundle needs to learn is not installed.
    """
    if not 0 < held_back < 1:
        msg = f"held_back must lie between 0 and 1; got {held_back}"
        raise ConfigError(msg)
    if keep is not None and keep < 1:
        msg = f"keep must be at least 1; got {keep}"
        raise ConfigError(msg)
    # another refresh is waited for: what it learned is not new any more
    with alone_in(path / "versions"):
        return _refreshed(
            path, store, held_back=held_back, force=force, keep=keep, seed=seed, say=say
        )


def _refreshed(
    path: Path,
    store: Store,
    *,
    held_back: float,
    force: bool,
    keep: int | None,
    seed: int,
    say: Callable[[str], None],
) -> Refreshed:
    cleaned = clean(path, store.hash_of, store.forgotten())  # nobody forgotten is learned from
    for words in cleaned.left:
        say(words)
    last, _ = store.marks()
    running, refused = open_running(path, store.items())
    _insist_no_context(running)
    insist_extras(running.recommender.parts)
    behind = _is_behind(store, running, say)
    last = max(last, running.through)  # what was trained on stays so
    events = [one for one in untold(store, running) if one.seq <= last]
    usable = [one for one in events if running.on_scale(one.rating)]
    off_scale = len(events) - len(usable)
    rows, unknown, repeated = _rows_of(running, usable)
    base = _as_liked(running.recommender)
    new_items = running.snapshot.n_items - n_fitted(running)
    test = int(len(rows) * held_back)
    counts = (len(events), unknown, repeated, off_scale, new_items, test, behind)
    say(
        f"{len(events):,} events since version {running.version}: {len(rows):,} new rows, {repeated:,} known, "
        f"{unknown:,} about unknown items, which they wait for, {off_scale:,} with ratings off the scale; {new_items:,} new items, {len(refused):,} that the catalogue cannot hold"
    )
    if not len(rows) and not new_items and not force:
        return Refreshed(*counts, None, None, False, f"nothing new since {running.version}")
    held, earlier = _taken_back(rows.tail(test)), rows.head(len(rows) - test)
    found, askers = None, held.filter("liked")["user_id"].n_unique()
    if askers >= LEAST_ASKERS:
        say(f"judging on the latest {test:,} rows")
        found = _judged(base, earlier, held, seed=seed)
        say(found.verdict)
        if found.worse and not force:
            return Refreshed(*counts, found, None, True, found.verdict)
    elif not force:
        words = f"too few to judge on: of {len(rows):,} new rows the latest {test:,} would be held back, with likes of {askers}, and at least {LEAST_ASKERS} users are needed. They wait for the next time; a greater share held back needs fewer, and force publishes unjudged"
        return Refreshed(*counts, None, None, False, words)
    say("fitting on all rows")
    made = _fitted(base, rows)
    verdict = "published unjudged" if found is None else found.verdict
    made = made.with_parts(
        snapshot=replace(made.snapshot, positive=_condition(running, rows)),
        metrics={"refresh": {"from": running.version, "rows": len(rows), "verdict": verdict}},
    )
    made.events_through = last
    version = made.save(path).name
    if keep is not None:
        remove_old(path, keep)
    # whoever was forgotten while it was fitted
    renamed = clean(path, store.hash_of, store.forgotten()).renamed
    return Refreshed(*counts, found, renamed.get(version, version), False, verdict)


def _is_behind(store: Store, running: Running, say: Callable[[str], None]) -> bool:
    # as a service does when it starts: later events are new
    behind = store.go_on_after(running.through)
    if behind:
        say(
            f"note: these events are not those that version {running.version} was trained on, which went to number {running.through:,}: "
            "they end before it, and are taken as learned from. Later ones are counted from there. Is it the right --state?"
        )
    return behind


def _insist_no_context(running: Running) -> None:
    if columns := running.recommender.context_columns:
        msg = f"{running.path} cannot be refreshed: it was trained with {', '.join(columns)} of the time of asking, which a bundle does not keep of its rows, and events do not have. It goes on answering; train again on a table that has them"
        raise ConfigError(msg)


def _judged(base: Recommender, earlier: pl.DataFrame, held: pl.DataFrame, *, seed: int) -> Gate:
    snapshot = base.snapshot
    new = _fitted(base, earlier)
    told = base.with_parts()  # a copy: it is told of more
    if len(earlier):
        told.update(
            Interactions(_taken_back(earlier), snapshot.catalogue, snapshot.users, _LIKED)
        )
    test = Interactions(held, snapshot.catalogue, snapshot.users, _LIKED)
    return gate(new, told, test, seed=seed)


def _fitted(base: Recommender, rows: pl.DataFrame) -> Recommender:
    before = base.snapshot.interactions()
    users = same_kind(before.table["user_id"], rows["user_id"])
    items = same_kind(before.table["item_id"], rows["item_id"])
    table = pl.concat(
        [
            before.table.with_columns(users[0], items[0]),
            rows.with_columns(users[1], items[1]).select(*before.table.columns, "dismissed"),
        ],
        how="diagonal_relaxed",
    )
    return base.settled().fit(replace(before, table=_taken_back(table)))


def _taken_back(rows: pl.DataFrame) -> pl.DataFrame:
    # what is dismissed, or rated as not liked, later and by the same user is not liked. Events are the rows
    # of which the column that goes says whether they dismiss
    against = pl.col("dismissed").is_not_null() & ~pl.col("liked")
    if not rows.select(against.any()).item():
        return rows.drop("dismissed")
    by_time = rows.with_row_index("_place")
    if "timestamp" in rows.columns:
        by_time = by_time.sort("timestamp", maintain_order=True)
    later = against.cast(pl.Int8).cum_max(reverse=True).over("user_id", "item_id")
    told = by_time.with_columns(pl.col("liked") & (later == 0)).sort("_place")
    return told.drop("_place", "dismissed")


def _rows_of(running: Running, events: Sequence[Kept]) -> tuple[pl.DataFrame, int, int]:
    # new rows by time; how many events are about unknown items; how many the bundle knows
    snapshot, means = running.snapshot, running.mean_ratings
    before = snapshot.interactions().table
    known = [one for one in events if snapshot.item_vocabulary.row(one.item_id) >= 0]
    liked = [running.liked(one.event, one.rating) for one in known]
    columns: dict[str, pl.Series] = {
        "user_id": pl.Series([one.user_id for one in known], dtype=pl.String),
        "item_id": pl.Series([one.item_id for one in known], dtype=pl.String),
        "liked": pl.Series(liked, dtype=pl.Boolean),
        "timestamp": pl.Series([one.timestamp for one in known], dtype=pl.Int64),
        # what stands for a rating that was not given is the same as in the live answers
        "rating": pl.Series(
            [
                means[0 if like else 1] if one.rating is None else one.rating
                for like, one in zip(liked, known, strict=True)
            ],
            dtype=pl.Float32,
        ),
        "weight": pl.Series([1.0] * len(known), dtype=pl.Float32),
        "dismissed": pl.Series([one.event == "dismiss" for one in known], dtype=pl.Boolean),
    }
    rows = pl.DataFrame(columns).sort("timestamp", maintain_order=True)
    fresh = rows
    if "timestamp" in before.columns:
        # as in the live answers: a dismissal was trained on only where the row is not liked
        there = before.select(
            pl.col("user_id", "item_id").cast(pl.String),
            "timestamp",
            known_liked=pl.col("liked") if "liked" in before.columns else pl.lit(value=True),
        )
        there = there.group_by("user_id", "item_id", "timestamp").agg(
            pl.col("known_liked").all()
        )
        same = ["user_id", "item_id", "timestamp"]
        found = rows.join(there, on=same, how="left", maintain_order="left")
        known_row = pl.col("known_liked").is_not_null()
        fresh = found.filter(~known_row | (pl.col("dismissed") & pl.col("known_liked")))
    kept = ["user_id", "item_id", "liked", "dismissed"]
    kept += [name for name in ("timestamp", "rating", "weight") if name in before.columns]
    return fresh.select(kept), len(events) - len(known), len(rows) - len(fresh)


def _condition(running: Running, rows: pl.DataFrame) -> str | None:
    # a bundle without a condition needs one as soon as something was disliked
    before = running.snapshot.positive
    return _LIKED if before is None and not rows["liked"].all() else before


def _as_liked(recommender: Recommender) -> Recommender:
    return recommender.with_parts(snapshot=replace(recommender.snapshot, positive=_LIKED))
