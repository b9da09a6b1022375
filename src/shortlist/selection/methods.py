"""The methods that are tried and tuned: in the order of their simplicity, with the settings worth searching."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from shortlist.data.protocols import Json, Retriever
from shortlist.errors import ConfigError, closest
from shortlist.retrieval import RETRIEVERS


@dataclass(frozen=True)
class Span:
    """The numbers that a setting may take.

    Attributes:
        low: the least.
        high: the most.
        log: whether a factor matters more than a difference.
        whole: whether only whole numbers count.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def holds(self, value: object) -> bool:
        """Say whether a value lies within.

        Args:
            value: any.

        Returns:
            True for a number from ``low`` to ``high``.
        """
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """The values that a setting may take.

    Attributes:
        values: plain, in any order.
    """

    values: tuple[Json, ...]

    def holds(self, value: object) -> bool:
        """Say whether a value is among them.

        Args:
            value: any.

        Returns:
            True for one of ``values``.
        """
        return value in self.values


Space = Mapping[str, Span | Choice]

# Simple before complicated: of methods that are not shown to differ, the first is kept.
METHODS: Mapping[str, Space] = {
    "popularity": {
        "by": Choice(("count", "recent")),
        "half_life_days": Span(3, 1000, log=True),
    },
    "neighbours": {
        "weighting": Choice(("cosine", "bm25")),
        "neighbours": Span(10, 1000, log=True, whole=True),
        "shrinkage": Span(0, 50),
    },
    "ease": {"l2": Span(10, 5000, log=True)},
    "als": {
        "dim": Span(8, 512, log=True, whole=True),
        "unobserved": Span(0.1, 10, log=True),
        "l2": Span(0.03, 10, log=True),
    },
    "graph-filter": {
        "user_power": Span(0, 1),
        "item_power": Span(0, 1),
        "balance": Span(-0.5, 0.5),
        "sharpen": Span(0, 20),
        "low_pass": Span(0, 1),
        "rank": Span(16, 512, log=True, whole=True),
    },
    "next-item": {
        "targets": Span(1, 40, log=True, whole=True),
        "target_decay": Span(0, 1),
        "l2": Span(10, 3000, log=True),
        "odds": Span(0, 1),
        "odds_decay": Span(0, 1),
        "popularity": Span(0, 1),
        "ease": Span(0, 2),
        "ease_decay": Span(0, 1),
        "ease_l2": Span(30, 3000, log=True),
    },
    "blend": {},
    "two-tower": {
        "dim": Span(16, 256, log=True, whole=True),
        "learning_rate": Span(3e-4, 3e-2, log=True),
        "dropout": Span(0.0, 0.7),
        "weight_decay": Span(1e-3, 0.3, log=True),
        "batch_size": Choice((512, 1024, 2048, 4096)),
    },
    "sequence": {
        "dim": Choice((32, 64, 128)),
        "layers": Span(1, 4, whole=True),
        "dropout": Span(0, 0.5),
        "learning_rate": Span(3e-4, 1e-2, log=True),
    },
}


def make_method(name: str, seed: int, **settings: Json) -> Retriever:
    """A retriever by its name.

    Args:
        name: as on the command line.
        seed: for those that take one.
        **settings: others than its defaults.

    Returns:
        An unfitted retriever.

    Raises:
        ConfigError: no such method, or no such setting of it.
    """
    if name not in RETRIEVERS:
        known = list(RETRIEVERS)
        msg = f"no method {name!r}; choose among {', '.join(known)}.{closest(name, known)}"
        raise ConfigError(msg)
    kind = RETRIEVERS[name]
    known = [one.name for one in fields(kind) if one.init]  # type: ignore[arg-type]
    for setting in settings:
        if setting not in known:
            msg = f"{name} has no setting {setting!r}; it has {', '.join(known)}.{closest(setting, known)}"
            raise ConfigError(msg)
    return kind(**({"seed": seed} if "seed" in known else {}) | settings)
