"""Auto: try the methods that apply, keep the best, or the simplest that is not shown to be worse."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import polars as pl

from shortlist.data import split
from shortlist.data.interactions import Interactions, check_table
from shortlist.data.protocols import Json, Retriever
from shortlist.errors import ConfigError, NotReadyError, ShortlistError, closest
from shortlist.evaluation.comparison import compare_reports
from shortlist.evaluation.judge import judge
from shortlist.evaluation.report import Report, direction, json_ready
from shortlist.metrics.intervals import Difference, Estimate, brief
from shortlist.recommender.recommender import Recommender
from shortlist.recommender.rules import Seen
from shortlist.retrieval.blend import Blend
from shortlist.retrieval.popularity import Popularity
from shortlist.selection.costs import rough_seconds
from shortlist.selection.methods import METHODS, make_method

_PAIR = 2
_LATE = "not tried: time"
_KINDS = {"method": pl.String, "metric": pl.String, "kept": pl.Boolean, "remark": pl.String}


@dataclass(frozen=True, eq=False)
class Tried:
    """One method's turn.

    Attributes:
        name: of the method; a blend's tells its parts.
        parts: the methods in it.
        seconds: that fitting and judging took; 0 where they were not begun.
        remark: why it has no figure; empty where it has one.
        fitted: on the rows that were not held back; None where it has no figure.
        report: None where it has no figure.
    """

    name: str
    parts: tuple[str, ...]
    seconds: float = 0.0
    remark: str = ""
    fitted: Recommender | None = None
    report: Report | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """What was kept of all that was tried.

    Attributes:
        kept: name of the method.
        why: in a sentence.
        recommender: the method, fitted on everything.
        tried: every method's turn, in order.
        differences: of those with a figure, the paired difference to the best; None for itself.
    """

    kept: str
    why: str
    recommender: Recommender
    tried: tuple[Tried, ...]
    differences: Mapping[str, Difference | None]


@dataclass(eq=False, kw_only=True)
class Auto:
    """Tries methods in the order of their simplicity within a budget of time.

    Each is fitted on a part of the rows and judged on those held back. After the closed forms comes a
    blend of the two best, and again in the end if they are others by then; it learns its weights on
    rows held back from what it may see. Of all that are not shown to
    be worse than the best, by the paired interval, the simplest is kept and fitted again on everything.

    Attributes:
        seconds: time for trying: what would roughly take longer than is left is listed as not tried,
            what has begun is finished. Popularity is tried in any case. Fitting the winner again
            comes on top.
        holdout: ``"latest"``, ``"time"``, ``"last-out"`` or ``"random"``; they pick different winners.
            None: ``"latest"`` where there are times, else ``"random"``.
        methods: which of ``selection.METHODS`` are tried, beside popularity; None: all.
        metric: decides; None: NDCG at the shortest ``k``.
        k: lengths of list.
        keep_seen: whether lists may hold what their asker has.
        seed: of holdout, methods and intervals.
        progress: told what is going on, a line at a time.
    """

    seconds: float = 120.0
    holdout: str | None = None
    methods: Sequence[str] | None = None
    metric: str | None = None
    k: Sequence[int] = (10, 100)
    keep_seen: bool = False
    seed: int = 0
    progress: Callable[[str], None] | None = None
    protocol: dict[str, Json] = field(init=False, repr=False, default_factory=dict)
    _outcome: Outcome | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigError: a setting is out of range, or a method or a metric cannot decide.
        """
        if not self.seconds >= 0 or not len(self.k):
            msg = f"seconds must be 0 or more and k hold a number; got {self.seconds} and {self.k}"
            raise ConfigError(msg)
        for name in self.methods or ():
            if name not in METHODS:
                msg = f"no method {name!r} to try; choose among {', '.join(METHODS)}.{closest(name, list(METHODS))}"
                raise ConfigError(msg)
        if self.metric is None:
            self.metric = f"ndcg@{min(self.k)}"
        if direction(self.metric) != "higher":
            msg = f"metric must be one of lists where higher is better, such as ndcg@10; got {self.metric}"
            raise ConfigError(msg)

    def fit(self, data: Interactions, *, validate: Interactions | None = None) -> Self:
        """Try, choose, and fit the winner on all of ``data``.

        Args:
            data: the rows to learn from.
            validate: rows that choose and judge, instead of the holdout.

        Returns:
            Itself.
        """
        check_table(data, "data")
        learned, held = data, validate
        if held is None:
            parts = split.holdout(data, self.holdout, seed=self.seed)
            learned, held = parts.train, parts.test
            name = self.holdout or ("latest" if data.timestamps is not None else "random")
            self.protocol = {"name": name, "leaks": parts.leaks}
        else:
            leaks = "Unknown: it depends on how the two tables were made."
            self.protocol = {"name": "validation", "leaks": leaks}
        self.protocol |= {"rows": len(held), "keep_seen": self.keep_seen}
        self._outcome = None
        tried = tuple(self._turns(learned, held))
        kept, recommender, why, differences = self._choose(tried)
        if learned is not data:
            self._say(f"fitting {kept} again on all {len(data):,} rows")
            recommender = recommender.settled().fit(data)
        self._outcome = Outcome(kept, why, recommender, tried, differences)
        return self

    @property
    def outcome(self) -> Outcome:
        """All that came of it.

        Raises:
            NotReadyError: nothing was tried yet.
        """
        if self._outcome is None:
            msg = "this Auto has tried nothing; call fit(data) first"
            raise NotReadyError(msg)
        return self._outcome

    @property
    def recommender(self) -> Recommender:
        """The winner, fitted on everything."""
        return self.outcome.recommender

    @property
    def why(self) -> str:
        """Why the winner was kept, in a sentence."""
        return self.outcome.why

    @property
    def table(self) -> pl.DataFrame:
        """A row per method, in the order tried.

        ``method``; the deciding ``metric``; its ``value`` with ``low`` and ``high``; the paired
        ``difference`` to the best with ``difference_low`` and ``difference_high``; ``seconds``;
        ``kept``; a ``remark`` where there is no figure. Null where there is nothing to say.
        """
        rows = [self._line(one) for one in self.outcome.tried]
        return pl.DataFrame(rows, schema={key: _KINDS.get(key, pl.Float64) for key in rows[0]})

    def to_dict(self) -> dict[str, Json]:
        """What was tried and why one was kept, as JSON.

        Returns:
            Keys ``kept, why, metric, seconds, table``.
        """
        return {
            "kept": self.outcome.kept,
            "why": self.why,
            "metric": self.metric,
            "seconds": self.seconds,
            "table": self.table.to_dicts(),
        }

    def _line(self, one: Tried) -> dict[str, Json]:
        estimate = None if one.report is None else one.report.estimates[str(self.metric)]
        gap = self.outcome.differences.get(one.name)
        return {
            "method": one.name,
            "metric": self.metric,
            "value": _part(estimate, "value"),
            "low": _part(estimate, "low"),
            "high": _part(estimate, "high"),
            "difference": _part(gap, "value"),
            "difference_low": _part(gap, "low"),
            "difference_high": _part(gap, "high"),
            "seconds": one.seconds,
            "kept": one.name == self.outcome.kept,
            "remark": one.remark,
        }

    def _turns(self, learned: Interactions, held: Interactions) -> Iterator[Tried]:
        until = time.perf_counter() + self.seconds
        judged: list[Tried] = []
        blended: tuple[str, ...] = ()
        for name in METHODS:
            if (
                name != Popularity.name
                and self.methods is not None
                and name not in self.methods
            ):
                continue
            left, takes = until - time.perf_counter(), rough_seconds(name, learned)
            if judged and takes >= left:
                said = f": it takes some {takes:.0f} s, {left:.0f} are left" if left > 0 else ""
                one = Tried(name, (name,), remark=f"{_LATE}{said}")
            elif name == Blend.name:
                blended = self._two_best(judged)
                one = self._try_blend(blended, judged, learned, held)
            else:
                retriever = make_method(name, self.seed)
                one = self._try(name, (name,), retriever, learned, held, validate=held)
            judged += [one] if one.report is not None else []
            yield one
        # what came after the blend may be better than what is in it
        better = self._two_best(judged)
        if blended and better != blended and time.perf_counter() < until:
            yield self._try_blend(better, judged, learned, held)

    def _two_best(self, judged: Sequence[Tried]) -> tuple[str, ...]:
        single = [
            one for one in judged if one.parts == (one.name,) and one.name != Popularity.name
        ]
        best = sorted(single, key=lambda one: -self._value(one))[:_PAIR]
        return tuple(sorted(one.name for one in best))

    def _try_blend(
        self,
        names: tuple[str, ...],
        judged: Sequence[Tried],
        learned: Interactions,
        held: Interactions,
    ) -> Tried:
        if len(names) < _PAIR:
            remark = "left out: fewer than two methods to blend have a figure"
            return Tried(Blend.name, (Blend.name,), remark=remark)
        fitted = {one.name: one.fitted for one in judged}
        parts = [
            rec.retrievers[0].settled() for name in names if (rec := fitted[name]) is not None
        ]
        blend = Blend(parts, holdout=self.holdout, seed=self.seed)
        # not shown the rows held back: weights learned on them would flatter it
        name = f"blend of {' and '.join(names)}"
        return self._try(name, (Blend.name, *names), blend, learned, held, validate=None)

    def _try(
        self,
        name: str,
        parts: tuple[str, ...],
        retriever: Retriever,
        learned: Interactions,
        held: Interactions,
        *,
        validate: Interactions | None,
    ) -> Tried:
        self._say(f"trying {name}")
        started = time.perf_counter()
        rec = Recommender(retriever, rules=() if self.keep_seen else (Seen(),), name=name)
        try:
            rec.fit(learned, validate=validate)
            report = judge(rec, held, k=self.k, keep_seen=self.keep_seen, seed=self.seed)
        except (ShortlistError, MemoryError, np.linalg.LinAlgError) as error:
            if name == Popularity.name:
                raise  # it asks for nothing but rows, so the fault is theirs
            reason = str(error) or type(error).__name__
            return Tried(name, parts, time.perf_counter() - started, f"left out: {reason}")
        return Tried(name, parts, time.perf_counter() - started, "", rec, report)

    def _choose(
        self, tried: Sequence[Tried]
    ) -> tuple[str, Recommender, str, dict[str, Difference | None]]:
        fitted = {one.name: one.fitted for one in tried if one.fitted is not None}
        judged = sorted([one for one in tried if one.report is not None], key=_complexity)
        best = max(judged, key=self._value)  # the simplest of equals
        reports = [one.report for one in judged if one.report is not None]
        gaps: dict[str, Difference | None] = {best.name: None}
        if len(reports) > 1:
            comparison = compare_reports(
                reports, against=best.name, metric=self.metric, seed=self.seed
            )
            gaps = {line.name: line.difference for line in comparison.lines}
        within = [one for one in judged if (gap := gaps[one.name]) is None or not gap.shown]
        kept = within[0]
        why = self._why(kept, best, gaps[kept.name], others=len(judged) > 1)
        late = sum(one.remark.startswith(_LATE) for one in tried)
        if late:
            why += f"; {self.seconds:g} seconds were too few for {late} other{'s' * (late > 1)}"
        return kept.name, fitted[kept.name], why, gaps

    def _why(self, kept: Tried, best: Tried, gap: Difference | None, *, others: bool) -> str:
        figure = f"{self.metric} {brief(self._value(best))}"
        if not others:
            return f"{kept.name} is kept ({figure}), as nothing else has a figure"
        if gap is None:
            return f"{kept.name} is kept: it has the best {figure}, and everything simpler is shown to be worse"
        return (
            f"{kept.name} is kept: it is simpler than {best.name}, which has the best {figure}, and not "
            f"shown to be worse ({gap})"
        )

    def _value(self, one: Tried) -> float:
        if one.report is None:
            return -np.inf
        known = list(one.report.ratios)
        if self.metric not in known:
            msg = f"no metric {self.metric!r} to decide; there are {known}.{closest(str(self.metric), known)}"
            raise ConfigError(msg)
        return float(one.report.estimates[self.metric].value)

    def _say(self, words: str) -> None:
        if self.progress is not None:
            self.progress(words)


def _complexity(one: Tried) -> tuple[int, int]:
    # a blend with a part that is less simple than blends are comes after that part
    places = [list(METHODS).index(name) for name in one.parts]
    return max(places), len(places)


def _part(number: Estimate | Difference | None, key: str) -> Json:
    return None if number is None else json_ready(getattr(number, key))
