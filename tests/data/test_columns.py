import polars as pl
import pytest

from shortlist.data.columns import (
    INTERACTION_FIELDS,
    ITEM_FIELDS,
    check_named,
    check_names,
    find_columns,
    renamed,
)
from shortlist.data.metadata import lift, tags, tidy_items, tidy_users
from shortlist.errors import ConfigError, DataError


@pytest.mark.parametrize(
    ("columns", "want"),
    [
        (["userId", "movieId", "rating", "timestamp"], ["userId", "movieId", "rating", "timestamp"]),
        (["user_id", "movie_id", "user_rating", "timestamp"], [*("user_id", "movie_id"), "user_rating", "timestamp"]),
        (["UID", "Product ID", "Stars", "unix"], ["UID", "Product ID", "Stars", "unix"]),
        (["customer_id", "asin", "score", "date"], ["customer_id", "asin", "score", "date"]),
        (["user_id", "user", "item", "time"], ["user_id", "item", None, "time"]),
        (["user", "item", "seq"], ["user", "item", None, "seq"]),
        (["user", "item", "when"], ["user", "item", None, "when"]),
        (["user", "item", "seq", "ts"], ["user", "item", None, "ts"]),
    ],
)  # fmt: skip
def test_names_are_guessed(columns: list[str], want: list[str | None]) -> None:
    found = find_columns(columns, INTERACTION_FIELDS)
    assert [found.get(f) for f in ("user_id", "item_id", "rating", "timestamp")] == want


def test_a_given_name_wins_and_none_means_there_is_none() -> None:
    named = {"user_id": "who", "timestamp": None}
    found = find_columns(
        ["user_id", "who", "item", "timestamp"], INTERACTION_FIELDS, named=named
    )
    assert found == {"user_id": "who", "item_id": "item"}


def test_two_possible_columns_are_asked_for() -> None:
    with pytest.raises(
        DataError, match=r"a\.csv: 'asin' and 'parent_asin'.*item_id.*columns=\{"
    ):
        find_columns(["user", "asin", "parent_asin"], INTERACTION_FIELDS, where="a.csv")


def test_a_missing_column_names_those_there_are() -> None:
    with pytest.raises(DataError, match=r"a\.csv: no column looks like the item_id.*\['user', 'x'\].*columns=\{"):  # fmt: skip
        find_columns(
            ["user", "x"], INTERACTION_FIELDS, required=("user_id", "item_id"), where="a.csv"
        )


def test_a_column_that_is_named_is_not_guessed_again() -> None:
    named = {"title": "movie"}
    assert (
        find_columns(["user", "movie", "sku"], INTERACTION_FIELDS, named=named)["item_id"]
        == "sku"
    )


def test_a_missing_header_is_thought_of() -> None:
    with pytest.raises(DataError, match="put a header line into the file if it has none"):
        find_columns(["u1", "i1", "4.5"], INTERACTION_FIELDS, required=("user_id",))


def test_everything_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(
        DataError, match=r"the user_id or the item_id.*'user_id': .*'item_id': "
    ):
        find_columns(["Nutzer", "Artikel"], INTERACTION_FIELDS, required=("user_id", "item_id"))


def test_a_mostly_empty_column_gives_way() -> None:
    names = ["user", "item", "timestamp", "seq"]
    assert find_columns(names, INTERACTION_FIELDS, sparse=["timestamp"])["timestamp"] == "seq"
    only = find_columns(names[:3], INTERACTION_FIELDS, sparse=["timestamp"])
    assert only["timestamp"] == "timestamp"


def test_our_names_are_checked() -> None:
    with pytest.raises(
        ConfigError, match=r"'usr_id' is no name of ours.*Did you mean 'user_id'"
    ):
        check_names({"usr_id": "who"})


def test_a_name_of_ours_that_is_something_else_steps_aside() -> None:
    table = pl.DataFrame({"who": [1], "user_id": [2], "item_id": [3]})
    got = renamed(table, {"user_id": "who", "item_id": "item_id"}, INTERACTION_FIELDS)
    assert got.rows(named=True) == [{"user_id": 1, "item_id": 3, "user_id_given": 2}]


