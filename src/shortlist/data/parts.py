"""What a split gives, and the steps that ways to split have in common."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.data.interactions import Interactions
from shortlist.errors import ConfigError, DataError

TRAIN, VALIDATION, TEST = 0, 1, 2


@dataclass(frozen=True, eq=False, repr=False)
class Parts:
    """Train, validation and test.

    Attributes:
        train: what a model may learn from.
        validation: what only chooses (when to stop, which setting); None where none was asked for.
        test: what only judges.
        leaks: in words, what the train part gives away that would not be known in service.
        brought: rows that new users bring as their histories; None where nobody brings any.
    """

    train: Interactions
    validation: Interactions | None
    test: Interactions
    leaks: str
    brought: Interactions | None = None

    def __repr__(self) -> str:
        middle = "" if self.validation is None else f"{len(self.validation):,} validation, "
        more = "" if self.brought is None else f", {len(self.brought):,} brought"
        return f"Parts({len(self.train):,} train, {middle}{len(self.test):,} test{more})"


def by_lot(n: int, test: float, validation: float, seed: int) -> NDArray[np.int8]:
    """Draw the part of each of n things.

    Args:
        n: how many.
        test: share.
        validation: share.
        seed: of the lot.

    Returns:
        (n,) TRAIN, VALIDATION or TEST.
    """
    order = np.random.default_rng(seed).permutation(n)
    cuts = round(n * test), round(n * validation)
    part = np.full(n, TRAIN, np.int8)
    part[order[: cuts[0]]] = TEST
    part[order[cuts[0] : sum(cuts)]] = VALIDATION
    return part


def check_shares(test: float, validation: float) -> None:
    """Insist on shares that leave something for train.

    Args:
        test: share.
        validation: share; 0 for none.

    Raises:
        ConfigError: they do not.
    """
    if not 0 < test < 1:
        msg = f"test must be a share between 0 and 1, such as 0.1; got {test}"
        raise ConfigError(msg)
    if not 0 <= validation < 1:
        msg = f"validation must be a share from 0 (none) to below 1; got {validation}"
        raise ConfigError(msg)
    if test + validation >= 1:
        msg = f"test {test} and validation {validation} leave nothing for train; together they must stay below 1"
        raise ConfigError(msg)


def from_end(
    data: Interactions, order: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each row stands among its user's.

    Args:
        data: the rows.
        order: (rows,) row numbers by user.

    Returns:
        (rows,) how many of the user's rows come after it in that order; (rows,) rows of the user.
    """
    counts = np.bincount(data.user_rows, minlength=len(data.user_vocabulary))
    after = np.empty(len(data), np.int64)
    after[order] = np.cumsum(counts)[data.user_rows[order]] - 1 - np.arange(len(data))
    return after, counts[data.user_rows]


def by_share(
    data: Interactions, order: NDArray[np.int64], test: float, validation: float
) -> NDArray[np.int8]:
    """Of each user's rows the last share in an order, at least one kept for train.

    Args:
        data: the rows.
        order: (rows,) row numbers by user.
        test: share of each user's rows.
        validation: share of each user's rows, before those.

    Returns:
        (rows,) TRAIN, VALIDATION or TEST.
    """
    after, counts = from_end(data, order)
    n_test = np.minimum(_rounded(counts * test), counts - 1)
    n_validation = np.minimum(_rounded(counts * validation), counts - 1 - n_test)
    part = np.full(len(data), TRAIN, np.int8)
    part[after < n_test + n_validation] = VALIDATION
    part[after < n_test] = TEST
    return part


def _rounded(number: NDArray[np.floating]) -> NDArray[np.int64]:
    halves_up: NDArray[np.int64] = np.floor(number + 0.5 + 1e-9).astype(np.int64)
    return halves_up  # the 1e-9: 0.29 * 50 is a little below 14.5


def _remedy(data: Interactions) -> str:
    if len(data) == len(data.user_vocabulary):
        return "Each user has one row: split.random or by_time with a larger share can hold rows back, or bring a table of them"
    return "Take a larger share, or split.last_out where users have few rows"


def parts(
    data: Interactions,
    part: NDArray[np.int8],
    leaks: str,
    *,
    validated: bool,
    brought: NDArray[np.bool_] | None = None,
) -> Parts:
    """Cut a table.

    Args:
        data: the rows.
        part: (rows,) TRAIN, VALIDATION or TEST.
        leaks: see :class:`Parts`.
        validated: whether a validation part was asked for.
        brought: (rows,) what is taken out of its part as a history; None: nothing.

    Returns:
        Parts.

    Raises:
        DataError: a part would be empty.
    """
    taken = np.zeros(len(data), bool) if brought is None else brought
    wanted = {"train": TRAIN, "test": TEST} | ({"validation": VALIDATION} if validated else {})
    masks = {name: (part == number) & ~taken for name, number in wanted.items()}
    for name, mask in masks.items():
        if not mask.any():
            msg = (
                f"the {name} part would be empty: {len(data):,} rows of "
                f"{len(data.user_vocabulary):,} users are too few for these shares. {_remedy(data)}"
            )
            raise DataError(msg)
    return Parts(
        data.subset(masks["train"]),
        data.subset(masks["validation"]) if validated else None,
        data.subset(masks["test"]),
        leaks,
        None if brought is None else data.subset(taken),
    )
