"""Ways to hold rows back for judging a model, each with a word on what leaks through it.

Every function returns parts that add up to the input and keep its row order. Shares are of the
whole; ``validation=0.0`` means none. Ties in time keep the row order of the file.
"""

import logging

import numpy as np

from shortlist.data.interactions import Interactions
from shortlist.data.parts import (
    TEST,
    TRAIN,
    VALIDATION,
    Parts,
    by_lot,
    by_share,
    check_shares,
    from_end,
    parts,
)
from shortlist.errors import ConfigError, closest

log = logging.getLogger("shortlist.data")
HOLDOUTS = ("latest", "time", "last-out", "random")
_FEW_KNOWN_USERS = 200  # below this, an interval over test users says little


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
    check_shares(test, validation)
    part = by_lot(len(data), test, validation, seed)
    leaks = (
        "Train holds later rows of the same users and of the items than many a test row: "
        "figures come out higher than in service."
    )
    log.warning("a random split leaks: %s", leaks)
    return parts(data, part, leaks, validated=validation > 0)


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
    check_shares(test, validation)
    lot = np.random.default_rng(seed).random(len(data))
    part = by_share(data, np.lexsort((lot, data.user_rows)), test, validation)
    leaks = (
        "Train holds later rows of the same users and of the items than many a test row; "
        "every test user is known."
    )
    log.warning("a random split leaks: %s", leaks)
    return parts(data, part, leaks, validated=validation > 0)


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
    check_shares(test, validation)
    part = by_share(data.having("timestamp"), data.time_order, test, validation)
    leaks = (
        "Train holds rows of other users, and so the fashion, from after a user's test rows; "
        "nothing of the user's own future."
    )
    return parts(data, part, leaks, validated=validation > 0)


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
    check_shares(test, validation)
    times = data.having("timestamp").table["timestamp"].to_numpy()
    order = np.argsort(times, kind="stable")
    n = len(data)
    first_test = n - round(n * test)
    first_validation = first_test - round(n * validation)
    part = np.full(n, TRAIN, np.int8)
    part[order[first_validation:first_test]] = VALIDATION
    part[order[first_test:]] = TEST
    leaks = "Nothing: all train rows came before all test rows."
    cuts = [c for c in {first_validation, first_test} if 0 < c < n]
    if any(times[order[c - 1]] == times[order[c]] for c in cuts):
        leaks = "Almost nothing: rows of the very moment of the cut stand on both sides of it."
    known = np.unique(data.user_rows[part == TRAIN])
    asked = np.unique(data.user_rows[part == TEST])
    met = int(np.isin(asked, known).sum())
    if met < _FEW_KNOWN_USERS:
        few = (
            f"Only {met:,} of {len(asked):,} test users were known before the cut (fewer than "
            f"{_FEW_KNOWN_USERS}): figures over them are loose. The holdout 'latest' judges more users."
        )
        log.warning("%s", few)
        leaks = f"{leaks} {few}"
    return parts(data, part, leaks, validated=validation > 0)


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
    after, counts = from_end(data.having("timestamp"), data.time_order)
    enough = counts > k * (1 + validation)
    part = np.full(len(data), TRAIN, np.int8)
    part[enough & (after < k)] = TEST
    if validation:
        part[enough & (after >= k) & (after < 2 * k)] = VALIDATION
    leaks = (
        "Train holds rows of other users, and so the fashion, from after a user's test rows; "
        "nothing of the user's own future. Every user weighs the same, however active."
    )
    return parts(data, part, leaks, validated=validation)


def new_users(
    data: Interactions,
    *,
    test: float = 0.1,
    validation: float = 0.0,
    brings: float = 0.0,
    seed: int = 0,
) -> Parts:
    """Whole users, by lot: how well are people served whom train never saw?

    Args:
        data: the rows to split.
        test: share of users, between 0 and 1.
        validation: share of users; 0 for none.
        brings: share of each new user's rows that they bring as a history, halves upwards: the
            earliest by time, or any by lot without times; one row at least is left to find. They are
            in ``brought``, for ``evaluate(..., histories=parts.brought)``. 0: nothing is brought.
        seed: of the lot.

    Returns:
        Parts where train has no user in common with the others.

    Raises:
        ConfigError: the shares are out of range.
        DataError: a part would be empty.
    """
    check_shares(test, validation)
    if not 0 <= brings < 1:
        msg = f"brings must be a share from 0 (nothing) to below 1; got {brings}"
        raise ConfigError(msg)
    part_of_user = by_lot(len(data.user_vocabulary), test, validation, seed)
    part, brought = part_of_user[data.user_rows], None
    leaks = (
        "Train holds rows of other users from after the test rows, and nothing at all of the test "
        "users. "
    )
    if brings > 0:
        late = np.random.default_rng(seed).random(len(data))
        if data.timestamps is not None:
            late[data.time_order] = np.arange(len(data))
        first = by_share(data, np.lexsort((-late, data.user_rows)), brings, 0.0) == TEST
        brought = first & (part != TRAIN)
        leaks += (
            "Judge with histories=parts.brought: each is asked as a guest with that history."
        )
    else:
        leaks += (
            "Asked by id, they get what their columns in the users' table say, or the fallback; "
            "with brings=, they bring a history."
        )
    return parts(data, part, leaks, validated=validation > 0, brought=brought)


def new_items(
    data: Interactions, *, test: float = 0.1, validation: float = 0.0, seed: int = 0
) -> Parts:
    """Whole items, by lot: does a new item find those who will like it?

    The items stay in train's catalogue, so what describes them is known there; their rows do not. To
    judge a shelf of new items alone, give the recommenders the rule
    ``Allow(tuple(parts.test.table["item_id"].unique(maintain_order=True)))``.

    Args:
        data: the rows to split.
        test: share of the items that have rows, between 0 and 1.
        validation: share of these items; 0 for none.
        seed: of the lot.

    Returns:
        Parts without an item in common, all with the same catalogue.

    Raises:
        ConfigError: the shares are out of range.
        DataError: a part would be empty.
    """
    check_shares(test, validation)
    taken, row = np.unique(data.item_rows, return_inverse=True)
    part = by_lot(len(taken), test, validation, seed)[row]
    leaks = (
        "Train holds rows of the same users from after the test rows, and nothing of the test items "
        "but what the catalogue says. Equal scores go to the earlier item: where the order of the "
        "catalogue says something, as ids by fame do, shuffle it."
    )
    return parts(data, part, leaks, validated=validation > 0)


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
