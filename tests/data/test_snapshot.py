import polars as pl

from shortlist.data.catalogue import Catalogue
from shortlist.data.interactions import Interactions
from shortlist.data.snapshot import Snapshot

TRAIN = Interactions(
    pl.DataFrame(
        {
            "user_id": [1, 2, 1, 1],
            "item_id": ["a", "b", "c", "b"],
            "rating": [5.0, 2.0, 4.0, 1.0],
            "timestamp": [30, 50, 10, 20],
        }
    ),
    Catalogue(pl.DataFrame({"item_id": ["d", "a"], "year": [2000, 1990]})),
    pl.DataFrame({"user_id": [2, 7], "age": [20, 70]}),
    "rating >= 4",
)


def test_histories_stand_by_user_and_time() -> None:
    held = Snapshot.of(TRAIN).histories
    # items are d, a, b, c; user 1: c (10), b (20), a (30); user 2: b (50)
    assert held.item_rows.tolist() == [3, 2, 1, 2]
    assert held.offsets.tolist() == [0, 3, 4]
    assert held.liked.tolist() == [True, False, True, False]


def test_catalogue_is_aligned_with_the_vocabulary() -> None:
    snapshot = Snapshot.of(TRAIN)
    assert snapshot.catalogue.table["item_id"].to_list() == ["d", "a", "b", "c"]
    assert snapshot.catalogue.table["year"].to_list() == [2000, 1990, None, None]
    assert snapshot.item_counts.tolist() == [0, 1, 2, 1]


def test_queries_of_known_unknown_and_described_users() -> None:
    queries = Snapshot.of(TRAIN).queries(["2", "1", "7", "x"])
    assert queries.user_rows.tolist() == [1, 0, -1, -1]
    assert queries.offsets.tolist() == [0, 1, 4, 4, 4]
    assert queries.history_rows.tolist() == [2, 3, 2, 1]
    assert queries.history_ages is not None
    assert queries.history_ages.tolist() == [0, 40, 30, 20]  # before the last time, 50
    assert queries.users is not None
    assert queries.users["age"].to_list() == [20, None, 70, None]
    assert queries.having(["age"]).tolist() == [True, False, True, False]


def test_a_guest_brings_items_and_unknown_ones_are_left_out() -> None:
    guest = Snapshot.of(TRAIN).guest(["b", "never", "a"])
    assert guest.user_rows.tolist() == [-1]
    assert guest.history_rows.tolist() == [2, 1]
    assert guest.liked_counts.tolist() == [2]


def test_train_comes_back_by_user_and_time() -> None:
    again = Snapshot.of(TRAIN).interactions()
    assert again.table["user_id"].to_list() == [1, 1, 1, 2]
    assert again.table["item_id"].to_list() == ["c", "b", "a", "b"]
    assert again.liked.tolist() == [True, False, True, False]
    assert again.timestamps is not None
    assert again.timestamps.tolist() == [10, 20, 30, 50]
