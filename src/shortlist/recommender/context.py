"""Which columns of the asking (the time, a device, ...) the parts of a recommender read."""

from collections.abc import Iterable, Iterator, Sequence


def judged_context(parts: Iterable[object]) -> tuple[str, ...]:
    """Columns that a part declares as its context, and by which it is judged.

    Args:
        parts: retrievers and rankers; what they are made of counts too.

    Returns:
        Names, in order.
    """
    read = [one for part in with_inner(parts) for one in getattr(part, "context", ())]
    return tuple(sorted({one if isinstance(one, str) else one.column for one in read}))


def read_context(parts: Iterable[object]) -> tuple[str, ...]:
    """All columns of a context that can change an answer.

    Args:
        parts: as for :func:`judged_context`.

    Returns:
        Names, in order: those declared, and those that count only where somebody gives them.
    """
    each = list(with_inner(parts))
    welcome = {name for part in each for name in getattr(part, "welcome_context", ())}
    return tuple(sorted(welcome.union(judged_context(each))))


def with_inner(parts: Iterable[object]) -> Iterator[object]:
    """Parts, each followed by what it is made of.

    Args:
        parts: retrievers and rankers.

    Yields:
        Parts.
    """
    for part in parts:
        yield part
        inside = getattr(part, "parts", ())
        yield from with_inner(inside if isinstance(inside, Sequence) else ())
