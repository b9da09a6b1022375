"""Rules: which items may be answered. All are applied before the top-K is taken."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from shortlist.data.expression import Expression
from shortlist.data.protocols import Json
from shortlist.data.queries import Queries
from shortlist.data.snapshot import Snapshot
from shortlist.data.vocabulary import UserOrItemId
from shortlist.errors import ConfigError

_log = logging.getLogger(__name__)
_DAY = 86_400


@runtime_checkable
class Rule(Protocol):
    """A condition on items, or on what an asker already has."""

    kind: ClassVar[str]

    def mask(self, snapshot: Snapshot) -> NDArray[np.bool_] | None:
        """(n_items,) which items it allows to anyone; None where it does not depend on the item."""
        ...

    def to_json(self) -> dict[str, Json]:
        """Its settings."""
        ...


@dataclass(frozen=True)
class Seen:
    """Leave out what the asker already has in their history.

    Attributes:
        again_after_days: what they took longer ago than this may be answered again, as with things
            that are bought again; None: never. Rows without a time count as taken just now.

    Raises:
        ConfigError: the days are not positive.
    """

    kind: ClassVar[str] = "seen"

    again_after_days: float | None = None

    def __post_init__(self) -> None:
        if self.again_after_days is not None and not self.again_after_days > 0:
            msg = f"again_after_days must be positive; got {self.again_after_days}"
            raise ConfigError(msg)

    def excluded(self, queries: Queries) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """What each asker may not get.

        Args:
            queries: n askers.

        Returns:
            Flat item rows, -1 for entries that are old enough, and (n + 1,) offsets.
        """
        if self.again_after_days is None or queries.history_ages is None:
            return queries.history_rows, queries.offsets
        recent = queries.history_ages <= self.again_after_days * _DAY
        return np.where(recent, queries.history_rows, -1).astype(np.int32), queries.offsets

    def mask(self, snapshot: Snapshot) -> None:
        """Depends on the asker, not on the item alone.

        Args:
            snapshot: not used.
        """

    def to_json(self) -> dict[str, Json]:
        """Its setting.

        Returns:
            ``{"again_after_days": ...}``, empty where it is None.
        """
        days = self.again_after_days
        return {} if days is None else {"again_after_days": days}


@dataclass(frozen=True)
class Where:
    """Only items whose columns meet a condition, such as ``year >= 1990 and 'Comedy' in genres``.

    Attributes:
        condition: parsed, never run as code (see :class:`shortlist.data.expression.Expression`).

    Raises:
        ConfigError: the condition cannot be read.
    """

    kind: ClassVar[str] = "where"

    condition: str

    def __post_init__(self) -> None:
        Expression(self.condition)

    def mask(self, snapshot: Snapshot) -> NDArray[np.bool_]:
        """Test the catalogue.

        Args:
            snapshot: holds the catalogue.

        Returns:
            (n_items,) bool.
        """
        return Expression(self.condition).mask(snapshot.catalogue.table)

    def to_json(self) -> dict[str, Json]:
        """The condition.

        Returns:
            ``{"condition": ...}``.
        """
        return {"condition": self.condition}


@dataclass(frozen=True)
class Allow:
    """Only these items.

    Attributes:
        items: ids or unique titles; those that the catalogue lacks allow nothing, with a logged
            warning.

    Raises:
        ConfigError: one text stands where a list belongs.
    """

    kind: ClassVar[str] = "allow"

    items: tuple[UserOrItemId, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", listed(self.kind, self.items))

    def mask(self, snapshot: Snapshot) -> NDArray[np.bool_]:
        """Mark the items.

        Args:
            snapshot: holds the vocabulary.

        Returns:
            (n_items,) bool.
        """
        return _marked(snapshot, self)

    def to_json(self) -> dict[str, Json]:
        """The ids.

        Returns:
            ``{"items": [...]}``.
        """
        return {"items": list(self.items)}


@dataclass(frozen=True)
class Deny:
    """Anything but these items.

    Attributes:
        items: ids or unique titles; those that the catalogue lacks deny nothing, with a logged
            warning.

    Raises:
        ConfigError: one text stands where a list belongs.
    """

    kind: ClassVar[str] = "deny"

    items: tuple[UserOrItemId, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", listed(self.kind, self.items))

    def mask(self, snapshot: Snapshot) -> NDArray[np.bool_]:
        """Mark the others.

        Args:
            snapshot: holds the vocabulary.

        Returns:
            (n_items,) bool.
        """
        return ~_marked(snapshot, self)

    def to_json(self) -> dict[str, Json]:
        """The ids.

        Returns:
            ``{"items": [...]}``.
        """
        return {"items": list(self.items)}


_KINDS: dict[str, type[Seen | Where | Allow | Deny]] = {
    kind.kind: kind for kind in (Seen, Where, Allow, Deny)
}


def rule_from_json(kind: str, settings: dict[str, Json]) -> Rule:
    """Rebuild a rule from a bundle.

    Args:
        kind: its name.
        settings: what ``to_json`` gave.

    Returns:
        The rule.

    Raises:
        ConfigError: the kind is not known.
    """
    check_known(kind)
    return _KINDS[kind](**settings)


def check_known(kind: str) -> None:
    """Insist on a rule that a bundle can hold.

    Args:
        kind: its name.

    Raises:
        ConfigError: the kind is not known.
    """
    if kind not in _KINDS:
        msg = f"unknown rule {kind!r}; known are {sorted(_KINDS)}"
        raise ConfigError(msg)


def joint_mask(rules: Sequence[Rule], snapshot: Snapshot) -> NDArray[np.bool_] | None:
    """What all rules allow.

    Args:
        rules: any number.
        snapshot: what they are tested on.

    Returns:
        (n_items,) bool; None where no rule depends on the item.
    """
    masks = [mask for mask in (rule.mask(snapshot) for rule in rules) if mask is not None]
    return np.logical_and.reduce(masks) if masks else None


def listed(name: str, values: Iterable[UserOrItemId]) -> tuple[UserOrItemId, ...]:
    """Several ids as a tuple of plain Python values.

    Args:
        name: of the argument, for the message.
        values: ids or titles.

    Returns:
        The values in their order.

    Raises:
        ConfigError: ``values`` is no list; of one text, the letters would be taken for ids.
    """
    given: object = values
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        got = "the text " if isinstance(given, str | bytes) else ""
        msg = f"{name} takes a list of ids; got {got}{given!r}. Write [{given!r}]"
        raise ConfigError(msg)
    return tuple(value.item() if isinstance(value, np.generic) else value for value in values)


def _marked(snapshot: Snapshot, rule: Allow | Deny) -> NDArray[np.bool_]:
    rows = snapshot.item_vocabulary.rows(rule.items)
    for place in np.flatnonzero(rows < 0):  # not an id: a title, perhaps
        rows[place] = snapshot.find_item(rule.items[place])
    unknown = [rule.items[place] for place in np.flatnonzero(rows < 0)]
    if unknown:
        _log.warning(
            "%s: %d of %d items are unknown and change nothing: %r",
            rule.kind,
            len(unknown),
            len(rows),
            unknown[:5],
        )
    mask = np.zeros(snapshot.n_items, bool)
    mask[rows[rows >= 0]] = True
    return mask
