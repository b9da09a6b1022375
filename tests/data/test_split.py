import logging

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.data import split
from shortlist.data.catalogue import Catalogue
from shortlist.data.interactions import Interactions
from shortlist.data.parts import Parts
from shortlist.errors import ConfigError, DataError, NotReadyError


def interactions(users: list[int], times: list[int] | None = None) -> Interactions:
    rows = {
        "user_id": users,
        "item_id": list(range(len(users))),
    }  # the item is the row's number
    return Interactions(pl.DataFrame(rows | ({} if times is None else {"timestamp": times})))


def items(data: Interactions | None) -> list[int]:
    return [] if data is None else data.table["item_id"].to_list()


def all_parts(parts: Parts) -> list[list[int]]:
    return [items(parts.train), items(parts.validation), items(parts.test)]


SHARES = ("random", "per_user", "latest", "by_time", "new_users", "new_items")
tables = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=60)


@settings(deadline=None)
@given(
    rows=tables,
    name=st.sampled_from(SHARES),
    test=st.floats(0.05, 0.6),
    validation=st.sampled_from([0.0, 0.1, 0.3]),
)
def test_parts_add_up_and_keep_the_order(
    rows: list[tuple[int, int]], name: str, test: float, validation: float
) -> None:
    data = interactions([u for u, _ in rows], [t for _, t in rows])
    try:
        parts: Parts = getattr(split, name)(data, test=test, validation=validation)
    except DataError as error:
        assert "part would be empty" in str(error)  # noqa: PT017
        return
    held = all_parts(parts)
    assert sorted(row for part in held for row in part) == list(range(len(rows)))
    assert all(part == sorted(part) for part in held)
    assert (parts.validation is None) == (validation == 0)
    assert parts.leaks


@settings(deadline=None)
@given(rows=tables, k=st.integers(1, 3), validation=st.booleans())
def test_own_last_rows_are_never_before_train(
    rows: list[tuple[int, int]], k: int, validation: bool
) -> None:
    data = interactions([u for u, _ in rows], [t for _, t in rows])
    for method in ("latest", "last_out"):
        try:
            if method == "latest":
                parts = split.latest(data, test=0.3, validation=0.3 if validation else 0.0)
            else:
                parts = split.last_out(data, k=k, validation=validation)
        except DataError:
            continue
        train, middle, test = all_parts(parts)
        for earlier, later in ((train, middle), (middle, test), (train, test)):
            for user in {u for u, _ in rows}:
                before = [(rows[i][1], i) for i in earlier if rows[i][0] == user]
                after = [(rows[i][1], i) for i in later if rows[i][0] == user]
                if before and after:  # the row's number breaks ties
                    assert max(before) < min(after)


@settings(deadline=None)
@given(rows=tables)
def test_one_cut_leaves_no_train_row_after_it(rows: list[tuple[int, int]]) -> None:
    data = interactions([u for u, _ in rows], [t for _, t in rows])
    try:
        train, middle, test = all_parts(split.by_time(data, test=0.2, validation=0.2))
    except DataError:
        return
    times = [(t, i) for i, (_, t) in enumerate(rows)]
    assert max(times[i] for i in train) < min(times[i] for i in middle)
    assert max(times[i] for i in middle) < min(times[i] for i in test)
    assert len(test) == len(middle) == round(len(rows) * 0.2)


def test_latest_by_hand() -> None:
    # user 1 has rows 0 to 4 at times 5, 4, 3, 2, 1; user 2 rows 5 and 6 at one time
    data = interactions([1, 1, 1, 1, 1, 2, 2], [5, 4, 3, 2, 1, 9, 9])
    parts = split.latest(data, test=0.2, validation=0.2)
    # of five rows one each (0.2 * 5); of two rows none (0.4 is rounded to 0)
    assert all_parts(parts) == [[2, 3, 4, 5, 6], [1], [0]]
    assert "other users" in parts.leaks
    half = split.latest(data, test=0.25)
    assert items(half.test) == [0, 6]  # 1.25 to 1; 0.5 to 1, the later row of the tie


