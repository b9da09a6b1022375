"""Several recommenders on one test, side by side: who is better, and is it shown or luck.

Each is set against one of them by the difference on the same users, with an interval. Where simple
models take part and the best of the others does not beat the best of them, the comparison says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import polars as pl
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from shortlist.data.protocols import Json
from shortlist.errors import ConfigError, closest
from shortlist.evaluation.report import Report, direction, json_ready, rendered
from shortlist.metrics.intervals import Difference, Estimate, brief, paired, verdict


@dataclass(frozen=True)
class Line:
    """One recommender in a comparison.

    Attributes:
        name: the recommender's name.
        estimate: its value and interval.
        difference: it minus the one that all are set against; None for that one itself.
        verdict: what the difference shows, in words.
        best: whether no other has a better value.
        baseline: whether it is one of the simple models.
    """

    name: str
    estimate: Estimate
    difference: Difference | None
    verdict: str
    best: bool
    baseline: bool


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Recommenders set against one of them.

    Attributes:
        metric: what they are compared by.
        against: name of the one that all are set against.
        lines: one per recommender, in the order given.
        summary: the outcome in a sentence; where baselines are named, whether they are beaten.
        beaten: whether the best of the others is shown to be better than the best baseline; None
            without baselines, without others, or where the metric has no better direction.
        reports: the reports behind it.
    """

    metric: str
    against: str
    lines: tuple[Line, ...]
    summary: str
    beaten: bool | None
    reports: tuple[Report, ...]

    def __repr__(self) -> str:
        return f"Comparison({self.metric}: {', '.join(line.name for line in self.lines)})"

    def table(self) -> pl.DataFrame:
        """The lines as a table.

        Returns:
            Columns ``name, value, low, high, difference, difference_low, difference_high, p,
            verdict, best, baseline``; null where there is none.
        """
        columns: Mapping[str, list[Json]] = {
            "name": [line.name for line in self.lines],
            **{
                key: [json_ready(getattr(line.estimate, key)) for line in self.lines]
                for key in ("value", "low", "high")
            },
            **{
                name: [_part(line.difference, key) for line in self.lines]
                for name, key in (
                    ("difference", "value"),
                    ("difference_low", "low"),
                    ("difference_high", "high"),
                    ("p", "p"),
                )
            },
            "verdict": [line.verdict for line in self.lines],
            "best": [line.best for line in self.lines],
            "baseline": [line.baseline for line in self.lines],
        }
        kinds: dict[str, pl.DataType] = {
            name: pl.String() if name in {"name", "verdict"} else pl.Float64()
            for name in columns
        }
        return pl.DataFrame(
            columns, schema={**kinds, "best": pl.Boolean(), "baseline": pl.Boolean()}
        )

    def overview(self) -> pl.DataFrame:
        """Every metric of every recommender, without intervals.

        Returns:
            One row per recommender: ``name``, then a column per metric; null where it has none.
        """
        names = list(
            dict.fromkeys(metric for report in self.reports for metric in report.estimates)
        )
        rows = [
            {
                "name": report.name,
                **{n: json_ready(e.value) for n, e in report.estimates.items()},
            }
            for report in self.reports
        ]
        return pl.DataFrame(
            rows, schema={"name": pl.String, **dict.fromkeys(names, pl.Float64)}
        )

    def to_dict(self) -> dict[str, Json]:
        """The comparison as JSON.

        Returns:
            Keys ``metric, against, lines, summary, beaten``; None in place of NaN.
        """
        return {
            "metric": self.metric,
            "against": self.against,
            "lines": [json_ready(asdict(line)) for line in self.lines],
            "summary": self.summary,
            "beaten": self.beaten,
        }

    def __rich__(self) -> RenderableType:
        title = Text(f"{self.metric}, set against {self.against}")
        shown = Table()
        for header in ("recommender", self.metric, "verdict"):
            shown.add_column(header)
        for line in self.lines:
            mark = " (best value)" if line.best else ""
            style = "bold" if line.best else ""
            cells = (f"{line.name}{mark}", str(line.estimate), line.verdict)
            shown.add_row(*(Text(cell, style=style) for cell in cells))
        return Group(title, shown, Text(self.summary))

    def __str__(self) -> str:
        return rendered(self.__rich__())


