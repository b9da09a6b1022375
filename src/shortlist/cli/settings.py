"""``--set NAME=VALUE``: a method's settings as text, read as what the setting holds."""

from collections.abc import Sequence
from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from shortlist.errors import ConfigError, closest

_WORDS = {"true": True, "yes": True, "false": False, "no": False}


def read_settings(kind: type, name: str, given: Sequence[str]) -> dict[str, Any]:
    """Read what was given to ``--set`` for one method.

    Args:
        kind: the method's class, a dataclass.
        name: what messages call it.
        given: such as ``["l2=250"]``.

    Returns:
        Settings to values.

    Raises:
        ConfigError: there is no equals sign, no such setting, or the value does not suit it.
    """
    kinds = {one.name: one.type for one in fields(kind) if one.init}
    found: dict[str, Any] = {}
    for pair in given:
        setting, sign, text = (part.strip() for part in pair.partition("="))
        if not sign:
            msg = f"--set takes NAME=VALUE, such as l2=250; got {pair!r}"
            raise ConfigError(msg)
        if setting not in kinds:
            known = list(kinds)
            msg = f"{name} has no setting {setting!r}; it has {', '.join(known) or 'none'}.{closest(setting, known)}"
            raise ConfigError(msg)
        if setting in found:
            msg = f"--set {setting} is given twice; give it once"
            raise ConfigError(msg)
        found[setting] = _value(kinds[setting], text, f"{setting} of {name}")
    return found


def _value(kind: Any, text: str, what: str) -> Any:
    origin = get_origin(kind)
    if origin in {UnionType, Union}:
        inner = [one for one in get_args(kind) if one is not NoneType]
        if text.lower() == "none" and len(inner) < len(get_args(kind)):
            return None
        kind = inner[0] if len(inner) == 1 else object
        origin = get_origin(kind)
    if origin is Literal:
        return _one_of(get_args(kind), text, what)
    if isinstance(origin, type) and issubclass(tuple, origin):
        words = [word.strip() for word in text.split(",") if word.strip()]
        inside = get_args(kind)[0]
        return [
            _number(inside, word, what) if inside in {int, float} else word for word in words
        ]
    if kind in {int, float}:
        return _number(kind, text, what)
    if kind is bool:
        return _WORDS[_one_of(tuple(_WORDS), text.lower(), what)]
    if kind is str:
        return text
    msg = f"{what} cannot be written on the command line; use the Python interface for it"
    raise ConfigError(msg)


def _number(kind: type, text: str, what: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        needed = "a whole number" if kind is int else "a number"
        msg = f"{what} must be {needed}; got {text!r}"
        raise ConfigError(msg) from None


def _one_of(values: tuple[Any, ...], text: str, what: str) -> Any:
    for value in values:
        if str(value) == text:
            return value
    msg = f"{what} must be one of {', '.join(map(str, values))}; got {text!r}"
    raise ConfigError(msg)
