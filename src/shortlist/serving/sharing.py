"""Counts of several workers as one: each writes its own to a file, whoever is asked adds them up."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from shortlist.serving.metrics import Histogram, Metrics

_Held = tuple[list[int], float]


class _Counts(Struct):
    requests: dict[tuple[str, str, int], int]
    seconds: dict[str, _Held]
    batches: _Held
    agreement: _Held
    events: dict[tuple[str, str], int]
    answers: dict[tuple[str, str, bool], int]
    reloads: dict[str, int]
    shown: dict[str | int, int]
    gauges: dict[str, float]


class Shared:
    """The files of all workers.

    Args:
        folder: of the files, of these workers alone.
        number: of this worker.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.folder, self.number = folder, number
        self._file = folder / f"{number}.counts"
        self._started = folder / f"{number}.started"

    @property
    def started(self) -> bool:
        """Whether this worker ever answered."""
        return self._started.exists()

    def start(self) -> None:
        """Tell that this worker answers."""
        self._started.touch()

    def go_on(self, metrics: Metrics) -> None:
        """Begin with what a worker of this number counted before it died: no count may seem to fall.

        Args:
            metrics: of this worker, which counted nothing yet.
        """
        if self._file.exists():
            _add(metrics, _read(self._file))

    def write(self, metrics: Metrics, gauges: Mapping[str, float]) -> None:
        """Tell the others what was counted here.

        Args:
            metrics: of this worker.
            gauges: of this worker.
        """
        counts = _Counts(
            dict(metrics.requests),
            {name: _held(one) for name, one in metrics.seconds.items()},
            _held(metrics.batches),
            _held(metrics.agreement),
            dict(metrics.events_by_arm),
            dict(metrics.answers),
            dict(metrics.reloads),
            dict(metrics.shown),
            dict(gauges),
        )
        draft = self._file.with_suffix(".draft")
        draft.write_bytes(msgspec.msgpack.encode(counts))
        Path(draft).replace(self._file)

    def all(self) -> tuple[Metrics, dict[str, float]]:
        """Everything that all workers counted, as of their last word.

        Returns:
            Metrics, and gauges: sums, but for the time and for readiness, which is the least.
        """
        joined, gauges = Metrics(), Counter[str]()
        least: dict[str, float] = {}
        for file in sorted(self.folder.glob("*.counts")):
            counts = _read(file)
            _add(joined, counts)
            for name, value in counts.gauges.items():
                gauges[name] += value  # type: ignore[assignment]
                least[name] = min(value, least.get(name, value))
        told: dict[str, float] = dict(gauges)
        for name in ("shortlist_ready", "shortlist_time_seconds"):
            told[name] = least.get(name, 0.0)
        return joined, told


def _read(file: Path) -> _Counts:
    return msgspec.msgpack.decode(file.read_bytes(), type=_Counts)


def _held(one: Histogram) -> _Held:
    return list(one.counts), one.total


def _add(joined: Metrics, counts: _Counts) -> None:
    joined.requests.update(counts.requests)
    joined.answers.update(counts.answers)
    joined.reloads.update(counts.reloads)
    joined.shown.update(counts.shown)
    for (kind, arm), count in counts.events.items():
        joined.events[kind] += count
        joined.events_by_arm[kind, arm] += count
    pairs = [(joined.batches, counts.batches), (joined.agreement, counts.agreement)]
    pairs += [(joined.histogram(name), held) for name, held in counts.seconds.items()]
    for one, (values, total) in pairs:
        one.counts = [a + b for a, b in zip(one.counts, values, strict=True)]
        one.total += total
