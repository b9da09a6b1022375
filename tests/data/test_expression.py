import operator
from collections.abc import Callable

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.data.expression import Expression
from shortlist.errors import ConfigError

NAN = float("nan")
FILMS = pl.DataFrame(
    {
        "year": [1995, 1989, None],
        "score": [4.5, NAN, 3.0],
        "title": ["Heat", "It's", None],
        "genres": [["Crime", "Drama"], [], None],
    }
)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("year >= 1990", [True, False, False]),
        ("not year >= 1990", [False, True, False]),  # a missing year fails either way
        ("year >= 1990 and 'Crime' in genres", [True, False, False]),
        ("'Crime' not in genres", [False, True, False]),
        ("year < 1990 or score == 3", [False, True, True]),
        ("not (year < 1990 or score == 3)", [True, False, False]),
        ("year in [1989, 1990.0]", [False, True, False]),
        ("year not in []", [True, True, False]),
        ("score > 0", [True, False, True]),  # NaN is no number above 0
        (r"title == 'It\'s'", [False, True, False]),
        ('title in ["Heat"]', [True, False, False]),
        ("1995 == year", [True, False, False]),
        ("year > -5", [True, True, False]),
        ("1 == 1", [True, True, True]),
    ],
)
def test_answers_by_hand(text: str, want: list[bool]) -> None:
    assert Expression(text).mask(FILMS).tolist() == want


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "missing at the end"),
        ("year >=", "missing at the end"),
        ("year", "expected a comparison or 'in'"),
        ("year >= 1990 genres", "did not expect 'genres'"),
        ("year = 1990", r"cannot read '= 1990'"),
        ("(year > 1", r"'\)' is missing"),
        ("year in [1", r"'\]' is missing"),
        ("year in [title]", "a list holds numbers or texts"),
        ("year == [1]", "a list can only stand after 'in'"),
        ("year in 5", "after 'in' comes a column of lists"),
        ("__import__('os')", r"did not expect|expected a comparison"),
        ("not " * 60 + "year > 1", "more than 50 levels"),
    ],
)
def test_what_cannot_be_read_says_so_and_shows_an_example(text: str, match: str) -> None:
    with pytest.raises(ConfigError, match=rf"{match}.*Write conditions as"):
        Expression(text)


def test_an_unknown_column_names_the_near_one() -> None:
    with pytest.raises(ConfigError, match=r"'yearr'.*columns are.*Did you mean 'year'"):
        Expression("yearr > 1990").mask(FILMS)


@pytest.mark.parametrize(
    "text", ["year == '1990'", "title > 5", "'a' in year", "year in ['a', 1]"]
)
def test_different_kinds_cannot_be_compared(text: str) -> None:
    with pytest.raises(ConfigError, match=r"different kinds.*Write numbers bare"):
        Expression(text).mask(FILMS)


def test_columns_are_known_before_any_table() -> None:
    assert Expression("a > 1 and (b == 'x' or not c in [2])").columns == {"a", "b", "c"}


Row = dict[str, int | None]
Condition = tuple[str, Callable[[Row], bool | None]]
COMPARE = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def comparison(column: str, sign: str, number: int) -> Condition:
    def test(row: Row) -> bool | None:
        value = row[column]
        return None if value is None else bool(COMPARE[sign](value, number))

    return f"{column} {sign} {number}", test


def membership(column: str, numbers: list[int]) -> Condition:
    def test(row: Row) -> bool | None:
        value = row[column]
        return None if value is None else value in numbers

    return f"{column} in {numbers}", test


def negated(inner: Condition) -> Condition:
    def test(row: Row) -> bool | None:
        answer = inner[1](row)
        return None if answer is None else not answer

    return f"not ({inner[0]})", test


def joined(left: Condition, word: str, right: Condition) -> Condition:
    decides = word == "or"  # one True decides an "or", one False an "and"; null only if neither

    def test(row: Row) -> bool | None:
        answers = {left[1](row), right[1](row)}
        if decides in answers:
            return decides
        return None if None in answers else not decides

    return f"({left[0]}) {word} ({right[0]})", test


columns = st.sampled_from(["a", "b"])
small = st.integers(-2, 2)
conditions = st.recursive(
    st.builds(comparison, columns, st.sampled_from(sorted(COMPARE)), small)
    | st.builds(membership, columns, st.lists(small, max_size=3)),
    lambda inner: (
        st.builds(negated, inner)
        | st.builds(joined, inner, st.sampled_from(["and", "or"]), inner)
    ),
    max_leaves=6,
)
cells = st.one_of(st.none(), small)


@settings(deadline=None)
@given(condition=conditions, rows=st.lists(st.tuples(cells, cells), min_size=1, max_size=8))
def test_agrees_with_plain_python(
    condition: Condition, rows: list[tuple[int | None, int | None]]
) -> None:
    table = pl.DataFrame(rows, schema={"a": pl.Int64, "b": pl.Int64}, orient="row")
    text, oracle = condition
    want = [oracle({"a": a, "b": b}) is True for a, b in rows]
    assert Expression(text).mask(table).tolist() == want


def test_and_binds_closer_than_or() -> None:
    table = pl.DataFrame({"a": [1, 0], "b": [0, 0], "c": [0, 0]})
    assert Expression("a == 1 or b == 1 and c == 1").mask(table).tolist() == [True, False]


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("genres == 'Comedy'", "'Comedy' in genres"),
        ("'Comedy' == genres", "'Comedy' in genres"),
        ("genres != 'Comedy'", "'Comedy' not in genres"),
        ("year > 1990 and not genres == 'Comedy'", "'Comedy' in genres"),
        ("genres in ['Comedy', 'Crime']", "'Comedy' in genres or 'Crime' in genres"),
    ],
)
def test_a_column_of_lists_is_asked_with_in(text: str, instead: str) -> None:
    table = pl.DataFrame({"genres": [["Comedy"], []], "year": [1991, 1992]})
    with pytest.raises(ConfigError, match=rf"'genres', which holds several.*write {instead}$"):
        Expression(text).mask(table)
    assert Expression(instead).mask(table).tolist() in ([True, False], [False, True])