def test_a_user_keeps_a_row_for_train() -> None:
    data = interactions([1, 2, 2], [1, 1, 2])
    assert items(split.latest(data, test=0.9).test) == [2]


def test_last_out_by_hand() -> None:
    data = interactions([1, 1, 1, 2, 2, 3], [3, 1, 2, 1, 1, 1])
    assert all_parts(split.last_out(data)) == [[1, 2, 3, 5], [], [0, 4]]
    assert all_parts(split.last_out(data, validation=True)) == [[1, 3, 4, 5], [2], [0]]
    assert all_parts(split.last_out(data, k=2)) == [[1, 3, 4, 5], [], [0, 2]]


def test_random_takes_shares_of_the_whole_and_obeys_the_seed() -> None:
    data = interactions([1] * 100)
    parts = split.random(data, test=0.2, validation=0.1, seed=7)
    assert [len(part) for part in all_parts(parts)] == [70, 10, 20]
    assert all_parts(parts) == all_parts(split.random(data, test=0.2, validation=0.1, seed=7))
    assert items(parts.test) != items(split.random(data, seed=8).test)
    assert "later rows of the same users" in parts.leaks


def test_per_user_takes_the_same_share_of_everyone() -> None:
    users = [1] * 50 + [2] * 10 + [3]
    parts = split.per_user(interactions(users), test=0.2, validation=0.1)
    counts = [
        np.bincount([users[i] for i in part], minlength=4).tolist() for part in all_parts(parts)
    ]
    assert counts == [[0, 35, 7, 1], [0, 5, 1, 0], [0, 10, 2, 0]]
    again = split.per_user(interactions(users), test=0.2, validation=0.1, seed=1)
    assert items(again.test) != items(parts.test)


def test_new_users_have_no_row_in_train() -> None:
    users = [i % 10 for i in range(60)]
    parts = split.new_users(interactions(users), test=0.2, validation=0.3)
    owners = [{users[i] for i in part} for part in all_parts(parts)]
    assert [len(o) for o in owners] == [5, 3, 2]
    assert not owners[0] & owners[1]
    assert not owners[0] & owners[2]
    assert not owners[1] & owners[2]
    assert "or the fallback; with brings=" in parts.leaks
    assert parts.brought is None


def test_new_users_bring_their_earliest_rows() -> None:
    # times fall with the row number, so a user's last rows in the file are the earliest
    users = [i % 5 for i in range(20)]
    parts = split.new_users(interactions(users, list(range(20, 0, -1))), test=0.4, brings=0.5)
    new = sorted({users[i] for i in items(parts.test)})
    assert items(parts.test) == sorted(i + 5 * j for i in new for j in (0, 1))
    assert items(parts.brought) == sorted(i + 5 * j for i in new for j in (2, 3))
    assert len(parts.train) == 12
    assert "histories=parts.brought" in parts.leaks
    assert repr(parts) == "Parts(12 train, 4 test, 4 brought)"


def test_without_times_new_users_bring_rows_by_lot_and_keep_one_to_find() -> None:
    users = [0, 1, 2, 3] * 5 + [4, 5, 6, 7]
    data = interactions(users)
    parts = split.new_users(data, test=0.5, validation=0.25, brings=0.99, seed=3)
    counts = np.bincount([users[i] for i in items(parts.test)])
    assert set(counts.tolist()) <= {0, 1}
    assert not {users[i] for i in items(parts.brought)} & {users[i] for i in items(parts.train)}
    held = [*all_parts(parts), items(parts.brought)]
    assert sorted(i for part in held for i in part) == list(range(24))
    again = split.new_users(data, test=0.5, validation=0.25, brings=0.99, seed=3)
    assert items(again.brought) == items(parts.brought)
    with pytest.raises(ConfigError, match="brings must be a share"):
        split.new_users(data, brings=1.0)


