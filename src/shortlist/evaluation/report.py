"""What judging a recommender gives: values per user, estimates with intervals, counts and the protocol.

A report is what is printed, compared and stored beside a model; it holds no model.
"""

import io
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property

import polars as pl
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from shortlist.data.protocols import Json
from shortlist.metrics.intervals import Direction, Estimate, Ratio

FEW_USERS = 200
_WIDTH = 100
_DIRECTIONS: Mapping[str, Direction] = {
    "rmse": "lower",
    "mae": "lower",
    "popularity_bias": "neither",
}


@dataclass(frozen=True)
class EvaluationProtocol:
    """How the judging was done; two reports compare only where this is the same.

    Attributes:
        k: lengths of list that were judged, rising.
        keep_seen: whether items that the user had in train could be answered.
        seed: seed of the resamples.
        resamples: how often the users were drawn again.
        test_rows: rows of the test.
        test_sha256: fingerprint of the test rows: users, items, liked and ratings, in any order.
        context: columns by which the test rows of a user were asked for apart, each with its own.
        brought_rows: how many rows the users, strangers to train, brought as histories; None: none
            were given.
    """

    k: tuple[int, ...]
    keep_seen: bool
    seed: int
    resamples: int
    test_rows: int
    test_sha256: str
    context: tuple[str, ...] = ()
    brought_rows: int | None = None


