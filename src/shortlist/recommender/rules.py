"""Rules: which items may be answered. All are applied before the top-K is taken."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from shortlist.data.expression import Expression
from shortlist.data.protocols import Json
from shortlist.data.snapshot import Snapshot
from shortlist.data.vocabulary import UserOrItemId
from shortlist.errors import ConfigError


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
    """Leave out what the asker already has in their history."""

    kind: ClassVar[str] = "seen"

    def mask(self, snapshot: Snapshot) -> None:
        """Depends on the asker, not on the item alone.

        Args:
            snapshot: not used.
        """

    def to_json(self) -> dict[str, Json]:
        """Nothing to set.

        Returns:
            An empty dictionary.
        """
        return {}


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
        items: ids; ids that the catalogue lacks allow nothing.
    """

    kind: ClassVar[str] = "allow"

    items: tuple[UserOrItemId, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", tuple(self.items))

    def mask(self, snapshot: Snapshot) -> NDArray[np.bool_]:
        """Mark the items.

        Args:
            snapshot: holds the vocabulary.

        Returns:
            (n_items,) bool.
        """
        return _marked(snapshot, self.items)

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
        items: ids; ids that the catalogue lacks deny nothing.
    """

    kind: ClassVar[str] = "deny"

    items: tuple[UserOrItemId, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", tuple(self.items))

    def mask(self, snapshot: Snapshot) -> NDArray[np.bool_]:
        """Mark the others.

        Args:
            snapshot: holds the vocabulary.

        Returns:
            (n_items,) bool.
        """
        return ~_marked(snapshot, self.items)

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
    if kind not in _KINDS:
        msg = f"unknown rule {kind!r}; known are {sorted(_KINDS)}"
        raise ConfigError(msg)
    return _KINDS[kind](**settings)


def _marked(snapshot: Snapshot, items: tuple[UserOrItemId, ...]) -> NDArray[np.bool_]:
    mask = np.zeros(snapshot.n_items, bool)
    rows = snapshot.item_vocabulary.rows(items)
    mask[rows[rows >= 0]] = True
    return mask
