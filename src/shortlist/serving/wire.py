"""What goes over the wire: the types that check requests, write answers, and make the OpenAPI document."""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

_NO_NUL = r"^[^\x00]*$"  # which databases cannot hold in a text
Id: TypeAlias = (
    Annotated[str, Meta(min_length=1, max_length=256, pattern=_NO_NUL)]
    | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
)
Value: TypeAlias = str | int | float | bool | None
K: TypeAlias = Annotated[int, Meta(ge=1, le=1000, description="how many")]
Condition: TypeAlias = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=1000,
        description="on the catalogue's columns, such as: year >= 1990 and 'Comedy' in genres",
        examples=["year >= 1990"],
    ),
]
History: TypeAlias = Annotated[
    list[Id], Meta(max_length=1000, description="ids or unique titles, oldest first")
]
Items: TypeAlias = Annotated[
    list[Id], Meta(max_length=10_000, description="ids or unique titles")
]
Columns: TypeAlias = Annotated[dict[str, Value], Meta(max_length=100)]
EventKind: TypeAlias = Literal["watch", "rating", "purchase", "dismiss"]


class Asked(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Base of all bodies: a field that is not known is an error, not ignored."""


class Recommend(Asked, frozen=True):
    """Who asks (``user_id``, or a guest with ``history`` or ``about``), and for what."""

    user_id: Id | None = None
    history: History | None = None
    about: Columns | None = None
    k: K = 10
    where: Condition | None = None
    allow: Items | None = None
    deny: Items | None = None
    keep_seen: bool = False
    context: Columns | None = None
    explain: bool = False
    diversity: Annotated[float, Meta(ge=0, le=1)] | None = None
    attributes: bool = False


class Similar(Asked, frozen=True):
    """Items like an item."""

    item_id: Id
    k: K = 10
    where: Condition | None = None
    attributes: bool = False


class Audience(Asked, frozen=True):
    """The users most likely to take an item."""

    item_id: Id
    k: Annotated[int, Meta(ge=1, le=10_000)] = 100
    keep_seen: bool = False


class Predict(Asked, frozen=True):
    """Predicted ratings of items, for a user or a guest."""

    items: Annotated[list[Id], Meta(min_length=1, max_length=1000)]
    user_id: Id | None = None
    history: History | None = None


class Rank(Asked, frozen=True):
    """Candidates to put in order, for a user or a guest."""

    items: Annotated[list[Id], Meta(min_length=1, max_length=1000)]
    user_id: Id | None = None
    history: History | None = None
    context: Columns | None = None


class Event(Asked, frozen=True):
    """Something a user did. The same ``event_id`` counts once, however often it is sent."""

    event: EventKind
    user_id: Id
    item_id: Id
    event_id: Annotated[str, Meta(min_length=1, max_length=128, pattern=_NO_NUL)] | None = None
    timestamp: Annotated[int, Meta(ge=0, le=2**40, description="seconds, UTC")] | None = None
    rating: Annotated[float, Meta(ge=-1e6, le=1e6)] | None = None


class Events(Asked, frozen=True):
    """A batch of events: all of them are on disk when the answer comes, or none is."""

    events: Annotated[list[Event], Meta(min_length=1, max_length=1000)]


class NewItem(Asked, frozen=True):
    """An item and its columns, as the catalogue has them."""

    item_id: Id
    attributes: Annotated[
        dict[str, Value | Annotated[list[Value], Meta(max_length=100)]], Meta(max_length=100)
    ] = {}


class NewItems(Asked, frozen=True):
    """Items to recommend from now on, for what they are like."""

    items: Annotated[list[NewItem], Meta(min_length=1, max_length=1000)]


class Because(Struct, frozen=True):
    """An entry of the asker's history that speaks for an item."""

    item_id: str | int
    title: str
    share: float


class RankedBy(Struct, frozen=True):
    """A feature of the ranker that spoke for an item, or against it."""

    feature: str
    added: float


class Place(Struct, frozen=True, omit_defaults=True):
    """A place of a shortlist. Scores put the items of one answer in order; those of another ``k`` may differ."""

    rank: int
    item_id: str | int
    title: str
    score: float
    source: str
    because: list[Because] | None = None
    ranked_by: list[RankedBy] | None = None
    propensity: float | None = None
    attributes: dict[str, Any] | None = None


class Shortlist(Struct, frozen=True):
    """The answer to ``/recommend``.

    ``known_user`` says whether anything is known of the user; ``fallback`` whether the list is what
    everybody likes; ``unknown_items`` how many of the request's items the catalogue lacks; ``ranker`` the
    second stage that put the candidates in order, None without one.
    """

    recommendations: list[Place]
    known_user: bool
    fallback: bool
    unknown_items: int
    version: str
    ranker: str | None


class AlikeItem(Struct, frozen=True, omit_defaults=True):
    """An item like the one asked about."""

    rank: int
    item_id: str | int
    title: str
    score: float
    attributes: dict[str, Any] | None = None


class SimilarItems(Struct, frozen=True):
    """The answer to ``/similar``."""

    similar: list[AlikeItem]
    version: str


class Member(Struct, frozen=True):
    """A user who is likely to take the item."""

    rank: int
    user_id: str | int
    score: float


class AudienceOfItem(Struct, frozen=True):
    """The answer to ``/audience``."""

    audience: list[Member]
    version: str


class Prediction(Struct, frozen=True):
    """A predicted rating; of a ranker that learns from lists, a score, or a probability where it is calibrated."""

    item_id: str | int
    title: str
    prediction: float


class Predictions(Struct, frozen=True):
    """The answer to ``/predict``: in the order asked, without the unknown ones."""

    predictions: list[Prediction]
    known_user: bool
    unknown_items: int
    version: str


class RankedItem(Struct, frozen=True):
    """A candidate in its place."""

    rank: int
    item_id: str | int
    title: str
    score: float


class Ranked(Struct, frozen=True):
    """The answer to ``/rank``: every known candidate once, the best first."""

    ranked: list[RankedItem]
    known_user: bool
    fallback: bool
    unknown_items: int
    version: str


class Item(Struct, frozen=True):
    """An item of the catalogue with its columns."""

    item_id: str | int
    title: str
    attributes: dict[str, Any]


class FoundItems(Struct, frozen=True):
    """The answer to a search by title."""

    items: list[Item]


class EventsKept(Struct, frozen=True):
    """What became of a batch of events: all of it is on disk.

    ``duplicates`` had an ``event_id`` that was kept before; ``unknown_items`` count once the catalogue
    has their item; ``from_the_future`` were given the time of their arrival.
    """

    accepted: int
    duplicates: int
    unknown_items: int
    from_the_future: int


class ItemsKept(Struct, frozen=True):
    """What became of new items. ``known`` were there already and stay as they are.

    ``everywhere`` says whether every worker has them by now; if not, it will in a moment.
    """

    added: int
    known: int
    like_none: int
    everywhere: bool


class HistoryEntry(Struct, frozen=True, omit_defaults=True):
    """An entry of a user's history.

    A rating is there where one was given; what came as an event says as which, and when.
    """

    item_id: str | int
    title: str
    liked: bool
    timestamp: int | None = None
    rating: float | None = None
    event: str | None = None


class UserHistory(Struct, frozen=True):
    """What is known of a user, newest first."""

    history: list[HistoryEntry]
    total: int


Cleaned = Literal["done", "under way", "in part", "failed"]
_REMAINS = (
    "What many users taught together (item vectors, similarities, layers, counts) stays as it is until "
    "the next training; a salted hash of the id stays, so that an older bundle cannot bring the user back."
)


class Forgotten(Struct, frozen=True):
    """What was forgotten of a user.

    The events are gone from the store and its log, and the rows of the bundle are used no more.
    ``bundle`` says whether every kept version was written anew without the user: done, under way, in
    part (a version that cannot be read, and so cannot answer, was left), or failed (none was). The log
    says why; it is tried again at the next start and with every new version.
    ``remains`` says what stays.
    """

    events: int
    hidden_rows: int
    bundle: Cleaned
    remains: str = _REMAINS


class Fault(Struct, frozen=True):
    """Why a request was not answered."""

    code: str
    message: str
    request_id: str


class Failure(Struct, frozen=True):
    """The body of every answer that is no success."""

    error: Fault


encoder = msgspec.json.Encoder(enc_hook=str)