@dataclass(frozen=True)
class Counts:
    """What the test held, as the judged recommender saw it.

    Attributes:
        users: users of the test; all were asked.
        users_new: those that train never saw.
        users_without_liked: those without a liked row; they have no ranking metrics.
        rows: rows of the test.
        rows_liked: rows that count as relevant.
        rows_new_items: rows whose item train never saw.
        rows_unknown_items: those of them whose item is not in the catalogue either: never a hit.
        rows_repeated: liked rows whose item the user already had in train.
        rows_unpredicted: rows without a finite predicted rating, left out of RMSE and MAE.
        lists_short: users who were answered fewer items than the largest k.
    """

    users: int
    users_new: int
    users_without_liked: int
    rows: int
    rows_liked: int
    rows_new_items: int
    rows_unknown_items: int
    rows_repeated: int
    rows_unpredicted: int
    lists_short: int


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """How good a recommender is on a test, and how sure that is.

    Attributes:
        name: the recommender's name.
        users: (n,) ids of the test users.
        ratios: the metrics that have a value per user, such as ``"ndcg@10"``, each over n users.
        estimates: every metric with its 95 % interval; coverage, one number for all lists, has none.
        counts: what the test held.
        protocol: how the judging was done.
    """

    name: str
    users: pl.Series
    ratios: Mapping[str, Ratio]
    estimates: Mapping[str, Estimate]
    counts: Counts
    protocol: EvaluationProtocol

    def __repr__(self) -> str:
        return (
            f"Report({self.name}: {self.counts.users:,} users, {len(self.estimates)} metrics)"
        )

    def __getitem__(self, metric: str) -> Estimate:
        return self.estimates[metric]

    @cached_property
    def per_user(self) -> pl.DataFrame:
        """One row per test user: ``user_id``, then a column per metric; NaN where it has no value."""
        columns = {name: ratio.per_user for name, ratio in self.ratios.items()}
        return pl.DataFrame({"user_id": self.users, **columns})

    @property
    def notes(self) -> list[str]:
        """What a reader must know before believing the numbers, in sentences."""
        c, p = self.counts, self.protocol
        excluded = (
            "they stay in the lists, since seen items were kept"
            if p.keep_seen
            else "with seen items excluded they cannot be hit"
        )
        said = [
            (p.context, f"each user was asked once for each {' and '.join(p.context)} of the test, and a user's figure is the mean over these"),
            (p.brought_rows, f"the users brought {p.brought_rows or 0:,} rows as histories"),
            (c.users_new, f"{c.users_new:,} of {c.users:,} users are new: train never saw them"),
            (c.users_without_liked, f"{c.users_without_liked:,} users have no liked row and no ranking metrics"),
            (c.rows_new_items, f"{c.rows_new_items:,} of {c.rows:,} rows name an item that train never saw"),
            (c.rows_unknown_items, f"{c.rows_unknown_items:,} of {c.rows:,} rows name an item that is not in the catalogue "
             "either: it cannot be hit"),
            (c.rows_repeated, f"{c.rows_repeated:,} of {c.rows_liked:,} liked rows repeat an item the user had in train; {excluded}"),
            (c.rows_unpredicted, f"{c.rows_unpredicted:,} rows have no predicted rating and are not in RMSE and MAE"),
            (c.lists_short, f"{c.lists_short:,} lists hold fewer than {p.k[-1]} items"),
            (c.users < FEW_USERS, f"only {c.users:,} test users: intervals are wide, and small gains cannot be shown"),
        ]  # fmt: skip
        return [text for count, text in said if count]

    def table(self) -> pl.DataFrame:
        """The estimates as a table.

        Returns:
            Columns ``metric, value, low, high, n``; null where there is no interval or value.
        """
        rows = [
            {"metric": name, **json_ready(asdict(estimate))}
            for name, estimate in self.estimates.items()
        ]
        kinds = {
            "metric": pl.String,
            "value": pl.Float64,
            "low": pl.Float64,
            "high": pl.Float64,
        }
        return pl.DataFrame(rows, schema={**kinds, "n": pl.Int64})

    def to_dict(self) -> dict[str, Json]:
        """Everything but the values per user, as JSON.

        Returns:
            Keys ``name, protocol, counts, metrics, notes``; None in place of NaN.
        """
        return {
            "name": self.name,
            "protocol": {
                **asdict(self.protocol),
                "k": list(self.protocol.k),
                "context": list(self.protocol.context),
            },
            "counts": asdict(self.counts),
            "metrics": {
                name: json_ready(asdict(estimate)) for name, estimate in self.estimates.items()
            },
            "notes": list(self.notes),
        }

    def __rich__(self) -> RenderableType:
        kinds = list(dict.fromkeys(name.partition("@")[0] for name in self.estimates))
        lengths = [str(k) for k in self.protocol.k]
        shown = Table()
        shown.add_column("metric")
        for length in lengths:
            shown.add_column(f"@{length}", justify="right")
        loose = [kind for kind in kinds if kind in self.estimates]  # those without a k
        for kind in kinds:
            if kind not in loose:
                cells = [Text(str(self.estimates[f"{kind}@{length}"])) for length in lengths]
                shown.add_row(kind, *cells)
        lines = [f"{kind} {self.estimates[kind]}" for kind in loose]
        return Group(
            Text(self._title()), shown, *(Text(line) for line in [*lines, *self.notes])
        )

    def __str__(self) -> str:
        return rendered(self.__rich__())

    def _title(self) -> str:
        seen = "seen items kept" if self.protocol.keep_seen else "seen items excluded"
        c = self.counts
        return f"{self.name}: {c.users:,} users, {c.rows:,} test rows, {seen}; 95 % intervals over users"


def direction(metric: str) -> Direction:
    """Which way a metric is better.

    Args:
        metric: a name such as ``"ndcg@10"`` or ``"rmse"``.

    Returns:
        ``"higher"``, ``"lower"`` or ``"neither"``.
    """
    return _DIRECTIONS.get(metric.partition("@")[0], "higher")


def rendered(what: RenderableType) -> str:
    """Draw for a plain text page.

    Args:
        what: anything that rich draws.

    Returns:
        Lines without colour, at most 100 characters wide.
    """
    page = io.StringIO()
    Console(file=page, width=_WIDTH, color_system=None).print(what)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines())


def json_ready(value: Json) -> Json:
    """Replace NaN, which JSON does not have, by None, also inside dictionaries.

    Args:
        value: a number, text, None or a dictionary of these.

    Returns:
        The same without NaN.
    """
    if isinstance(value, dict):
        return {key: json_ready(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
