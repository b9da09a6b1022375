"""What goes over the wire about the catalogue, the model and the traffic."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct


class Value(Struct, frozen=True):
    """A value of a column, and how many items have it."""

    value: str
    count: int


class Column(Struct, frozen=True):
    """A column of the catalogue, as a condition can use it.

    ``number`` has ``least`` and ``most``; ``text`` (one value an item) and ``tags`` (several) have
    ``values``, the most frequent first, where they are few; ``other`` cannot be filtered by. It tells of
    the items trained on, not of those posted since.
    """

    name: str
    kind: Literal["number", "text", "tags", "other"]
    least: float | None = None
    most: float | None = None
    values: list[Value] = []


class Scale(Struct, frozen=True):
    """The least and the most of the ratings that the bundle learned from."""

    least: float
    most: float


class Catalogue(Struct, frozen=True):
    """What items can be filtered by, how they are rated (None where nobody rated), and whether lists can be varied (``diversity``)."""

    items: int
    columns: list[Column]
    ratings: Scale | None
    positive: str | None
    version: str
    diversity: bool


class Model(Struct, frozen=True):
    """What answers, what it learned from, and how it was judged (``metrics``, as the bundle holds them)."""

    name: str
    version: str
    created: str
    loaded: str
    retrieve: list[str]
    rank: str | None
    rank_lists: bool
    candidates: int
    fallback: str
    rules: list[str]
    rerank: list[str]
    positive: str | None
    users: int
    items: int
    rows: int
    seconds_from_to: Annotated[list[int], Meta(min_length=2, max_length=2)] | None
    metrics: dict[str, Any]


class RouteStats(Struct, frozen=True):
    """Requests of a route since the start; ``seconds`` counts them by the bounds of Stats, one more for the rest."""

    route: str
    method: str
    answered: int
    refused: int
    failed: int
    seconds: list[int]


class Arm(Struct, frozen=True):
    """Shortlists that an arm gave with a version of its bundle, and how many were the fallback's."""

    arm: str
    version: str
    shortlists: int
    fallbacks: int


class Band(Struct, frozen=True):
    """Items between two shares of the catalogue, the most popular first: their share of what is shown, and of the rows learned from."""

    above: float
    to: float
    shown: float
    learned: float


class Shown(Struct, frozen=True):
    """An item and in how many shortlists it stood."""

    item_id: str | int
    title: str
    shortlists: int


class Stats(Struct, frozen=True):
    """Traffic since the start.

    ``events_by_arm`` counts the events of each arm's users; ``agreement`` is the share of what was answered
    that the shadow lists too, None without one; ``coverage`` the share of the catalogue that stood in a
    shortlist.
    """

    version: str
    time: float
    up_seconds: float
    bounds: list[float]
    routes: list[RouteStats]
    arms: list[Arm]
    events: dict[str, int]
    events_by_arm: dict[str, dict[str, int]]
    agreement: float | None
    coverage: float
    popularity: list[Band]
    most_shown: list[Shown]
    waiting: int
    resident_bytes: int
    reload_refused: bool
