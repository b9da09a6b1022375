"""What the data doctor found: numbers, findings, and how they print."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from shortlist.data.protocols import Json

Level: TypeAlias = Literal["ok", "note", "warning"]
_MARKS = {"ok": "ok     ", "note": "note   ", "warning": "WARNING"}


@dataclass(frozen=True)
class Finding:
    """One thing to know about the data.

    Attributes:
        level: ``"ok"``, ``"note"`` or ``"warning"``.
        text: what was found.
        todo: what to do; empty where nothing is.
    """

    level: Level
    text: str
    todo: str = ""


@dataclass(frozen=True)
class RatingScale:
    """The numbers that ratings take.

    Attributes:
        lowest: smallest rating.
        highest: largest rating.
        mean: over all rows.
        values: how many different ratings there are.
        step: smallest distance between two of them; 0 where there is one.
    """

    lowest: float
    highest: float
    mean: float
    values: int
    step: float


@dataclass(frozen=True)
class Times:
    """When things happened.

    Attributes:
        unit: ``"seconds"`` since 1970, or ``"positions"`` for small rising numbers.
        first: smallest time.
        last: largest time.
        order: how the rows stand in the file: ``"by time"``, ``"by time within users"`` or
            ``"mixed"``.
        tie_share: share of users with 2 or more rows whose last time belongs to several rows.
    """

    unit: Literal["seconds", "positions"]
    first: int
    last: int
    order: Literal["by time", "by time within users", "mixed"]
    tie_share: float

    @property
    def span_days(self) -> float:
        """Days from first to last; 0 for positions."""
        return (self.last - self.first) / 86_400 if self.unit == "seconds" else 0.0

    def span(self) -> str:
        """From when to when, in words.

        Returns:
            Dates, or the smallest and largest position.
        """
        if self.unit == "positions":
            return f"are positions from {self.first:,} to {self.last:,}"
        first, last = (datetime.fromtimestamp(t, UTC).date() for t in (self.first, self.last))
        return f"from {first} to {last} ({self.span_days:,.0f} days)"


@dataclass(frozen=True)
class Checkup:
    """What the doctor saw.

    Attributes:
        rows: rows that can be used.
        users: different users.
        items: different items among the rows.
        density: share of all user-item pairs that occur.
        duplicates: rows that repeat an earlier row in every column.
        repeat_share: share of rows whose user had the item in an earlier row.
        keep_seen: whether items a user knows should stay among the answers.
        liked_share: share of rows that count as liked.
        ratings: the scale; None without ratings.
        times: the times; None without.
        catalogue_items: items in the catalogue.
        items_without_metadata: items among the rows of which nothing but the id is known.
        items_without_title: items among the rows without title; None where no item has one.
        untouched_items: items of the catalogue without a row.
        users_with_one_item: users who touched a single item.
        testable_users: users with 5 rows or more.
        top_share: share of the rows that the most popular hundredth of the items takes.
        unsure_ids: rows whose user or item is "NA" or "N/A": an id, or a missing one?
        bad_rows: column, reason and number of rows that cannot be used, from ``diagnose``.
        findings: what to know and what to do, the gravest first.
    """

    rows: int
    users: int
    items: int
    density: float
    duplicates: int
    repeat_share: float
    keep_seen: bool
    liked_share: float
    ratings: RatingScale | None
    times: Times | None
    catalogue_items: int
    items_without_metadata: int
    items_without_title: int | None
    untouched_items: int
    users_with_one_item: int
    testable_users: int
    top_share: float
    unsure_ids: int = 0
    bad_rows: tuple[tuple[str, str, int], ...] = ()
    findings: tuple[Finding, ...] = ()

    def to_dict(self) -> "dict[str, Json]":
        """Everything as plain values, for JSON.

        Returns:
            A dictionary of numbers, texts, lists and dictionaries.
        """
        plain: dict[str, Json] = asdict(self)
        plain["bad_rows"] = [
            {"column": column, "reason": reason, "rows": n}
            for column, reason, n in self.bad_rows
        ]
        plain["findings"] = [dict(asdict(finding)) for finding in self.findings]
        return plain

    def __str__(self) -> str:
        lines = [
            f"{self.rows:,} rows, {self.users:,} users, {self.items:,} items "
            f"(catalogue {self.catalogue_items:,}), density {self.density:.3%}"
        ]
        if self.ratings is not None:
            r = self.ratings
            lines.append(
                f"ratings {r.lowest:g} to {r.highest:g} in {r.values:,} values, mean {r.mean:.2f}"
            )
        if self.times is not None:
            lines.append(f"times {self.times.span()}; rows stand {self.times.order}")
        for finding in self.findings:
            lines.append(f"{_MARKS[finding.level]}  {finding.text}")
            if finding.todo:
                lines.append(f"         -> {finding.todo}")
        return "\n".join(lines)
