"""What the page shows of the catalogue, of the model and of the traffic."""

import re
import time
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from shortlist.serving.answerable import can_diversify
from shortlist.serving.http import Request, Response, Route, ok
from shortlist.serving.metrics import SECONDS
from shortlist.serving.waiting import n_fitted
from shortlist.serving.wire_insight import (
    Arm,
    Band,
    Catalogue,
    Column,
    Model,
    RouteStats,
    Scale,
    Shown,
    Stats,
    Value,
)

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from shortlist.serving.running import Running
    from shortlist.serving.service import Service

_VALUES = 60  # a column of more values is none to choose from
_BANDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0)  # shares of the catalogue, the most popular first
_MOST_SHOWN = 10


class Insight:
    """Answers what the page asks beside recommendations.

    Args:
        service: behind the routes.
    """

    def __init__(self, service: "Service") -> None:
        self._service = service
        self._started = time.time()
        # a bundle that was replaced must not be held until somebody looks again
        self._looks: WeakKeyDictionary[Running, _Look] = WeakKeyDictionary()

    def routes(self) -> tuple[Route, ...]:
        """All of them.

        Returns:
            Routes.
        """
        return (
            Route("GET", "/catalogue", self.catalogue, "What items can be filtered by",
                  answer=Catalogue),
            Route("GET", "/model", self.model, "The model and how it was judged", answer=Model),
            Route("GET", "/stats", self.stats, "Traffic since the start", answer=Stats),
        )  # fmt: skip

    async def catalogue(self, _: Request) -> Response:
        """What items can be filtered by.

        Returns:
            Catalogue.
        """
        running, look = self._look()
        return ok(await self._service.slowly(lambda: look.catalogue(running)))

    async def model(self, _: Request) -> Response:
        """The model and how it was judged.

        Returns:
            Model.
        """
        running = self._service.running
        recommender, snapshot = running.recommender, running.snapshot
        times = snapshot.histories.timestamps
        return ok(
            Model(
                recommender.name,
                running.version,
                running.created,
                running.loaded,
                [part.name for part in recommender.retrievers],
                None if recommender.rank is None else recommender.rank.name,
                recommender.rank_lists,
                recommender.candidates,
                recommender.fallback.name,
                [rule.kind for rule in recommender.rules],
                [one.kind for one in recommender.rerankers],
                snapshot.positive,
                snapshot.n_users,
                snapshot.n_items,
                len(snapshot.histories.item_rows),
                None
                if times is None or not len(times)
                else [int(times.min()), int(times.max())],
                dict(recommender.metrics),
            )
        )

    async def stats(self, _: Request) -> Response:
        """Traffic since the start.

        Returns:
            Stats.
        """
        service = self._service
        running, look = self._look()
        metrics, gauges = service.counted()
        shown = Counter(metrics.shown)  # a copy: the loop goes on counting
        popularity, coverage = await service.slowly(lambda: look.spread(running, shown))
        return ok(
            Stats(
                running.version,
                time.time(),
                time.time() - self._started,
                list(SECONDS),
                _routes(metrics.requests, {n: h.counts for n, h in metrics.seconds.items()}),
                _arms(metrics.answers),
                dict(metrics.events),
                _by_arm(metrics.events_by_arm),
                metrics.agreement.mean,
                coverage,
                popularity,
                _most(running, shown),
                int(gauges["shortlist_waiting_requests"]),
                int(gauges["shortlist_resident_bytes"]),
                service.bundles.reload_error is not None,
            )
        )

    def _look(self) -> "tuple[Running, _Look]":
        running = self._service.running
        return running, self._looks.setdefault(running, _Look())


class _Look:
    # what is worked out once for a bundle, which it does not hold
    def __init__(self) -> None:
        self._catalogue: Catalogue | None = None
        self._bands: tuple[NDArray[np.int64], list[float]] | None = None

    def catalogue(self, running: "Running") -> Catalogue:
        if self._catalogue is None:
            self._catalogue = _catalogue(running)
        return self._catalogue

    def spread(
        self, running: "Running", shown: Mapping[str | int, int]
    ) -> tuple[list[Band], float]:
        if self._bands is None:
            self._bands = _bands(running.snapshot.item_counts)
        band, of_rows = self._bands
        rows = running.snapshot.item_vocabulary.rows([str(item_id) for item_id in shown])
        there = rows >= 0  # the others were shown by an older bundle
        counts = np.fromiter(shown.values(), np.float64, len(shown))
        times = np.bincount(band[rows[there]], counts[there], minlength=len(_BANDS))
        total = max(1.0, float(times.sum()))
        bands = [
            Band(above, to, float(count) / total, share)
            for above, to, count, share in zip(
                (0.0, *_BANDS[:-1]), _BANDS, times, of_rows, strict=True
            )
        ]
        return bands, float(there.sum()) / len(band)


