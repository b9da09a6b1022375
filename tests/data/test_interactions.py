import time

import numpy as np
import polars as pl
import pytest

from shortlist.data.catalogue import Catalogue
from shortlist.data.interactions import Interactions
from shortlist.errors import ConfigError, DataError, NotReadyError

ROWS = {
    "user_id": ["b", "a", "b", "a"],
    "item_id": [3, 1, 1, 2],
    "rating": [5, 4, 3, 1],
    "timestamp": [30, 20, 10, 20],
}


def table(**changes: object) -> Interactions:
    return Interactions(pl.DataFrame({**ROWS, **changes}, strict=False))


def test_rows_and_vocabularies_by_hand() -> None:
    data = table()
    assert data.user_vocabulary.ids.to_list() == ["b", "a"]  # in order of appearance
    assert data.item_vocabulary.ids.to_list() == [3, 1, 2]
    assert data.user_rows.tolist() == [0, 1, 0, 1]
    assert data.item_rows.tolist() == [0, 1, 1, 2]
    assert data.time_order.tolist() == [2, 0, 1, 3]  # b: 10, 30; a: 20, 20 in file order


def test_types_are_settled() -> None:
    data = table()
    assert data.table.schema["rating"] == pl.Float32
    assert data.table.schema["timestamp"] == pl.Int64
    assert data.weights is None


def test_catalogue_comes_first_in_the_item_vocabulary() -> None:
    films = Catalogue(pl.DataFrame({"item_id": [9, 1], "title": ["Nine", "One"]}))
    data = Interactions(pl.DataFrame(ROWS), films)
    assert data.item_vocabulary.ids.to_list() == [9, 1, 3, 2]


def test_catalogue_ids_of_another_kind_meet_by_their_text() -> None:
    films = Catalogue(pl.DataFrame({"item_id": ["9", "1"]}))
    data = Interactions(pl.DataFrame(ROWS), films)
    assert data.item_vocabulary.ids.to_list() == [9, 1, 3, 2]  # as the rows write them
    assert data.item_rows.tolist() == [2, 1, 1, 3]


def test_positive_marks_rows_and_the_rest_stays() -> None:
    data = Interactions(pl.DataFrame(ROWS), positive="rating >= 4")
    assert data.liked.tolist() == [True, True, False, False]
    assert len(data) == 4


def test_positive_that_cannot_be_read_fails_at_once() -> None:
    with pytest.raises(ConfigError, match="'stars'"):
        Interactions(pl.DataFrame(ROWS), positive="stars >= 4")


def test_subset_keeps_order_catalogue_and_positive() -> None:
    data = Interactions(pl.DataFrame(ROWS), positive="rating >= 4")
    part = data.subset(np.array([0, 3]))
    assert part.table["item_id"].to_list() == [3, 2]
    assert part.liked.tolist() == [True, False]
    assert part.catalogue is data.catalogue
    assert part.user_vocabulary.ids.to_list() == ["b", "a"]
    assert len(data.subset(np.zeros(4, bool))) == 0


def test_having_names_the_columns_there_are() -> None:
    assert table().having("rating")
    with pytest.raises(NotReadyError, match=r"'weight'.*'timestamp'"):
        table().having("weight")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (
            {"user_id": ["a", None, "b", "c"]},
            r"'user_id', row 1 \(and 0 more\): the id is missing",
        ),
        ({"rating": [1.0, float("nan"), 2.0, float("inf")]}, r"'rating', row 1 \(and 1 more\)"),
        ({"rating": [1, 2, None, 3]}, r"'rating', row 2.*missing"),
        ({"weight": [1.0, 1.0, 1.0, -0.5]}, r"'weight', row 3.*negative.*start at 0"),
        ({"timestamp": [1, None, 2, 3]}, r"'timestamp', row 1.*missing"),
        (
            {"timestamp": [1, 2, 3, int(time.time()) + 10**7]},
            r"row 3.*future.*seconds since 1970",
        ),
        ({"rating": ["5", "4", "3", "1"]}, r"'rating' holds String; it must hold numbers"),
    ],
)
def test_bad_rows_name_column_row_and_remedy(changes: dict[str, object], match: str) -> None:
    with pytest.raises(DataError, match=match):
        table(**changes)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(DataError, match=r"need a column 'item_id'.*Did you mean 'itemid'"):
        Interactions(pl.DataFrame({"user_id": [1], "itemid": [1]}))


def test_users_stand_once() -> None:
    twice = pl.DataFrame({"user_id": ["a", "a"]})
    with pytest.raises(DataError, match=r"user_id 'a' more than once"):
        Interactions(pl.DataFrame(ROWS), users=twice)


def test_a_catalogue_keeps_one_row_per_item_and_names_doubles() -> None:
    with pytest.raises(DataError, match=r"item_id 1 more than once"):
        Catalogue(pl.DataFrame({"item_id": [1, 1]}))
    with pytest.raises(DataError, match=r"needs a column 'item_id'"):
        Catalogue(pl.DataFrame({"movie": [1]}))


def test_titles_rows_and_tags_of_a_catalogue() -> None:
    films = Catalogue(
        pl.DataFrame(
            {
                "item_id": [1, 2, 3, 4],
                "title": ["Heat", "Up", "Up", None],
                "genres": [["b", "a"], None, [], ["a"]],
            }
        )
    )
    assert films.titles.to_list() == ["Heat", "Up", "Up", "4"]
    assert films.row_of_title("Heat") == 0
    assert films.row_of_title("heat") == -1
    with pytest.raises(DataError, match=r"'Up' belongs to 2 items.*\[2, 3\]"):
        films.row_of_title("Up")
    tags = films.tag_matrix()
    assert tags is not None
    assert tags.tolist() == [[1, 1], [0, 0], [0, 0], [1, 0]]  # columns a, b
    assert films.tag_matrix("title") is None
    aligned = films.aligned(pl.Series("item_id", ["3", "x", "1"]))
    assert aligned.table["title"].to_list() == ["Up", None, "Heat"]
