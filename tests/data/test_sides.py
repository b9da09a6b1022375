"""Features of one side: the same lines in training and in answering, whatever stands in the columns."""

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from shortlist.data.features import (
    Bucket,
    Category,
    Declared,
    Hash,
    History,
    Number,
    Tags,
    Text,
)
from shortlist.data.interactions import Interactions
from shortlist.data.sides import Side, encode_all
from shortlist.errors import ConfigError, DataError
from shortlist.testing import small_world

Lines = NDArray[np.float32]
UNKNOWN = np.array([-1], np.int32)


def learn(table: pl.DataFrame, *declared: Declared, in_train: list[bool] | None = None) -> Side:
    n = len(table)
    taught = np.array(in_train if in_train is not None else [True] * n)
    return Side.learn(declared, id_name="item_id", n_rows=n, table=table, in_train=taught)


def lines(side: Side, table: pl.DataFrame) -> Lines:
    return np.asarray(side.encode(np.full(len(table), -1, np.int32), table).toarray())


def test_ids_have_a_column_each_and_one_for_the_unknown() -> None:
    side = learn(pl.DataFrame({"x": [1, 2]}), "item_id")
    encoded = side.encode(np.array([1, -1, 0], np.int32), None).toarray()
    assert_array_equal(encoded, [[0, 1, 0], [0, 0, 1], [1, 0, 0]])


def test_a_category_never_seen_shares_the_last_column_with_nothing() -> None:
    side = learn(pl.DataFrame({"kind": ["b", "a", "b", None]}), Category("kind"))
    asked = pl.DataFrame({"kind": ["a", "b", "new", None, ""]})
    want = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1]]
    assert_array_equal(lines(side, asked), want)


