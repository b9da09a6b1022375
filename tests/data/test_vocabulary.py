import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from shortlist.data.vocabulary import UserOrItemId, Vocabulary, id_series
from shortlist.errors import DataError

texts = st.lists(st.text(min_size=1, max_size=5), unique=True, max_size=40)
numbers = st.lists(st.integers(-(2**63), 2**63 - 1), unique=True, max_size=40)


@settings(deadline=None)
@given(ids=st.one_of(texts, numbers))
def test_every_id_comes_back_as_given(ids: list[UserOrItemId]) -> None:
    vocabulary = Vocabulary(ids, name="item_id")
    rows = vocabulary.rows(ids)
    assert_array_equal(rows, np.arange(len(ids)))
    assert vocabulary.decode(rows).to_list() == ids


@settings(deadline=None)
@given(ids=texts, asked=texts)
def test_the_dictionary_and_the_join_agree(ids: list[str], asked: list[str]) -> None:
    vocabulary = Vocabulary(ids, name="item_id")
    many = asked * 17  # above 16 ids the join answers, below it a dictionary
    want = [ids.index(v) if v in ids else -1 for v in many]
    assert vocabulary.rows(many).tolist() == want
    assert [int(vocabulary.rows([v])[0]) for v in asked] == want[: len(asked)]


def test_42_meets_its_text() -> None:
    assert Vocabulary([41, 42], name="item_id").rows(["42", "x"]).tolist() == [1, -1]
    assert Vocabulary(["41", "42"], name="item_id").rows([42] * 20).tolist() == [1] * 20


def test_zeros_in_front_make_another_id() -> None:
    assert Vocabulary(["007"], name="item_id").rows(["007", "7"]).tolist() == [0, -1]


def test_two_ids_of_one_text_are_refused() -> None:
    with pytest.raises(DataError, match=r"user_id: 42 and '42' have the same text.*[Rr]ename"):
        Vocabulary([42, "42"], name="user_id")


def test_an_id_that_stands_twice_is_refused() -> None:
    with pytest.raises(DataError, match=r"item_id: 'a' stands twice"):
        Vocabulary(["a", "b", "a"], name="item_id")


def test_missing_ids_name_their_row() -> None:
    with pytest.raises(DataError, match=r"'user_id', row 1: the id is missing"):
        id_series(pl.Series(["a", None]), name="user_id")


def test_row_minus_one_is_null_and_an_empty_vocabulary_answers() -> None:
    assert Vocabulary(["a"], name="item_id").decode(np.array([0, -1])).to_list() == ["a", None]
    nobody = Vocabulary([], name="user_id")
    assert nobody.rows(["a"]).tolist() == [-1]
    assert nobody.decode(np.array([-1])).to_list() == [None]


def test_whole_floats_become_integers() -> None:
    assert id_series([1.0, 2.0]).to_list() == [1, 2]  # type: ignore[list-item]


@pytest.mark.parametrize("value", [1.5, float("nan"), float("inf")])
def test_other_floats_are_refused(value: float) -> None:
    with pytest.raises(DataError, match=r"holds Float64; ids are text or whole numbers"):
        id_series(pl.Series([1.0, value]))


def test_numbers_beyond_64_bits_with_sign_become_text() -> None:
    large = pl.Series([2**63 + 1, 5], dtype=pl.UInt64)
    assert id_series(large).to_list() == ["9223372036854775809", "5"]


def test_categories_are_text() -> None:
    assert id_series(pl.Series(["a", "b"], dtype=pl.Categorical)).dtype == pl.String
