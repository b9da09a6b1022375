import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from shortlist.data.catalogue import Catalogue
from shortlist.data.check import check, diagnose
from shortlist.data.interactions import Interactions
from shortlist.errors import DataError

# user 1: a, b, a again; user 2: a; user 3: b twice at one time, of which one is a pure copy
ROWS = pl.DataFrame(
    {
        "user_id": [1, 1, 1, 2, 3, 3],
        "item_id": ["a", "b", "a", "a", "b", "b"],
        "rating": [5.0, 3.5, 4.0, 1.0, 2.0, 2.0],
        "timestamp": [1_000_000_000, 1_000_086_400, 1_000_172_800, 1_000_000_001, *[1_000_000_002] * 2],
    }
)  # fmt: skip
FILMS = Catalogue(
    pl.DataFrame(
        {"item_id": ["a", "b", "c"], "title": ["A", None, "C"], "genres": [["x"], [], ["y"]]}
    )
)


def test_numbers_by_hand() -> None:
    seen = check(Interactions(ROWS, FILMS))
    assert (seen.rows, seen.users, seen.items, seen.catalogue_items) == (6, 3, 2, 3)
    assert seen.density == pytest.approx(4 / 6)  # 1a 1b 2a 3b of 3 x 2
    assert seen.duplicates == 1
    assert seen.repeat_share == pytest.approx(1 / 5)  # of the five that are no copies
    assert seen.keep_seen
    assert seen.items_without_metadata == 1  # b
    assert seen.items_without_title == 1
    assert seen.untouched_items == 1  # c
    assert seen.users_with_one_item == 2
    assert seen.testable_users == 0
    assert seen.top_share == pytest.approx(0.5)  # one of two items takes three of six rows
    assert seen.ratings is not None
    assert (seen.ratings.lowest, seen.ratings.highest, seen.ratings.values) == (1.0, 5.0, 5)
    assert seen.ratings.step == 0.5
    assert seen.times is not None
    assert seen.times.unit == "seconds"
    assert seen.times.span_days == 2.0
    assert seen.times.order == "by time within users"
    assert seen.times.tie_share == 0.5  # user 3 of users 1 and 3


def texts(data: Interactions) -> str:
    return str(check(data))


def test_findings_say_what_to_do() -> None:
    said = texts(Interactions(ROWS, FILMS))
    assert "1 rows repeat an earlier row in every column" in said
    assert "-> Keep seen items among the answers" in said
    assert 'positive="rating >= 3"' in said
    assert "1 of 2 items have no metadata" in said
    assert "1 of 3 items of the catalogue have no row" in said
    assert "2 of 3 users have a single item" in said
    assert "0 users have 5 rows or more; a hit rate" in said
    assert said.index("WARNING") < said.index("note ")


def test_warnings_of_a_thin_table() -> None:
    said = texts(Interactions(pl.DataFrame({"user_id": [1, 2], "item_id": [1, 2]})))
    assert "there are no times" in said
    assert "there are no ratings" in said
    assert "nothing is known of the items but their ids" in said
    assert "no user has an item twice" in said


def test_positions_same_moment_and_flat_ratings() -> None:
    rows = {"user_id": [1, 1, 2], "item_id": [1, 2, 1], "rating": [1, 1, 1]}
    positions = Interactions(pl.DataFrame({**rows, "timestamp": [0, 1, 0]}))
    assert "times are positions, not dates" in texts(positions)
    assert "all ratings are 1" in texts(positions)
    moment = Interactions(pl.DataFrame({**rows, "timestamp": [10**9, 10**9, 10**9 + 60]}))
    assert "all rows lie within 0.0 hours" in texts(moment)
    nothing = Interactions(pl.DataFrame(rows), positive="rating > 1")
    assert "no row counts as liked" in texts(nothing)


def test_a_sound_table_is_told_so() -> None:
    users = np.repeat(np.arange(400), 5)
    rows = {
        "user_id": users,
        "item_id": np.tile(np.arange(2000), 1),
        "timestamp": np.arange(2000) * 10**5,
    }
    seen = check(Interactions(pl.DataFrame(rows)))
    assert seen.times is not None
    assert seen.times.order == "by time"
    assert "400 users have 5 rows or more: enough for a sound test" in str(seen)


def test_everything_goes_into_json() -> None:
    seen = check(Interactions(ROWS, FILMS))
    again = json.loads(json.dumps(seen.to_dict()))
    assert again["rows"] == 6
    assert again["times"]["unit"] == "seconds"
    assert again["findings"][0]["level"] == "warning"


def test_no_rows_are_refused() -> None:
    with pytest.raises(DataError, match="no rows to check"):
        check(Interactions(ROWS).subset(np.zeros(6, bool)))


def test_bad_rows_are_counted_not_fatal(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    good = "".join(f"{u},{i},3,96498270{u}\n" for u in range(4) for i in range(3))
    bad = "1,,3,7\n1,9,NaN,7\n1,9,inf,7\n1,9,x,7\n1,9,3,964982703000\n"
    path.write_text("user,item,stars,ts\n" + good + bad)
    seen = diagnose(path)
    assert seen.rows == 12
    counts = {(column, rows) for column, _, rows in seen.bad_rows}
    assert counts == {("item_id", 1), ("rating", 1), ("rating", 2), ("timestamp", 1)}
    said = str(seen)
    assert "column 'stars', row 13 (line 15) and 1 more: the rating is missing, NaN or" in said
    assert "mixed units (16 in seconds and 1 in milliseconds)" in said
    assert seen.to_dict()["bad_rows"][0]["rows"] == 1


def test_diagnose_takes_what_read_takes(tmp_path: Path) -> None:
    seen = diagnose(
        ROWS, items=FILMS.table, users=pl.DataFrame({"user_id": [1]}), positive="rating >= 4"
    )
    assert seen.liked_share == pytest.approx(2 / 6)
    assert seen.bad_rows == ()
    with pytest.raises(DataError, match="no row can be used"):
        diagnose(
            pl.DataFrame(
                {"user": [None], "item": [1]}, schema={"user": pl.Int64, "item": pl.Int64}
            )
        )
    with pytest.raises(DataError, match="is not there"):
        diagnose(tmp_path / "none.csv")


def test_ids_that_may_be_missing_are_counted() -> None:
    rows = {
        "user": ["a", "NA", "b", "n/a"],
        "item": ["x", "y", "N/A", "NA"],
        "seq": [1, 2, 3, 4],
    }
    seen = diagnose(pl.DataFrame(rows))
    assert seen.unsure_ids == 3
    assert "WARNING  3 rows have NA or N/A as the user's or item's id" in str(seen)
    assert "NA or N/A" not in texts(Interactions(ROWS, FILMS))


def test_diagnose_refuses_a_column_named_in_vain(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("user,film\n1,2\n2,3\n")
    with pytest.raises(DataError, match=r"names 'filmm' as the item_id.*Did you mean 'film'"):
        diagnose(path, columns={"item_id": "filmm"})


def test_frequent_repeats_ask_for_seen_items() -> None:
    said = texts(Interactions(ROWS, FILMS))
    assert "judge that way: Recommender(..., rules=()) and keep_seen=True" in said
