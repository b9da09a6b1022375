"""Errors raised by this package.

ShortlistError
├── DataError          a table breaks its contract (missing column, null id, NaN rating, mixed units)
│   └── ShapeError     two arrays do not line up
├── ConfigError        a setting is out of range, a name is unknown, a filter cannot be read
│   └── LikenessError  a retriever that cannot say which items are alike was asked for it
├── NotReadyError      a step was called before the step it needs
├── MissingExtraError  an optional dependency is not installed
├── TrainingError      training went wrong (a loss that is not finite)
├── ExportError        something cannot be exported, or would not answer as the bundle does
└── BundleError        a saved recommender cannot be written, or cannot be trusted when read
"""


class ShortlistError(Exception):
    """Base class: catch this to catch everything the package raises on purpose."""


class DataError(ShortlistError):
    """A table breaks its contract."""


class ShapeError(DataError):
    """Two arrays do not line up."""


class ConfigError(ShortlistError):
    """A setting is out of range, or a name is unknown."""


class LikenessError(ConfigError):
    """A retriever was asked which items are alike and, by its kind, cannot say; another may."""


class NotReadyError(ShortlistError):
    """A step was called before the step it needs."""


class MissingExtraError(ShortlistError):
    """An optional dependency is not installed."""


class TrainingError(ShortlistError):
    """Training went wrong and stopped; the message says whether a good epoch was kept."""


class ExportError(ShortlistError):
    """A recommender cannot be exported, or the file would not answer as it does."""


class BundleError(ShortlistError):
    """A saved recommender cannot be written, or cannot be trusted when read."""


class NoEarlierVersion(BundleError):
    """A bundle has no version before the current one."""


def closest(word: str, known: list[str]) -> str:
    """Say which known word was probably meant.

    Args:
        word: what was written.
        known: the words that would have been accepted.

    Returns:
        ``" Did you mean 'x'?"`` with a leading space, or an empty string where nothing is near.
    """
    import difflib

    match = difflib.get_close_matches(word, known, n=1)
    return f" Did you mean {match[0]!r}?" if match else ""