def _catalogue(running: "Running") -> Catalogue:
    snapshot = running.snapshot
    table, trained = snapshot.catalogue.table, n_fitted(running)
    return Catalogue(
        snapshot.n_items,
        [
            _column(table[name].head(trained))  # what is posted must not change it
            for name in table.columns
            if name not in {"item_id", "title"}
        ],
        None if running.scale is None else Scale(*running.scale),
        snapshot.positive,
        running.version,
        can_diversify(running),
    )


def _bands(counts: "NDArray[np.int64]") -> "tuple[NDArray[np.int64], list[float]]":
    # counts (n_items,) rows -> (n_items,) the band of each item, and each band's share of the rows
    ends = np.maximum(1, np.ceil(np.array(_BANDS) * len(counts))).astype(np.int64)
    place = np.empty(len(counts), np.int64)
    place[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    band = np.searchsorted(ends, place, side="right")
    of_rows = np.bincount(band, counts, minlength=len(_BANDS)) / max(1, counts.sum())
    return band, of_rows.tolist()


def _most(running: "Running", shown: Counter[str | int]) -> list[Shown]:
    found = [
        (item_id, count, running.snapshot.item_vocabulary.row(item_id))
        for item_id, count in shown.most_common(_MOST_SHOWN)
    ]
    return [
        Shown(item_id, running.titles[row], count) for item_id, count, row in found if row >= 0
    ]


def _column(held: "pl.Series") -> Column:
    import polars as pl

    name, kind = held.name, held.dtype
    if not re.fullmatch(r"[^\W\d]\w*", name):
        return Column(name, "other")  # no condition can name it
    if kind.is_numeric():
        told = held.cast(pl.Float64).fill_nan(None)
        least, most = told.min(), told.max()
        if (
            not isinstance(least, float)
            or not isinstance(most, float)
            or not np.isfinite([least, most]).all()
        ):
            return Column(name, "other")
        return Column(name, "number", least, most)
    if kind == pl.List(pl.String):
        return Column(name, "tags", values=_values(held.explode()))
    if kind == pl.String:
        return Column(name, "text", values=_values(held))
    return Column(name, "other")


def _values(held: "pl.Series") -> list[Value]:
    there = held.drop_nulls()
    if there.n_unique() > _VALUES:
        return []
    counted = there.value_counts(name="n").sort(["n", held.name], descending=[True, False])
    return [Value(value, count) for value, count in counted.iter_rows()]


def _routes(
    requests: Mapping[tuple[str, str, int], int], seconds: Mapping[str, list[int]]
) -> list[RouteStats]:
    made: dict[tuple[str, str], list[int]] = {}
    for (route, method, status), count in requests.items():
        held = made.setdefault((route, method), [0, 0, 0])
        held[0 if status < 400 else 1 if status < 500 else 2] += count
    return [
        RouteStats(route, method, counts[0], counts[1], counts[2], seconds.get(route, []))
        for (route, method), counts in sorted(made.items())
    ]


def _by_arm(events: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    made: dict[str, dict[str, int]] = {}
    for (kind, arm), count in sorted(events.items()):
        made.setdefault(arm, {})[kind] = count
    return made


def _arms(answers: Mapping[tuple[str, str, bool], int]) -> list[Arm]:
    made: dict[tuple[str, str], list[int]] = {}
    for (arm, version, fell), count in answers.items():
        held = made.setdefault((arm, version), [0, 0])
        held[0] += count
        held[1] += count if fell else 0
    first = sorted(made.items(), key=lambda one: (one[0][0] != "champion", one[0]))
    return [Arm(arm, version, *counts) for (arm, version), counts in first]