def test_tags_share_the_weight_among_those_that_are_known() -> None:
    side = learn(pl.DataFrame({"genres": [["b", "a"], ["c"], [], None]}), Tags("genres"))
    asked = pl.DataFrame(
        {"genres": [["a", "b"], ["c", "new"], ["new"], [], None, ["a", "a"], ["b", None]]}
    )
    want = [[0.5, 0.5, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert_array_equal(lines(side, asked), want)


def test_stray_separators_and_spaces_make_no_tag() -> None:
    side = learn(pl.DataFrame({"genres": [[" a", "", "a "], ["", " "], ["b", ""]]}), "genres")
    assert side.learned[0].values == ("a", "b")
    asked = pl.DataFrame({"genres": [["", "b ", ""], [" "]]})
    assert_array_equal(lines(side, asked), [[0, 1], [0, 0]])


def test_words_are_counted_once_per_text_without_case() -> None:
    table = pl.DataFrame({"title": ["The Fox, the HEN", "fox!", "", None, "l'été 1999"]})
    side = learn(table, Text("title", min_count=1))
    assert side.learned[0].values == ("1999", "fox", "hen", "l'été", "the")
    encoded = lines(side, pl.DataFrame({"title": ["THE fox fox", "", None, "?!", "1999"]}))
    assert_array_equal(encoded[0], [0, 0.5, 0, 0, 0.5])
    assert_array_equal(encoded[1:4], np.zeros((3, 5)))
    assert_array_equal(encoded[4], [1, 0, 0, 0, 0])
    assert learn(table, Text("title")).learned[0].values == ("fox",)  # the others stand once


def test_numbers_are_z_scores_and_what_is_missing_is_the_mean() -> None:
    # 1, 2, 3: mean 2, standard deviation sqrt(2 / 3)
    side = learn(pl.DataFrame({"year": [1.0, 2, 3, None, float("nan")]}), "year")
    asked = pl.DataFrame({"year": [3.0, 2, None, float("nan"), float("inf"), float("-inf")]})
    want = np.array([[1 / np.sqrt(2 / 3)], [0], [0], [0], [0], [0]])
    assert_allclose(lines(side, asked), want, rtol=1e-6)


def test_buckets_hold_equal_shares_and_the_last_column_is_for_what_is_missing() -> None:
    side = learn(pl.DataFrame({"year": [1.0, 2, 3, 4]}), Bucket("year", 2))  # the edge is 2.5
    asked = pl.DataFrame({"year": [-9.0, 2.4, 2.5, 99, None, float("nan"), float("inf")]})
    want = [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1]]
    assert_array_equal(lines(side, asked), want)


def test_a_hash_needs_nothing_of_train_and_keeps_a_column_for_nothing() -> None:
    side = learn(pl.DataFrame({"code": ["a"]}), Hash("code", 4))
    encoded = lines(side, pl.DataFrame({"code": ["new", "new", None, "a", "b", "c", "d", "e"]}))
    assert encoded.shape == (8, 5)
    assert_array_equal(encoded.sum(axis=1), 1)
    assert_array_equal(encoded[0], encoded[1])
    assert_array_equal(encoded[:, 4], [0, 0, 1, 0, 0, 0, 0, 0])


def test_nobody_asks() -> None:
    table = pl.DataFrame({"a": ["x", "y"], "n": [1, 2], "t": [["x"], []]})
    features = (Hash("a"), Category("a"), Text("a"), Number("n"), Bucket("n"), Tags("t"))
    side = learn(table, "item_id", *features)
    assert side.encode(UNKNOWN[:0], table.clear()).shape == (0, side.columns)
    assert side.encode(UNKNOWN[:0], None).shape == (0, side.columns)


@pytest.mark.parametrize("value", [0.0, 5.0, 3.3, 0.1, 1e-30, 1.7e9 + 0.1])
def test_numbers_that_are_all_equal_teach_no_spread(value: float) -> None:
    side = learn(pl.DataFrame({"year": [value] * 1000}), Number("year"))
    asked = pl.DataFrame({"year": [value, value + 1]})
    assert_allclose(lines(side, asked), [[0], [1]], atol=1e-6)


@pytest.mark.parametrize("value", [1e300, -1e300, 1e30])
def test_numbers_far_out_stay_finite(value: float) -> None:
    side = learn(pl.DataFrame({"year": [1.0, 2, 3]}), Number("year"))
    assert np.isfinite(lines(side, pl.DataFrame({"year": [value]}))).all()
    side = learn(pl.DataFrame({"year": [1.0, 2, value]}), Number("year"))
    assert np.isfinite(lines(side, pl.DataFrame({"year": [1.0, value]}))).all()


def test_numbers_as_text_and_whole_numbers_encode_alike() -> None:
    side = learn(pl.DataFrame({"year": [1, 2, 3]}), Number("year"))
    as_text = lines(side, pl.DataFrame({"year": ["3", "x", None]}))
    assert_array_equal(as_text, lines(side, pl.DataFrame({"year": [3.0, None, 2.0]})))


@pytest.mark.parametrize(
    ("column", "match"),
    [
        (["old", "new"], "declared a number but holds String, for example 'old'"),
        ([["a"], []], "Tags"),
    ],
)
def test_a_number_that_is_none(column: list[object], match: str) -> None:
    with pytest.raises(DataError, match=match):
        learn(pl.DataFrame({"year": column}), Number("year"))


def test_a_column_that_knows_nothing() -> None:
    table = pl.DataFrame(
        {"a": [None, None], "b": [None, None]}, schema={"a": pl.String, "b": pl.Float64}
    )
    side = learn(table, Category("a"), Number("b"), Tags("a"), Text("a"))
    assert side.columns == 2  # an unknown category, a number
    assert_array_equal(lines(side, table), [[1, 0], [1, 0]])
    empty = pl.DataFrame({"a": [None], "b": [None]})  # of polars' own type for nothing
    assert_array_equal(lines(side, empty), [[1, 0]])


def test_only_rows_of_train_teach() -> None:
    table = pl.DataFrame({"kind": ["a", "b", "c"], "year": [1.0, 3.0, 100.0]})
    side = learn(table, Category("kind"), Number("year"), in_train=[True, True, False])
    assert side.learned[0].values == ("a", "b")
    assert side.learned[1].mean == 2


def test_a_name_alone_is_read_by_what_the_column_holds() -> None:
    table = pl.DataFrame(
        {
            "genres": [["a"], ["b"]] * 4,
            "year": [1, 2] * 4,
            "town": ["New York", "York"] * 4,
            "title": [f"The {i} film" for i in range(8)],
            "code": [f"c{i}" for i in range(8)],
        }
    )
    kinds = [type(part.feature) for part in learn(table, *table.columns).learned]
    assert kinds == [Tags, Number, Category, Text, Category]


def test_a_column_that_is_not_there() -> None:
    with pytest.raises(
        ConfigError, match=r"feature 'gener': no such column.*Did you mean 'genre'"
    ):
        learn(pl.DataFrame({"genre": ["a"]}), "gener")
    side = learn(pl.DataFrame({"genre": ["a"]}), "genre")
    with pytest.raises(DataError, match="reads column 'genre'"):
        side.encode(UNKNOWN, pl.DataFrame({"other": ["a"]}))
    assert_array_equal(side.encode(UNKNOWN, None).toarray(), [[0, 1]])  # no table: unknown


def test_a_side_of_nothing_and_a_history_in_the_wrong_place() -> None:
    with pytest.raises(ConfigError, match="at least one feature, such as 'item_id'"):
        learn(pl.DataFrame({"a": [1]}))
    with pytest.raises(ConfigError, match="belongs to the users' side"):
        learn(pl.DataFrame({"a": [1]}), History(3))
    with pytest.raises(ConfigError, match="at least 1; got 0"):
        Side.learn(
            [History(0)],
            id_name="user_id",
            n_rows=1,
            table=None,
            in_train=np.ones(1, bool),
            n_items=2,
        )


DECLARED: tuple[Declared, ...] = (
    "item_id",
    "genres",
    Text("title"),
    "year",
    Bucket("year", 3),
    Hash("title"),
)


def test_training_and_answering_encode_alike() -> None:
    train = small_world()
    (user, item), (users, items) = encode_all(
        train, ("user_id", "town", "age", History(3, ordered=False)), DECLARED, liked_only=True
    )
    assert train.users is not None
    n, n_items = len(train.user_vocabulary), len(train.item_vocabulary)
    ids = train.user_vocabulary.ids.to_frame("user_id")
    asked = ids.join(train.users, on="user_id", how="left", maintain_order="left")
    for rebuilt in (user, Side.from_json(json.loads(json.dumps(user.to_json())))):
        again = rebuilt.encode(np.arange(n, dtype=np.int32), asked)
        assert_array_equal(again.toarray(), users.toarray()[:n])
        assert (rebuilt.history, rebuilt.ordered) == (3, False)
        assert rebuilt.columns == users.shape[1] + n_items
    taken = np.bincount(train.item_rows[train.liked], minlength=n_items) > 0
    rows = np.where(taken, np.arange(n_items), -1).astype(np.int32)
    again = Side.from_json(json.loads(json.dumps(item.to_json()))).encode(
        rows, train.catalogue.table
    )
    assert_array_equal(again.toarray(), items.toarray()[:n_items])
    assert items[[n_items]].toarray()[0, item.n_rows] == 1  # the last line is the unknown
    assert users[[n]].toarray()[0, user.n_rows] == 1


words = st.one_of(st.none(), st.text(alphabet="ab |,'é \t", max_size=6))


@settings(deadline=None)
@given(
    data=st.lists(
        st.tuples(
            words,
            st.one_of(st.none(), st.lists(words, max_size=3)),
            st.one_of(st.none(), st.floats(width=32)),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_a_line_does_not_depend_on_the_lines_beside_it(
    data: list[tuple[str | None, list[str | None] | None, float | None]],
) -> None:
    schema: dict[str, pl.DataType] = {
        "text": pl.String(),
        "tags": pl.List(pl.String),
        "number": pl.Float64(),
    }
    table = pl.DataFrame(data, schema=schema, orient="row")
    side = learn(
        table,
        "item_id",
        Hash("text", 3),
        Bucket("number", 2),
        Category("text"),
        Text("text", 1),
        Tags("tags"),
        Number("number"),
    )
    rows = np.arange(len(table), dtype=np.int32)
    whole = side.encode(rows, table).toarray()
    assert np.isfinite(whole).all()
    assert whole.shape == (len(table), side.columns)
    for i in rows:
        assert_array_equal(side.encode(rows[i : i + 1], table[int(i)]).toarray()[0], whole[i])


def test_hidden_ids_become_the_unknown_and_nothing_else_changes() -> None:
    train = small_world()
    (_, item), (_, items) = encode_all(train, ("user_id",), DECLARED, liked_only=True)
    rng = np.random.default_rng(0)
    hidden = item.hiding_ids(items.copy(), 0.5, rng).toarray()
    before = items.toarray()
    assert_array_equal(hidden[:, item.id_columns :], before[:, item.id_columns :])
    assert_array_equal(hidden[:, : item.id_columns].sum(axis=1), 1)
    share = (hidden[:, item.n_rows] > before[:, item.n_rows]).mean()
    assert 0.2 < share < 0.8
    assert_array_equal(item.hiding_ids(items.copy(), 0.0, rng).toarray(), before)


def test_users_without_a_table() -> None:
    world = small_world()
    train = Interactions(world.table, world.catalogue)
    (user, _), (users, _) = encode_all(train, ("user_id",), ("item_id",), liked_only=True)
    assert users.shape == (len(train.user_vocabulary) + 1, user.columns)
    with pytest.raises(ConfigError, match="feature 'town': no such column; there are"):
        encode_all(train, ("town",), ("item_id",), liked_only=True)
