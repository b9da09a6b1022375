"""Ways to hold rows back for judging a model, each with a word on what leaks through it.

Every function returns parts that add up to the input and keep its row order. Shares are of the
whole; ``validation=0.0`` means none. Ties in time keep the row order of the file.
"""

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.data.interactions import Interactions
from shortlist.errors import ConfigError, DataError, closest

log = logging.getLogger("shortlist.data")
HOLDOUTS = ("latest", "time", "last-out", "random")
_TRAIN, _VALIDATION, _TEST = 0, 1, 2
_FEW_KNOWN_USERS = 200  # below this, an interval over test users says little


@dataclass(frozen=True, eq=False, repr=False)
class Parts:
    """Train, validation and test.

    Attributes:
        train: what a model may learn from.
        validation: what only chooses (when to stop, which setting); None where none was asked for.
        test: what only judges.
        leaks: in words, what the train part gives away that would not be known in service.
    """

    train: Interactions
    validation: Interactions | None
    test: Interactions
    leaks: str

    def __repr__(self) -> str:
        middle = "" if self.validation is None else f"{len(self.validation):,} validation, "
        return f"Parts({len(self.train):,} train, {middle}{len(self.test):,} test)"


def random(
    data: Interactions, *, test: float = 0.2, validation: float = 0.0, seed: int = 0
) -> Parts:
    """Any rows, by lot: what the TFRS tutorials do.

    Args:
        data: the rows to split.
        test: share of all rows, between 0 and 1.
        validation: share of all rows; 0 for none.
        seed: of the lot.

    Returns:
        Parts with ``round(share * rows)`` rows each.

    Raises:
        ConfigError: the shares are out of range.
        DataError: a part would be empty.
    """
    _check_shares(test, validation)
    part = _by_lot(len(data), test, validation, seed)
    leaks = (
        "Train holds later rows of the same users and of the items than many a test row: "
        "figures come out higher than in service."
    )
    log.warning("a random split leaks: %s", leaks)
    return _parts(data, part, validation > 0, leaks)


def per_user(
    data: Interactions, *, test: float = 0.2, validation: float = 0.0, seed: int = 0
) -> Parts:
    """Of each user's rows the same share, by lot.

    A user gives ``round(share * rows)`` rows, halves upwards, and keeps at least one for train.

    Args:
        data: the rows to split.
        test: share of each user's rows, between 0 and 1.
        validation: share of each user's rows; 0 for none.
        seed: of the lot.

    Returns:
        Parts; users with too few rows are wholly in train.

    Raises:
        ConfigError: the shares are out of range.
        DataError: a part would be empty.
    """
    _check_shares(test, validation)
    lot = np.random.default_rng(seed).random(len(data))
    part = _by_share(data, np.lexsort((lot, data.user_rows)), test, validation)
    leaks = (
        "Train holds later rows of the same users and of the items than many a test row; "
        "every test user is known."
    )
    log.warning("a random split leaks: %s", leaks)
    return _parts(data, part, validation > 0, leaks)


def latest(data: Interactions, *, test: float = 0.1, validation: float = 0.0) -> Parts:
    """Each user's own last rows by time: the default.

    A user gives the last ``round(share * rows)`` rows to test, halves upwards, those before them to
    validation likewise, and keeps at least one for train. At a share of 0.1, users with fewer than
    5 rows are wholly in train; where most users are like that, ``last_out`` is the better judge.

    Args:
        data: the rows to split; needs times.
        test: share of each user's rows, between 0 and 1.
        validation: share of each user's rows; 0 for none.

    Returns:
        Parts where no user's train row is later than the user's validation or test rows.

    Raises:
        NotReadyError: there are no times.
        ConfigError: the shares are out of range.
        DataError: a part would be empty.
    """
    _check_shares(test, validation)
    part = _by_share(data.having("timestamp"), data.time_order, test, validation)
    leaks = (
        "Train holds rows of other users, and so the fashion, from after a user's test rows; "
        "nothing of the user's own future."
    )
    return _parts(data, part, validation > 0, leaks)