def compare_reports(
    reports: Sequence[Report],
    *,
    against: int | str = 0,
    metric: str | None = None,
    baselines: Sequence[str] = (),
    seed: int = 0,
) -> Comparison:
    """Set reports on the same test against one of them, user by user.

    Args:
        reports: at least two, with names of their own.
        against: which of them the others are set against, by place or name.
        metric: such as ``"ndcg@10"``; None takes NDCG at the shortest list.
        baselines: names of the simple models among them, which the others have to beat. Names
            that do not take part are ignored.
        seed: of the resamples.

    Returns:
        A Comparison with a line per report.

    Raises:
        ConfigError: fewer than two reports, two of one name, other tests or protocols, or an
            unknown metric or name.
    """
    _check_comparable(reports)
    metric = _known_metric(reports, metric)
    names = [report.name for report in reports]
    base = _place(names, against)
    ratios = [report.ratios[metric] for report in reports]
    better = direction(metric)
    sign = {"higher": 1.0, "lower": -1.0, "neither": 0.0}[better]
    merit = np.array([ratio.value * sign for ratio in ratios])
    top = (
        np.fmax.reduce(merit) if better != "neither" else np.nan
    )  # NaN equals nothing: no best
    rest = [i for i in range(len(reports)) if i != base]
    gaps = paired(
        [ratios[i] for i in rest], [ratios[base]] * len(rest), np.random.default_rng(seed)
    )
    difference_of = dict(zip(rest, gaps, strict=True))
    lines = []
    for i, name in enumerate(names):
        gap = difference_of.get(i)
        words = (
            "the others are set against this"
            if gap is None
            else verdict(gap, name, names[base], better=better)
        )
        lines.append(
            Line(
                name,
                reports[i].estimates[metric],
                gap,
                words,
                bool(merit[i] == top),
                name in baselines,
            )
        )
    summary, beaten = _outcome(reports, metric, merit, baselines, seed)
    return Comparison(metric, names[base], tuple(lines), summary, beaten, tuple(reports))


def _outcome(
    reports: Sequence[Report],
    metric: str,
    merit: np.ndarray[tuple[int], np.dtype[np.float64]],
    baselines: Sequence[str],
    seed: int,
) -> tuple[str, bool | None]:
    if direction(metric) == "neither" or np.isnan(merit).all():
        return f"{metric} says how the lists differ, not which is better", None
    order = np.argsort(-merit, kind="stable")  # best first; NaN last
    simple = [int(i) for i in order if reports[i].name in baselines]
    other = [int(i) for i in order if reports[i].name not in baselines]
    if not simple or not other:
        best = reports[order[0]]
        return f"best value of {metric}: {best.name}, {best.estimates[metric]}", None
    model, plain = reports[other[0]], reports[simple[0]]
    gap = paired([model.ratios[metric]], [plain.ratios[metric]], np.random.default_rng(seed))[0]
    ahead = gap.value if direction(metric) == "higher" else -gap.value
    if not gap.shown:
        return (
            f"{model.name} is not shown to beat the simple {plain.name} ({metric} {gap}): serve the simple model",
            False,
        )
    if ahead > 0:
        return f"{model.name} beats the best simple model, {plain.name}: {metric} {gap}", True
    return (
        f"the simple model wins: {plain.name} has {metric} {brief(plain.estimates[metric].value)}, "
        f"{model.name} {brief(model.estimates[metric].value)} ({gap})",
        False,
    )


def _check_comparable(reports: Sequence[Report]) -> None:
    if len(reports) < 2:
        msg = f"a comparison needs at least two reports; got {len(reports)}"
        raise ConfigError(msg)
    names = [report.name for report in reports]
    if len(set(names)) < len(names):
        msg = f"every report needs a name of its own; got {names}. Rename a recommender before judging it"
        raise ConfigError(msg)
    first = reports[0]
    for report in reports[1:]:
        mine, theirs = asdict(first.protocol), asdict(report.protocol)
        differing = [key for key in mine if mine[key] != theirs[key] and key != "seed"]
        if differing:
            got = "; ".join(f"{key}: {mine[key]} and {theirs[key]}" for key in differing)
            msg = (
                f"{first.name} and {report.name} were judged differently ({got}), so their numbers do not compare. "
                "Judge both on the same test rows with the same k and keep_seen"
            )
            raise ConfigError(msg)
        if not first.users.equals(report.users):
            msg = (
                f"{first.name} and {report.name} hold their users in another order, so they cannot be paired. "
                "Judge both on the same table"
            )
            raise ConfigError(msg)


def _known_metric(reports: Sequence[Report], metric: str | None) -> str:
    metric = metric if metric is not None else f"ndcg@{reports[0].protocol.k[0]}"
    for report in reports:
        if metric not in report.ratios:
            known = list(report.ratios)
            why = (
                "coverage is one number for all lists, so it has no users to pair"
                if metric in report.estimates
                else f"it has {known}.{closest(metric, known)}"
            )
            msg = f"{report.name} has no {metric!r} to compare by; {why}"
            raise ConfigError(msg)
    first = reports[0].ratios[metric].denominators
    if metric in {"rmse", "mae"} and any(
        not np.array_equal(first, report.ratios[metric].denominators) for report in reports
    ):
        left = {report.name: report.counts.rows_unpredicted for report in reports}
        msg = f"some rows were left unpredicted ({left}), so each {metric} is over other rows and they do not compare"
        raise ConfigError(msg)
    return metric


def _place(names: list[str], against: int | str) -> int:
    if isinstance(against, str):
        if against not in names:
            msg = f"no report is named {against!r}; got {names}.{closest(against, names)}"
            raise ConfigError(msg)
        return names.index(against)
    if not -len(names) <= against < len(names):
        msg = f"against must be a place among the {len(names)} reports or a name; got {against}"
        raise ConfigError(msg)
    return against % len(names)


def _part(difference: Difference | None, key: str) -> Json:
    return None if difference is None else json_ready(getattr(difference, key))