def test_items_have_their_names_too() -> None:
    found = find_columns(["movie_id", "movie_title", "release_year", "genre"], ITEM_FIELDS)
    assert list(found.values()) == ["movie_id", "movie_title", "release_year", "genre"]


def test_titles_and_years_are_tidied() -> None:
    table = pl.DataFrame(
        {
            "item_id": [1, 2, 3, 4],
            "title": ["Heat (1995) ", "nan", "", "V"],
            "year": ["1995", "V", "1989.0", None],
        }
    )
    got = tidy_items(table)
    assert got["title"].to_list() == ["Heat (1995)", None, None, "V"]
    assert got["year"].to_list() == [1995, None, 1989, None]
    assert got.schema["year"] == pl.Int64
    derived = tidy_items(table.drop("year"))
    assert derived["year"].to_list() == [1995, None, None, None]
    floats = tidy_items(
        table.with_columns(pl.Series("year", [1995.0, float("nan"), None, 1.0]))
    )
    assert floats["year"].to_list() == [1995, None, None, 1]


@pytest.mark.parametrize(
    ("values", "want"),
    [
        (["Drama|Sci-Fi", "(no genres listed)", None], [["Drama", "Sci-Fi"], [], None]),
        (["Drama, Crime", "Comedy"], [["Drama", "Crime"], ["Comedy"]]),
        (["Drama;Crime;", ""], [["Drama", "Crime"], []]),
        (["Science Fiction", "Comedy", "nan"], [["Science Fiction"], ["Comedy"], None]),
        (["['Drama', \"Children's\"]", "[]"], [["Drama", "Children's"], []]),
        ([["Drama", "", " Crime"], None], [["Drama", "Crime"], None]),
        # three words make four combinations: they are joined by spaces
        (["a b", "b c", "a c", "a b c", "a"], [["a", "b"], ["b", "c"], ["a", "c"], ["a", "b", "c"], ["a"]]),
    ],
)  # fmt: skip
def test_genres_become_lists(values: list[object], want: list[list[str] | None]) -> None:
    got = tags(pl.Series("genres", values))
    assert got.dtype == pl.List(pl.String)
    assert got.to_list() == want


def test_users_lose_their_prefix() -> None:
    table = pl.DataFrame(
        {"user_id": [1], "user_age": ["24"], "userGender": ["M"], "user_zip_code": ["01234"]}
    )
    want = {"user_id": 1, "age": 24, "gender": "M", "zip_code": "01234"}
    assert tidy_users(table).rows(named=True) == [want]
    clash = pl.DataFrame({"user_id": [1], "age": [3], "user_age": [4]})
    assert tidy_users(clash).columns == ["user_id", "age", "user_age"]


def test_only_constant_columns_are_lifted() -> None:
    table = pl.DataFrame(
        {"item_id": [1, 2, 1], "title": ["a", "b", None], "price": [1.0, 2.0, 3.0]}
    )
    rest, lifted = lift(table, "item_id", ["title", "price"])
    assert rest.columns == ["item_id", "price"]
    assert lifted is not None
    assert lifted.rows() == [(1, "a"), (2, "b")]
    assert lift(table, "item_id", ["price"])[1] is None


def test_a_named_column_that_is_nowhere_is_refused_with_the_nearest() -> None:
    tables = [("r.csv", ["Kunde", "film"]), ("m.csv", ["film", "Titel"])]
    check_named({"user_id": "Kunde", "title": "Titel", "rating": None}, tables)
    for given, near in (("Kund", "Kunde"), ("KUNDE", "Kunde"), ("titel", "Titel")):
        with pytest.raises(
            DataError, match=rf"names '{given}' as the user_id, but .*Did you mean '{near}'"
        ):
            check_named({"user_id": given}, tables)


def test_a_missing_column_tells_the_name_that_was_given() -> None:
    with pytest.raises(
        DataError,
        match=r"The user_id was named 'Kund', which is not there\. Did you mean 'Kunde'",
    ):
        find_columns(
            ["Kunde", "film"],
            INTERACTION_FIELDS,
            named={"user_id": "Kund"},
            required=("user_id",),
        )