def by_time(data: Interactions, *, test: float = 0.1, validation: float = 0.0) -> Parts:
    """One cut in time for all: what came after it is test.

    Args:
        data: the rows to split; needs times.
        test: share of all rows, between 0 and 1.
        validation: share of all rows, just before the test rows; 0 for none.

    Returns:
        Parts with ``round(share * rows)`` rows each. Where fewer than 200 test users were known
        before, ``leaks`` says so and a warning is logged.

    Raises:
        NotReadyError: there are no times.
        ConfigError: the shares are out of range.
        DataError: a part would be empty.
    """
    _check_shares(test, validation)
    times = data.having("timestamp").table["timestamp"].to_numpy()
    order = np.argsort(times, kind="stable")
    n = len(data)
    first_test = n - round(n * test)
    first_validation = first_test - round(n * validation)
    part = np.full(n, _TRAIN, np.int8)
    part[order[first_validation:first_test]] = _VALIDATION
    part[order[first_test:]] = _TEST
    leaks = "Nothing: all train rows came before all test rows."
    cuts = [c for c in {first_validation, first_test} if 0 < c < n]
    if any(times[order[c - 1]] == times[order[c]] for c in cuts):
        leaks = "Almost nothing: rows of the very moment of the cut stand on both sides of it."
    known = np.unique(data.user_rows[part == _TRAIN])
    asked = np.unique(data.user_rows[part == _TEST])
    met = int(np.isin(asked, known).sum())
    if met < _FEW_KNOWN_USERS:
        few = (
            f"Only {met:,} of {len(asked):,} test users were known before the cut (fewer than "
            f"{_FEW_KNOWN_USERS}): figures over them are loose. The holdout 'latest' judges more users."
        )
        log.warning("%s", few)
        leaks = f"{leaks} {few}"
    return _parts(data, part, validation > 0, leaks)


def last_out(data: Interactions, *, k: int = 1, validation: bool = False) -> Parts:
    """Each user's last k rows are test, the k before them validation.

    Args:
        data: the rows to split; needs times.
        k: how many, at least 1.
        validation: whether to hold k more back.

    Returns:
        Parts; a user who would keep no row for train is wholly in train.

    Raises:
        NotReadyError: there are no times.
        ConfigError: ``k`` is below 1.
        DataError: a part would be empty.
    """
    if k < 1:
        msg = f"k must be at least 1; got {k}"
        raise ConfigError(msg)
    from_end, counts = _from_end(data.having("timestamp"), data.time_order)
    enough = counts > k * (1 + validation)
    part = np.full(len(data), _TRAIN, np.int8)
    part[enough & (from_end < k)] = _TEST
    if validation:
        part[enough & (from_end >= k) & (from_end < 2 * k)] = _VALIDATION
    leaks = (
        "Train holds rows of other users, and so the fashion, from after a user's test rows; "
        "nothing of the user's own future. Every user weighs the same, however active."
    )
    return _parts(data, part, validation, leaks)


def new_users(
    data: Interactions, *, test: float = 0.1, validation: float = 0.0, seed: int = 0
) -> Parts:
    """Whole users, by lot: how well are people served whom train never saw?

    Args:
        data: the rows to split.
        test: share of users, between 0 and 1.
        validation: share of users; 0 for none.
        seed: of the lot.

    Returns:
        Parts without a user in common.

    Raises:
        ConfigError: the shares are out of range.
        DataError: a part would be empty.
    """
    _check_shares(test, validation)
    part_of_user = _by_lot(len(data.user_vocabulary), test, validation, seed)
    leaks = (
        "Train holds rows of other users from after the test rows, and nothing at all of the test "
        "users. Asked by id, all of them get the fallback, so figures show the fallback only; to "
        "judge more, bring their histories as guests' (recommend(history=...))."
    )
    return _parts(data, part_of_user[data.user_rows], validation > 0, leaks)


