"""What train teaches one column, by hand."""

import json
import subprocess
import sys
import zlib
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from shortlist.data.features import Bucket, Category, Hash, Number, Tags, Text, feature_list
from shortlist.data.learned import Learned, guess, learn
from shortlist.errors import ConfigError, DataError


def places(part: Learned, values: Sequence[object]) -> list[int]:
    """Which of its columns each value takes."""
    lines = part.encode(pl.Series("x", values, strict=False)).toarray()
    assert_array_equal(lines.sum(axis=1), 1)
    assert lines.shape[1] == part.size
    return [int(place) for place in lines.argmax(axis=1)]


def numbers(part: Learned, values: list[float | None]) -> NDArray[np.float32]:
    return np.asarray(part.encode(pl.Series("x", values)).toarray()[:, 0])


def test_edges_of_equal_shares_by_hand() -> None:
    # the quartiles of 1 to 8 lie a quarter, half and three quarters of the way from 1 to 8
    part = learn(Bucket("x", 4), pl.Series("x", [8, 3, 1, None, 2, 7, 4, 6, 5]))
    assert part.edges == (2.75, 4.5, 6.25)
    assert part.size == 5  # four ranges, and one for what is missing
    assert places(part, [1, 2.75, 2.8, 4.49, 4.5, 6, 6.25, 8]) == [0, 1, 1, 1, 2, 2, 3, 3]


def test_values_beyond_train_fall_into_the_outer_ranges_and_nulls_into_their_own() -> None:
    part = learn(Bucket("x", 4), pl.Series("x", range(1, 9)))
    assert places(part, [-1e30, 0, 99, 1e30]) == [0, 0, 3, 3]
    assert places(part, [None, float("nan"), float("inf")]) == [4, 4, 4]


def test_equal_edges_are_one() -> None:
    # the thirds of 1 1 1 1 5 are both 1: ranges below 1, and from 1 on
    part = learn(Bucket("x", 3), pl.Series("x", [1, 1, 1, 1, 5]))
    assert part.edges == (1.0,)
    assert places(part, [0, 1, 5, None]) == [0, 1, 1, 2]


def test_a_single_range_and_a_column_of_nulls() -> None:
    for part in (
        learn(Bucket("x", 1), pl.Series("x", [1, 2])),
        learn(Bucket("x", 9), pl.Series("x", [None, None], dtype=pl.Float64)),
    ):
        assert part.edges == ()
        assert places(part, [7, None]) == [0, 1]


def test_a_hash_by_hand() -> None:
    # CRC-32 of "123456789" is 0xCBF43926 = 3 421 780 262, the check value of its definition
    part = learn(Hash("x", 1000), pl.Series("x", ["whatever"]))
    assert zlib.crc32(b"123456789") == 0xCBF43926
    assert places(part, ["123456789", None]) == [262, 1000]
    assert places(part, [123456789]) == [262]  # by its text, as ids
    assert places(part, ["", "\u00e9"]) == [
        0,
        zlib.crc32("\u00e9".encode()) % 1000,
    ]  # of nothing it is 0


def test_a_hash_is_the_same_in_every_process() -> None:
    code = (
        "import polars as pl; from shortlist.data.features import Hash; "
        "from shortlist.data.learned import Learned; "
        "print(Learned(Hash('x', 97)).encode(pl.Series('x', ['abc', 'd e'])).indices.tolist())"
    )
    want = [zlib.crc32(text) % 97 for text in (b"abc", b"d e")]
    for seed in ("1", "2"):
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys; sys.path[:0] = sys.argv[1:]; " + code,
                *sys.path,
            ],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        )
        assert json.loads(done.stdout) == want


def test_numbers_stop_at_five_deviations() -> None:
    # 1 and 3: mean 2, deviation 1
    part = learn(Number("x"), pl.Series("x", [1.0, 3.0]))
    got = numbers(part, [6.5, 7, 7.5, 1e30, -2.5, -3, -4, None])
    assert_allclose(got, [4.5, 5, 5, 5, -4.5, -5, -5, 0])


def test_dates_are_numbers_whichever_unit_they_come_in() -> None:
    days = [datetime(2020, 1, 1), datetime(2020, 1, 3), None]
    taught = pl.Series("x", days, dtype=pl.Datetime("ns"))
    assert guess("x", taught) == Number("x")
    part = learn(Number("x"), taught)  # mean January 2nd, deviation one day
    for dtype in (pl.Datetime("ms"), pl.Datetime("us", "UTC"), pl.Date):
        column = pl.Series("x", days, dtype=pl.Datetime("us")).cast(dtype)
        assert_allclose(part.encode(column).toarray()[:, 0], [-1, 1, 0], atol=1e-6)
    assert places(learn(Bucket("x", 2), taught), days) == [0, 1, 2]


def test_lists_have_no_hash() -> None:
    with pytest.raises(DataError, match=r"feature 'x' is declared a Hash.*use Tags"):
        learn(Hash("x"), pl.Series("x", [["a"]])).encode(pl.Series("x", [["a"]]))


def test_what_was_learned_goes_through_json() -> None:
    column = pl.Series("x", ["a b", "a", None, "b c"])
    years = pl.Series("x", [1.5, 2, 4, None])
    for kind, values in (
        (Category("x"), column),
        (Text("x", 1), column),
        (Hash("x", 5), column),
        (Bucket("x", 3), years),
        (Number("x"), years),
        (Tags("x"), pl.Series("x", [["a"], ["b", "a"], None, []])),
    ):
        part = learn(kind, values)
        again = Learned.from_json(json.loads(json.dumps(part.to_json())))
        assert again == part
        assert_array_equal(again.encode(values).toarray(), part.encode(values).toarray())


def test_a_history_is_no_feature_of_a_column() -> None:
    value = {"feature": {"kind": "History", "length": 3}, "values": [], "edges": []}
    with pytest.raises(ConfigError, match="is not a feature of a column"):
        Learned.from_json(value | {"mean": 0.0, "spread": 1.0})


@pytest.mark.parametrize("kind", [Bucket, Hash])
def test_at_least_one_bucket(kind: type[Bucket]) -> None:
    with pytest.raises(ConfigError, match="buckets must be at least 1; got 0"):
        kind("x", 0)


def test_one_feature_is_no_list_of_features() -> None:
    assert feature_list("user", ["user_id"]) == ("user_id",)
    with pytest.raises(ConfigError, match=r"user is a list.*Write user=\['user_id'\]"):
        feature_list("user", "user_id")
    with pytest.raises(ConfigError, match=r"user=\[Number\(column='age'\)\]"):
        feature_list("user", Number("age"))  # type: ignore[arg-type]
