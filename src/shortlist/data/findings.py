"""From the numbers of a check-up to words: what to know, and what to do."""

import math
from collections.abc import Iterator

from shortlist.data.checkup import Checkup, Finding, RatingScale, Times

ENOUGH_ROWS = 5  # so many rows of a user allow to hold one back and still know the user
ENOUGH_USERS = 385  # 1.96^2 * 0.25 / 0.05^2: a share near one half, to +-0.05 in 95 of 100
_MANY_TIES = 0.1
_RANK = {"warning": 0, "note": 1, "ok": 2}


def findings_of(checkup: Checkup, faults: tuple[str, ...] = ()) -> tuple[Finding, ...]:
    """Judge the numbers.

    Args:
        checkup: the numbers.
        faults: sentences on rows that cannot be used.

    Returns:
        Findings, warnings first.
    """
    found = [Finding("warning", text) for text in faults]
    found += _on_rows(checkup)
    found += _on_ratings(checkup, checkup.ratings)
    found += _on_times(checkup.times)
    found += _on_items(checkup)
    found += _on_the_test(checkup)
    return tuple(sorted(found, key=lambda finding: _RANK[finding.level]))


def _on_rows(seen: Checkup) -> Iterator[Finding]:
    if seen.unsure_ids:
        yield Finding(
            "warning",
            f"{seen.unsure_ids:,} rows have NA or N/A as the user's or item's id",
            "Where it stands for a missing id, remove these rows: they would count as one user or item",
        )
    if seen.duplicates:
        yield Finding(
            "warning" if seen.duplicates * 100 > seen.rows else "note",
            f"{seen.duplicates:,} rows repeat an earlier row in every column",
            "Was a file appended twice? Remove them (polars: table.unique(maintain_order=True)), "
            "unless each is an event of its own",
        )
    if seen.keep_seen:
        yield Finding(
            "note",
            f"{seen.repeat_share:.1%} of the rows are repeats: a user and an item again",
            "Keep seen items among the answers, and judge that way: Recommender(..., rules=()) and "
            "keep_seen=True",
        )
    elif seen.repeat_share > 0:
        yield Finding(
            "note",
            f"{seen.repeat_share:.2%} of the rows are repeats: a user and an item again",
            "Few: leave seen items out, as is the default",
        )
    else:
        yield Finding("ok", "no user has an item twice: seen items are rightly left out")


def _on_ratings(seen: Checkup, scale: RatingScale | None) -> Iterator[Finding]:
    if seen.liked_share == 0:
        yield Finding(
            "warning",
            "no row counts as liked: there is nothing to learn from",
            "Lower the threshold of positive",
        )
    if scale is None:
        yield Finding(
            "note", "there are no ratings: every row counts as liked, none is predicted"
        )
    elif scale.values == 1:
        yield Finding(
            "note",
            f"all ratings are {scale.lowest:g}: they say no more than that the row is there",
            "Leave rating models out",
        )
    elif seen.liked_share == 1:
        yield Finding(
            "note",
            f"every row counts as liked, also a rating of {scale.lowest:g}",
            f'To learn from liked rows only, read with positive="rating >= {_threshold(scale):g}"',
        )


def _threshold(scale: RatingScale) -> float:
    if scale.step <= 0:
        return scale.highest
    above = math.ceil((scale.mean - scale.lowest) / scale.step) * scale.step + scale.lowest
    return min(math.ceil(above) if scale.highest >= math.ceil(above) else above, scale.highest)


def _on_times(times: Times | None) -> Iterator[Finding]:
    if times is None:
        yield Finding(
            "warning",
            "there are no times: only random splits are possible, and they leak the future",
            "Add a time, or a column seq that counts each user's rows",
        )
        return
    if times.unit == "positions":
        yield Finding(
            "note",
            "times are positions, not dates: they order a user's rows, not those of different users",
            "Split by each user's own last rows (latest, last-out), not by one cut in time",
        )
    elif times.span_days < 1:
        yield Finding(
            "warning",
            f"all rows lie within {times.span_days * 24:.1f} hours",
            "Is this the time of an export instead of the interaction?",
        )
    if times.tie_share > _MANY_TIES:
        yield Finding(
            "note",
            f"{times.tie_share:.0%} of users have several rows at their last time",
            "Ties keep the order of the file; make sure that the file keeps the true one",
        )
    if times.order == "mixed":
        yield Finding(
            "ok", "rows do not stand in the order of time; they are sorted where needed"
        )


def _on_items(seen: Checkup) -> Iterator[Finding]:
    if seen.items_without_metadata == seen.items:
        yield Finding(
            "note",
            "nothing is known of the items but their ids",
            "Pass items=... with title, year, genres, so that new items can be recommended",
        )
    elif seen.items_without_metadata:
        yield Finding(
            "note",
            f"{seen.items_without_metadata:,} of {seen.items:,} items have no metadata",
            "Add them to the items table, or check that both tables write ids alike",
        )
    if seen.items_without_title:
        yield Finding(
            "note",
            f"{seen.items_without_title:,} of {seen.items:,} items have no title",
            "They are shown by id",
        )
    if seen.untouched_items:
        yield Finding(
            "note",
            f"{seen.untouched_items:,} of {seen.catalogue_items:,} items of the catalogue have no row",
            "Only models that use metadata can recommend them",
        )
    skewed = seen.top_share > 0.25
    yield Finding(
        "note" if skewed else "ok",
        f"the most popular hundredth of the items takes {seen.top_share:.0%} of the rows",
        "Compare with plain popularity, and look at coverage and novelty" if skewed else "",
    )


def _on_the_test(seen: Checkup) -> Iterator[Finding]:
    if seen.users_with_one_item:
        yield Finding(
            "note",
            f"{seen.users_with_one_item:,} of {seen.users:,} users have a single item",
            "They can be trained on but not tested; many of them get the fallback",
        )
    told = f"{seen.testable_users:,} users have {ENOUGH_ROWS} rows or more"
    if seen.testable_users < ENOUGH_USERS:
        yield Finding(
            "warning",
            f"{told}; a hit rate known to within 0.05 (95 % interval) takes {ENOUGH_USERS} test users",
            "Gather more, or read the intervals, not the figures",
        )
    else:
        yield Finding("ok", f"{told}: enough for a sound test (from {ENOUGH_USERS})")