def holdout(
    data: Interactions, name: str | None = None, *, share: float = 0.1, seed: int = 0
) -> Parts:
    """Hold a part back by the name that the command line uses.

    Args:
        data: the rows to split.
        name: ``"latest"``, ``"time"``, ``"last-out"`` or ``"random"``; None: ``"latest"`` where
            there are times, else ``"random"``.
        share: of the rows; ``"last-out"`` holds one row of each user back whatever it is.
        seed: of the lot, for ``"random"``.

    Returns:
        Parts without validation; ``test`` is what was held back.

    Raises:
        ConfigError: the name is unknown, or the share out of range.
        NotReadyError: there are no times and the method needs them.
        DataError: a part would be empty.
    """
    if name is None:
        name = "latest" if "timestamp" in data.table.columns else "random"
    if name not in HOLDOUTS:
        msg = f"no holdout {name!r}; choose one of {', '.join(HOLDOUTS)}.{closest(name, list(HOLDOUTS))}"
        raise ConfigError(msg)
    if name == "latest":
        return latest(data, test=share)
    if name == "time":
        return by_time(data, test=share)
    if name == "last-out":
        return last_out(data)
    return random(data, test=share, seed=seed)


def _by_lot(n: int, test: float, validation: float, seed: int) -> NDArray[np.int8]:
    order = np.random.default_rng(seed).permutation(n)
    cuts = round(n * test), round(n * validation)
    part = np.full(n, _TRAIN, np.int8)
    part[order[: cuts[0]]] = _TEST
    part[order[cuts[0] : sum(cuts)]] = _VALIDATION
    return part


def _check_shares(test: float, validation: float) -> None:
    if not 0 < test < 1:
        msg = f"test must be a share between 0 and 1, such as 0.1; got {test}"
        raise ConfigError(msg)
    if not 0 <= validation < 1:
        msg = f"validation must be a share from 0 (none) to below 1; got {validation}"
        raise ConfigError(msg)
    if test + validation >= 1:
        msg = f"test {test} and validation {validation} leave nothing for train; together they must stay below 1"
        raise ConfigError(msg)


def _from_end(
    data: Interactions, order: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    # per row: how many of the user's rows come after it in an order by user; rows of the user
    counts = np.bincount(data.user_rows, minlength=len(data.user_vocabulary))
    from_end = np.empty(len(data), np.int64)
    from_end[order] = np.cumsum(counts)[data.user_rows[order]] - 1 - np.arange(len(data))
    return from_end, counts[data.user_rows]


def _by_share(
    data: Interactions, order: NDArray[np.int64], test: float, validation: float
) -> NDArray[np.int8]:
    from_end, counts = _from_end(data, order)
    n_test = np.minimum(_rounded(counts * test), counts - 1)
    n_validation = np.minimum(_rounded(counts * validation), counts - 1 - n_test)
    part = np.full(len(data), _TRAIN, np.int8)
    part[from_end < n_test + n_validation] = _VALIDATION
    part[from_end < n_test] = _TEST
    return part


def _rounded(number: NDArray[np.floating]) -> NDArray[np.int64]:
    halves_up: NDArray[np.int64] = np.floor(number + 0.5 + 1e-9).astype(np.int64)
    return halves_up  # the 1e-9: 0.29 * 50 is a little below 14.5


def _parts(data: Interactions, part: NDArray[np.int8], validated: bool, leaks: str) -> Parts:  # noqa: FBT001
    wanted = {"train": _TRAIN, "test": _TEST} | (
        {"validation": _VALIDATION} if validated else {}
    )
    for name, number in wanted.items():
        if not (part == number).any():
            msg = (
                f"the {name} part would be empty: {len(data):,} rows of "
                f"{len(data.user_vocabulary):,} users are too few for these shares. "
                "Take a larger share, or split.last_out where users have few rows"
            )
            raise DataError(msg)
    return Parts(
        data.subset(part == _TRAIN),
        data.subset(part == _VALIDATION) if validated else None,
        data.subset(part == _TEST),
        leaks,
    )
