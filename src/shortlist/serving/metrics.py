"""Counts and times for Prometheus, in its text format."""

import bisect
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
_HELP = {
    "shortlist_requests_total": "Requests answered, by route, method and status.",
    "shortlist_request_seconds": "Seconds that requests took, by route.",
    "shortlist_batch_size": "Requests answered together.",
    "shortlist_events_total": "Events kept, by kind and by the arm of their user.",
    "shortlist_shortlists_total": "Shortlists answered, by arm, version and whether by the fallback.",
    "shortlist_reloads_total": "Bundles offered, by whether they were taken.",
    "shortlist_shadow_agreement": "Share of an answer's items that the shadow lists too.",
    "shortlist_shadow_left_out": "Requests that the shadow was not asked, as too many waited.",
    "shortlist_shadow_failed": "Requests on which the shadow failed.",
    "shortlist_waiting_requests": "Requests that wait to be answered.",
    "shortlist_ready": "Whether requests are answered: 1 or 0.",
    "shortlist_resident_bytes": "Memory held; pages of the bundle count in every worker.",
    "shortlist_own_bytes": "Memory held that workers do not share.",
    "shortlist_flushes": "Flushes of events to disk.",
    "shortlist_time_seconds": "The time of the service, in seconds since 1970.",
    "shortlist_info": "The version of the bundle that answers.",
}


class Histogram:
    """Counts of values up to given bounds.

    Args:
        bounds: rising.
    """

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value.

        Args:
            value: of the histogram's unit.
        """
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def mean(self) -> float | None:
        """Of all values; None without any."""
        count = sum(self.counts)
        return self.total / count if count else None

    def lines(self, name: str, labels: str = "") -> Iterable[str]:
        """Write it.

        Args:
            name: of the metric.
            labels: ``a="b",`` or empty.

        Yields:
            Lines.
        """
        running = 0
        for bound, count in zip((*self.bounds, "+Inf"), self.counts, strict=True):
            running += count
            yield f'{name}_bucket{{{labels}le="{bound}"}} {running}'
        plain = f"{{{labels.rstrip(',')}}}" if labels else ""
        yield f"{name}_sum{plain} {self.total:.6f}"
        yield f"{name}_count{plain} {running}"


class Metrics:
    """What the service counts; only the event loop's thread writes here."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.seconds: dict[str, Histogram] = {}
        self.batches = Histogram(tuple(float(size) for size in _SIZES))
        self.events: Counter[str] = Counter()
        self.events_by_arm: Counter[tuple[str, str]] = Counter()
        self.answers: Counter[tuple[str, str, bool]] = Counter()  # arm, version, fallback
        self.agreement = Histogram(tuple(step / 10 for step in range(11)))
        self.reloads: Counter[str] = Counter()
        self.shown: Counter[str | int] = Counter()  # shortlists by item

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            route: its path with names in braces.
            method: of HTTP.
            status: of the answer.
            seconds: it took.
        """
        self.requests[route, method, status] += 1
        self.histogram(route).observe(seconds)

    def histogram(self, route: str) -> Histogram:
        """The seconds that a route took.

        Args:
            route: its path with names in braces.

        Returns:
            A Histogram, empty where there was none.
        """
        held = self.seconds.get(route)
        if held is None:
            held = self.seconds[route] = Histogram(SECONDS)
        return held

    def event(self, kind: str, arm: str) -> None:
        """Count an event.

        Args:
            kind: watch, rating, purchase or dismiss.
            arm: that answers its user.
        """
        self.events[kind] += 1
        self.events_by_arm[kind, arm] += 1

    def shortlist(
        self, arm: str, version: str, item_ids: Iterable[str | int], *, fallback: bool
    ) -> None:
        """Count a shortlist that is answered.

        Args:
            arm: that made it.
            version: of its bundle.
            item_ids: on it.
            fallback: whether it is the fallback's.
        """
        self.answers[arm, version, fallback] += 1
        self.shown.update(item_ids)

    def text(self, gauges: Mapping[str, float], version: str) -> str:
        """Everything, as Prometheus reads it.

        Args:
            gauges: what is measured now.
            version: of the bundle that answers.

        Returns:
            Lines of text.
        """
        lines = [*_head("shortlist_requests_total", "counter")]
        lines += [
            f'shortlist_requests_total{{route="{route}",method="{method}",status="{status}"}} {count}'
            for (route, method, status), count in sorted(self.requests.items())
        ]
        lines += _head("shortlist_request_seconds", "histogram")
        for route, held in sorted(self.seconds.items()):
            lines += held.lines("shortlist_request_seconds", f'route="{route}",')
        lines += _head("shortlist_batch_size", "histogram")
        lines += self.batches.lines("shortlist_batch_size")
        lines += _head("shortlist_events_total", "counter")
        lines += [
            f'shortlist_events_total{{event="{kind}",arm="{arm}"}} {count}'
            for (kind, arm), count in sorted(self.events_by_arm.items())
        ]
        lines += _head("shortlist_shortlists_total", "counter")
        lines += [
            f'shortlist_shortlists_total{{arm="{arm}",version="{answered}",fallback="{str(fell).lower()}"}} {count}'
            for (arm, answered, fell), count in sorted(self.answers.items())
        ]
        lines += _head("shortlist_reloads_total", "counter")
        lines += [
            f'shortlist_reloads_total{{outcome="{outcome}"}} {count}'
            for outcome, count in sorted(self.reloads.items())
        ]
        if any(self.agreement.counts):
            lines += _head("shortlist_shadow_agreement", "histogram")
            lines += self.agreement.lines("shortlist_shadow_agreement")
        for name, value in gauges.items():
            lines += [*_head(name, "gauge"), f"{name} {value}"]
        lines += [*_head("shortlist_info", "gauge"), f'shortlist_info{{version="{version}"}} 1']
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str) -> tuple[str, str]:
    return f"# HELP {name} {_HELP[name]}", f"# TYPE {name} {kind}"


def held_bytes() -> tuple[int, int]:
    """The memory that this process holds.

    Not Linux's share of the shared pages (PSS): reading that took 11 ms, this 0.02.

    Returns:
        Bytes, and how many of them no file of the bundle backs, so that no other worker has them;
        0 where the system does not tell.
    """
    try:
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
    except OSError:
        return 0, 0
    told = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
    resident, own = (told.get(name, ["0"])[0] for name in ("VmRSS", "RssAnon"))
    return int(resident) * 1024, int(own) * 1024
