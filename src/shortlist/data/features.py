"""Features by declaration: which columns a tower reads, and as what."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

from shortlist.data.protocols import Json
from shortlist.errors import ConfigError


@dataclass(frozen=True)
class Category:
    """One embedding per value of a column; values that train never had share one."""

    column: str


@dataclass(frozen=True)
class Tags:
    """The mean of one embedding per tag, for a column of text lists such as genres."""

    column: str


@dataclass(frozen=True)
class Number:
    """One direction, weighted by the column's z-score; missing values count as the mean."""

    column: str


@dataclass(frozen=True)
class Bucket:
    """One embedding per range of a number; the ranges hold equal shares of train."""

    column: str
    buckets: int = 100

    def __post_init__(self) -> None:
        _check_buckets(self.buckets)


@dataclass(frozen=True)
class Hash:
    """One embedding per hash of a value, for columns with too many values to list."""

    column: str
    buckets: int = 1000

    def __post_init__(self) -> None:
        _check_buckets(self.buckets)


@dataclass(frozen=True)
class Text:
    """The mean of one embedding per word; words seen fewer than ``min_count`` times are left out."""

    column: str
    min_count: int = 2


@dataclass(frozen=True)
class History:
    """The mean of one embedding per item, over a user's ``length`` latest liked items.

    Attributes:
        length: how many of the latest are read.
        ordered: whether a training row reads what came before it, so that a model learns what
            follows what. False leaves one out: the row reads the history that answering reads,
            as if the row itself were not there. Right where rows were cut by lot, since what is
            asked for then lies amid the history; rows without times are read so anyway.
    """

    length: int = 50
    ordered: bool = True


Feature: TypeAlias = Bucket | Category | Hash | History | Number | Tags | Text
Declared: TypeAlias = str | Feature
_KINDS: dict[str, type[Feature]] = {
    kind.__name__: kind for kind in (Bucket, Category, Hash, History, Number, Tags, Text)
}


def feature_list(name: str, declared: Sequence[Declared]) -> tuple[Declared, ...]:
    """Declared features as a tuple.

    Args:
        name: of the setting, for messages.
        declared: names and feature objects.

    Returns:
        The same.

    Raises:
        ConfigError: it is one name, whose letters would be taken for columns, or one feature.
    """
    if isinstance(declared, str | Feature):
        msg = f"{name} is a list of features; got {declared!r}. Write {name}=[{declared!r}]"
        raise ConfigError(msg)
    return tuple(declared)


def features_to_json(features: Sequence[Declared]) -> list[Json]:
    """Write declared features as JSON values.

    Args:
        features: names and feature objects.

    Returns:
        Names as they are; objects as ``{"kind": ..., fields}``.
    """
    return [
        f if isinstance(f, str) else {"kind": type(f).__name__, **asdict(f)} for f in features
    ]


def features_from_json(values: Sequence[Json]) -> tuple[Declared, ...]:
    """Read what :func:`features_to_json` wrote.

    Args:
        values: JSON values.

    Returns:
        Names and feature objects.

    Raises:
        ConfigError: a kind is not known.
    """
    features: list[Declared] = []
    for value in values:
        if isinstance(value, str):
            features.append(value)
            continue
        if not isinstance(value, dict) or value.get("kind") not in _KINDS:
            msg = f"cannot read feature {value!r}; kinds are {sorted(_KINDS)}"
            raise ConfigError(msg)
        fields = {key: v for key, v in value.items() if key != "kind"}
        features.append(_KINDS[str(value["kind"])](**fields))
    return tuple(features)


def _check_buckets(buckets: int) -> None:
    if buckets < 1:
        msg = f"buckets must be at least 1; got {buckets}"
        raise ConfigError(msg)