def test_new_items_have_no_row_in_train_and_stay_in_its_catalogue() -> None:
    taken = [i % 10 for i in range(60)]
    rows = pl.DataFrame({"user_id": list(range(60)), "item_id": taken})
    catalogue = Catalogue(pl.DataFrame({"item_id": list(range(15))}))  # nobody took 10 to 14
    parts = split.new_items(Interactions(rows, catalogue), test=0.2, validation=0.3)
    owners = [set(items(part)) for part in (parts.train, parts.validation, parts.test)]
    assert [len(o) for o in owners] == [5, 3, 2]
    assert set.union(*owners) == set(range(10))
    assert len(parts.train.item_vocabulary) == 15
    assert parts.test.item_vocabulary.ids.equals(parts.train.item_vocabulary.ids)
    assert "shuffle" in parts.leaks


def test_one_cut_warns_of_few_known_users(caplog: pytest.LogCaptureFixture) -> None:
    data = interactions([1, 2, 1, 3], [1, 2, 3, 4])
    with caplog.at_level(logging.WARNING, logger="shortlist.data"):
        parts = split.by_time(data, test=0.5)
    assert parts.leaks.startswith("Nothing")
    assert "Only 1 of 2 test users were known" in parts.leaks
    assert "Only 1 of 2 test users were known" in caplog.text
    assert (
        "The holdout 'latest' judges more users" in parts.leaks
    )  # a name that both doors know


def test_one_cut_through_many_known_users_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    users = list(range(300)) * 2
    parts = split.by_time(interactions(users, list(range(600))), test=0.5)
    assert parts.leaks == "Nothing: all train rows came before all test rows."
    assert not caplog.text


def test_one_cut_owns_up_to_ties() -> None:
    assert "Almost nothing" in split.by_time(interactions([1, 1, 1], [1, 2, 2]), test=0.3).leaks


def test_holdouts_go_by_the_names_of_the_command_line() -> None:
    timed = interactions([1, 2] * 20, list(range(40)))
    plain = interactions([1, 2] * 20)
    assert items(split.holdout(timed).test) == items(split.latest(timed, test=0.1).test)
    assert items(split.holdout(plain, seed=3).test) == items(
        split.random(plain, test=0.1, seed=3).test
    )
    assert items(split.holdout(timed, "time", share=0.2).test) == list(range(32, 40))
    assert items(split.holdout(timed, "last-out").test) == [38, 39]
    assert len(items(split.holdout(timed, "random", share=0.25).test)) == 10
    with pytest.raises(ConfigError, match=r"'latestt'.*Did you mean 'latest'"):
        split.holdout(timed, "latestt")


@pytest.mark.parametrize("name", ["latest", "by_time", "last_out"])
def test_some_ways_need_times(name: str) -> None:
    with pytest.raises(NotReadyError, match=r"needs a column 'timestamp'"):
        getattr(split, name)(interactions([1] * 10))


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize(
    ("test", "validation", "match"),
    [
        (0.0, 0.0, "test must be a share between 0 and 1.*got 0.0"),
        (1.0, 0.0, "test must be a share"),
        (float("nan"), 0.0, "test must be a share"),
        (20, 0.0, "test must be a share.*got 20"),
        (0.2, -0.1, "validation must be a share"),
        (0.6, 0.4, "leave nothing for train"),
    ],
)
def test_shares_out_of_range(name: str, test: float, validation: float, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        getattr(split, name)(interactions([1] * 10, [1] * 10), test=test, validation=validation)


def test_k_out_of_range_and_too_few_rows() -> None:
    with pytest.raises(ConfigError, match="k must be at least 1; got 0"):
        split.last_out(interactions([1, 1], [1, 2]), k=0)
    with pytest.raises(
        DataError, match=r"test part would be empty: 2 rows of 2 users.*one row"
    ):
        split.latest(interactions([1, 2], [1, 2]))
    with pytest.raises(DataError, match=r"validation part would be empty.*Take a larger share"):
        split.latest(interactions([1] * 10, [1] * 10), test=0.5, validation=0.01)


def test_parts_print_their_sizes() -> None:
    parts = split.random(interactions([1] * 10), test=0.2, validation=0.1)
    assert repr(parts) == "Parts(7 train, 1 validation, 2 test)"
