import gzip
import logging
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from shortlist.data.read import read
from shortlist.errors import ConfigError, DataError

GOOD = (
    "userId,movieId,rating,timestamp\n1,007,4.5,964982703\n2,12,3,964982931\n1,12,2,964982932\n"
)


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_ids_come_back_as_given(tmp_path: Path) -> None:
    data = read(write(tmp_path / "r.csv", GOOD))
    assert data.table["user_id"].to_list() == [1, 2, 1]
    assert data.table["item_id"].to_list() == ["007", "12", "12"]  # a number would lose zeros
    assert data.ratings is not None
    assert data.ratings.tolist() == [4.5, 3.0, 2.0]
    assert data.timestamps is not None
    assert data.timestamps.tolist() == [964982703, 964982931, 964982932]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bom.csv", b"\xef\xbb\xbf" + GOOD.encode()),
        ("crlf.csv", GOOD.replace("\n", "\r\n")),
        ("semicolon.csv", GOOD.replace(",", ";")),
        ("tab.tsv", GOOD.replace(",", "\t")),
        ("tab.csv", GOOD.replace(",", "\t")),
        ("pipe.txt", GOOD.replace(",", "|")),
        ("packed.csv.gz", gzip.compress(GOOD.encode())),
        ("blank.csv", GOOD + "\n\n"),
        ("blank_first.csv", "\n" + GOOD.replace(",", ";")),
        ("commas.csv", GOOD.replace(",", ";").replace("4.5", "4,5")),
        ("spaces.csv", GOOD.replace("userId,movieId", "userId , movieId")),
    ],
)
def test_text_files_of_all_kinds(tmp_path: Path, name: str, text: str | bytes) -> None:
    data = read(str(write(tmp_path / name, text)))
    assert data.table.rows() == read(write(tmp_path / "plain.csv", GOOD)).table.rows()


def test_parquet_polars_lazy_arrow_and_pandas_say_the_same(tmp_path: Path) -> None:
    table = pl.DataFrame({"user": ["a", "b"], "item": [1, 2], "stars": [5, 3]})
    table.write_parquet(tmp_path / "r.parquet")
    want = [("a", 1, 5.0), ("b", 2, 3.0)]
    assert read(tmp_path / "r.parquet").table.rows() == want
    assert read(table).table.rows() == want
    assert read(table.lazy()).table.rows() == want
    pytest.importorskip("pyarrow", reason="Arrow tables need pyarrow")
    assert read(table.to_arrow()).table.rows() == want
    pytest.importorskip("pandas", reason="pandas tables need pandas")
    assert read(table.to_pandas()).table.rows() == want


def test_pandas_floats_with_gaps_and_mixed_ids() -> None:
    pd = pytest.importorskip("pandas", reason="pandas tables need pandas")
    pytest.importorskip("pyarrow", reason="pandas tables need pyarrow")
    frame = pd.DataFrame({"user": [1.0, None], "item": [1, 2]})
    with pytest.raises(DataError, match=r"column 'user', row 1: the id is missing"):
        read(frame)
    with pytest.raises(DataError, match=r"values of several kinds.*astype"):
        read(pd.DataFrame({"user": [1, "a"], "item": [1, 2]}))


@pytest.mark.parametrize(
    "times",
    [
        ["2020-01-01T00:00:00", "2020-01-01 00:01:00"],
        ["2020-01-01T00:00:00Z", "2020-01-01T01:01:00+01:00"],
        ["1577836800", "1577836860.7"],
        [1577836800.0, 1577836860.0],
        [1577836800000, 1577836860000],
        [1577836800000000, 1577836860000000],
        [datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, 0, 1, tzinfo=UTC)],
    ],
)
def test_times_become_seconds(times: list[object]) -> None:
    data = read(pl.DataFrame({"user": [1, 2], "item": [1, 2], "time": times}))
    assert data.timestamps is not None
    assert data.timestamps.tolist() == [1577836800, 1577836860]


def test_days_and_positions_are_times_too() -> None:
    days = read(
        pl.DataFrame({"user": [1, 2], "item": [1, 2], "date": ["1970-01-02", "1970-01-03"]})
    )
    assert days.table["timestamp"].to_list() == [86_400, 172_800]
    numbers = read(pl.DataFrame({"user": [1, 2], "item": [1, 2], "date": [19700102, 19700103]}))
    assert numbers.table["timestamp"].to_list() == [86_400, 172_800]
    order = read(pl.DataFrame({"user": [1, 2], "item": [1, 2], "seq": [0, 1]}))
    assert order.table["timestamp"].to_list() == [0, 1]


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ("1,5,good,7", r"r\.csv: column 'rating', row 3 \(line 5\): 'good' is not a number.*Correct"),
        ('1,5,"4,5",7', r"'4,5' is not a number \(write the decimal point as a point\)"),
        ('1,5,"4,555",7', "'4,555' is not a number"),
        ("1,5,NaN,7", r"column 'rating', row 3 \(line 5\): the rating is missing, NaN or infinite"),
        ("1,5,inf,7", r"column 'rating', row 3.*NaN or infinite"),
        ("1,5,,7", r"column 'rating', row 3.*missing"),
        (",5,4,7", r"column 'userId', row 3.*the id is missing"),
        ("1,  ,4,7", r"column 'movieId', row 3.*the id is missing"),
        ("1,5,4,", r"column 'timestamp', row 3.*the time is missing"),
        ("1,5,4,soon", r"column 'timestamp', row 3.*'soon' is not a time"),
        ("1,5,4,99999999999", r"column 'timestamp', row 3.*future.*seconds since 1970"),
        ("1,5,4,964982931000", r"mixed units \(3 in seconds and 1 in milliseconds\).*Bring all to seconds"),
        ("1,5,4,7,8", r"r\.csv, line 5: 5 fields but the header has 4; put quotes"),
        ("1,5,4", r"column 'timestamp', row 3.*missing"),
        ('1,"5,4,7', r"r\.csv"),
    ],
)  # fmt: skip
def test_a_bad_row_stops_with_file_column_row_and_remedy(
    tmp_path: Path, row: str, match: str
) -> None:
    path = write(tmp_path / "r.csv", GOOD + row + "\n")
    with pytest.raises(DataError, match=match):
        read(path)


def test_quarantine_keeps_counts_and_reasons(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = "1,5,NaN,\n,6,soso,7\n\n3,7,1,8\n"
    path = write(tmp_path / "r.csv", GOOD + bad)
    with caplog.at_level(logging.INFO, logger="shortlist.data"):
        data = read(path, on_bad_rows="quarantine")
    assert data.table["user_id"].to_list() == [1, 2, 1, 3]
    assert "6 rows = 4 kept + 2 in quarantine" in caplog.text
    side = pl.read_csv(tmp_path / "r.csv.quarantine.csv", infer_schema=False)
    assert side.columns == ["userId", "movieId", "rating", "timestamp", "row", "reason"]
    assert side["row"].to_list() == ["3", "4"]
    assert side["movieId"].to_list() == ["5", "6"]
    assert "rating: the rating is missing" in side["reason"][0]
    assert "timestamp: the time is missing" in side["reason"][0]
    assert "rating: 'soso' is not a number" in side["reason"][1]
    assert "user_id: the id is missing" in side["reason"][1]
    assert side["reason"][1].count("rating") == 1


def test_row_numbers_count_blank_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", GOOD + "\n1,5,bad,7\n")
    with pytest.raises(DataError, match=r"row 4 \(line 6\)"):
        read(path)


def test_quarantine_of_a_table_needs_a_place(tmp_path: Path) -> None:
    table = pl.DataFrame({"user": [1, None], "item": [1, 2], "tags": [["a", "b"], ["c", "d"]]})
    with pytest.raises(ConfigError, match=r"pass quarantine='bad\.csv'"):
        read(table, on_bad_rows="quarantine")
    assert len(read(table, on_bad_rows="quarantine", quarantine=tmp_path / "bad.csv")) == 1
    assert pl.read_csv(tmp_path / "bad.csv")["tags"].to_list() == ["c|d"]
    read(table, on_bad_rows="quarantine", quarantine=tmp_path / "bad.parquet")
    assert pl.read_parquet(tmp_path / "bad.parquet")["tags"].to_list() == [["c", "d"]]
    with pytest.raises(DataError, match="cannot be written"):
        read(table, on_bad_rows="quarantine", quarantine=tmp_path / "no" / "bad.csv")
    with pytest.raises(ConfigError, match=r"must be a \.csv or \.parquet path"):
        read(table, on_bad_rows="quarantine", quarantine="bad.txt")


def test_mixed_units_in_quarantine_keep_the_usual_unit(tmp_path: Path) -> None:
    times = [964982931000, 964982932000, 964982933]
    table = pl.DataFrame({"user": [1, 2, 3], "item": [1, 2, 3], "ts": times})
    data = read(table, on_bad_rows="quarantine", quarantine=tmp_path / "bad.csv")
    assert data.table["timestamp"].to_list() == [964982931, 964982932]


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("r.csv", "", "is empty"),
        ("r.csv", "userId,movieId\n", r"has no rows \(columns \['userId', 'movieId'\]\)"),
        ("r.csv", "1,31,2.5,1260759144\n1,32,3,1\n", r"has no header.*'1,31,2\.5,1260759144'.*has_header=False"),
        ("r.csv", "196\t242\t3\t881250949\n", "has no header"),
        ("r.csv", "1::1193::5::978300760\n", "datasets.movielens"),
        ("r.csv", "user,item,user\n1,2,3\n", "more than one column 'user'"),
        ("r.csv", "user,item\n1,2\n1,2\n1,2\n", "all 3 rows are duplicates of one row"),
        ("r.csv", b"user,item\n1,Andr\xe9\n", r"line 2: the text is not UTF-8.*iconv -f latin1"),
        ("r.csv", "user,item\n1,2\n".encode("utf-16"), r"not UTF-8.*utf-16"),
        ("r.csv", b"PK\x03\x04rest", "spreadsheet or a zip"),
        ("r.csv", "user,what\n1,2\n", r"no column looks like the item_id.*\['user', 'what'\]"),
        ("r.csv.gz", b"no gzip", "not a whole gzip file"),
        ("r.csv.gz", gzip.compress(GOOD.encode())[:-9], "not a whole gzip file"),
        ("r.parquet", b"no parquet", "cannot be read"),
        ("r.xlsx", b"PK", "save it as CSV"),
        ("r.zip", b"PK", "datasets.movielens"),
        ("r.json", b"{}", r"unknown kind '\.json'"),
    ],
)  # fmt: skip
def test_a_bad_file_says_what_to_do(
    tmp_path: Path, name: str, text: str | bytes, match: str
) -> None:
    path = write(tmp_path / name, text)
    with pytest.raises(DataError, match=match) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_lists_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path / "ratings.csv", GOOD)
    with pytest.raises(DataError, match=r"rating\.csv is not there.*'ratings\.csv'"):
        read(tmp_path / "rating.csv")
    with pytest.raises(DataError, match=r"is a folder; give the file itself"):
        read(tmp_path)


def test_settings_are_checked() -> None:
    table = pl.DataFrame({"user": [1, 2], "item": [1, 2]})
    with pytest.raises(ConfigError, match=r"'stop' or 'quarantine'; got 'drop'"):
        read(table, on_bad_rows="drop")
    with pytest.raises(ConfigError, match=r"'usr' is no name of ours"):
        read(table, columns={"usr": "user"})
    with pytest.raises(DataError, match=r"names 'who' as the user_id, but no table has it"):
        read(table, columns={"user_id": "who"})
    with pytest.raises(DataError, match="cannot read a dict"):
        read({"user": [1]})
    with pytest.raises(DataError, match=r"'rating' holds List\(Int64\), not numbers"):
        read(table.with_columns(rating=pl.Series([[1], [2]])))
    with pytest.raises(DataError, match=r"'time' holds Boolean, not times"):
        read(table.with_columns(time=pl.Series([True, False])))


def test_no_row_left(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", "user,item,rating\n1,2,x\n")
    with pytest.raises(DataError, match="none of 1 rows can be used"):
        read(path, on_bad_rows="quarantine")
    assert not (tmp_path / "r.csv.quarantine.csv").exists()


SPLIT = pl.DataFrame(
    {
        "user_id": ["2", "1", "2"],
        "movie_id": ["7", "7", "9"],
        "user_rating": [3.0, 4.0, 5.0],
        "timestamp": [875806953, 875806954, 875806955],
        "movie_title": ["Heat (1995)", "Heat (1995)", "nan"],
        "genres": ["Crime|Drama", "Crime|Drama", "(no genres listed)"],
        "user_age": ["18", "30", "18"],
        "user_zip_code": ["01234", "30220", "01234"],
        "device": ["tv", "tv", "phone"],
    }
)


def test_what_stands_beside_the_rows_is_lifted() -> None:
    data = read(SPLIT, positive="rating >= 4")
    assert data.table.columns == ["user_id", "item_id", "rating", "timestamp", "device"]
    assert data.liked.tolist() == [False, True, True]
    assert data.catalogue.table.rows(named=True) == [
        {"item_id": "7", "title": "Heat (1995)", "genres": ["Crime", "Drama"], "year": 1995},
        {"item_id": "9", "title": None, "genres": [], "year": None},
    ]
    assert data.users is not None
    assert data.users.rows() == [("2", 18, "01234"), ("1", 30, "30220")]


def test_given_tables_come_before_what_stands_beside_the_rows(tmp_path: Path) -> None:
    films = write(
        tmp_path / "m.csv", "id,name,release_year,price\n7,Heat,1995,1.5\n8,Up,odd,2\n"
    )
    people = write(tmp_path / "u.csv", "user_id,user_zip_code\n1,01234\n")
    data = read(SPLIT, items=films, users=people)
    assert "movie_title" in data.table.columns
    assert data.catalogue.table.rows() == [(7, "Heat", 1995, 1.5), (8, "Up", None, 2.0)]
    assert data.item_vocabulary.ids.to_list() == ["7", "8", "9"]
    assert data.users is not None
    assert data.users.rows() == [(1, "01234")]


def test_faults_of_the_items_table_name_its_file(tmp_path: Path) -> None:
    twice = write(tmp_path / "m.csv", "movieId,title\n7,Heat\n7,Heat\n")
    with pytest.raises(DataError, match=r"m\.csv: .*item_id 7 more than once"):
        read(SPLIT, items=twice)
    missing = write(tmp_path / "n.csv", "movieId,title\n7,Heat\n,Up\n")
    with pytest.raises(DataError, match=r"n\.csv: column 'movieId', row 1: the id is missing"):
        read(SPLIT, items=missing)
    other = write(tmp_path / "o.csv", "title\nHeat\nUp\n")
    with pytest.raises(DataError, match=r"o\.csv: no column looks like the item_id"):
        read(SPLIT, items=other)


def test_a_bare_id_is_the_items_in_an_items_table() -> None:
    films = pl.DataFrame({"id": [7], "movie_title": ["Heat"], "book_title": ["x"]})
    with pytest.raises(
        DataError, match="'movie_title' and 'book_title' could both be the title"
    ):
        read(SPLIT, items=films)
    data = read(SPLIT, items=films, columns={"title": "movie_title"})
    assert data.catalogue.table["title"].to_list() == ["Heat"]


def test_a_lazy_frame_that_fails_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the LazyFrame cannot be collected"):
        read(pl.scan_parquet(tmp_path / "none.parquet"))


def test_the_order_stands_in_where_most_times_are_missing() -> None:
    table = pl.DataFrame(
        {"user": [1, 1, 1], "item": [1, 2, 3], "timestamp": [None, None, 5], "seq": [0, 1, 2]}
    )
    data = read(table)
    assert data.table["timestamp"].to_list() == [0, 1, 2]
    assert data.table["timestamp_given"].to_list() == [None, None, 5]
    with pytest.raises(DataError, match="column 'timestamp', row 0 and 1 more"):
        read(table, columns={"timestamp": "timestamp"})
    assert "timestamp" not in read(table, columns={"timestamp": None}).table.columns


def test_rows_keep_their_order() -> None:
    rng = np.random.default_rng(0)
    table = pl.DataFrame({"user": rng.integers(0, 9, 200), "item": rng.integers(0, 9, 200)})
    assert read(table).table.rows() == table.rows()


def test_a_column_named_in_vain_comes_before_every_guess(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", GOOD)
    for named in ({"item_id": "movieID"}, {"user_id": "userid"}):
        ours, theirs = next(iter(named.items()))
        with pytest.raises(DataError, match=rf"names '{theirs}' as the {ours}.*Did you mean"):
            read(path, columns=named)
    asked = write(tmp_path / "s.csv", "who,what,asin,sku\n1,2,3,4\n")
    with pytest.raises(DataError, match=r"names 'whom' as the user_id.*Did you mean 'who'"):
        read(asked, columns={"user_id": "whom"})  # told before that asin or sku is asked for
    elsewhere = pl.DataFrame({"movieId": [12], "nom": ["Heat"]})
    data = read(path, items=elsewhere, columns={"title": "nom"})
    assert "Heat" in data.catalogue.titles.to_list()


@pytest.mark.parametrize("text", ["", "NULL", "nan", "NaN", "None", " null "])
@pytest.mark.parametrize("place", ["userId", "movieId"])
def test_words_for_nothing_are_missing_ids(tmp_path: Path, text: str, place: str) -> None:
    row = {"userId": "1", "movieId": "5"} | {place: text}
    path = write(tmp_path / "r.csv", f"{GOOD}{row['userId']},{row['movieId']},4,7\n")
    with pytest.raises(DataError, match=rf"column '{place}', row 3.*the id is missing"):
        read(path)
    assert (
        read(path, on_bad_rows="quarantine").table.rows()
        == read(write(tmp_path / "good.csv", GOOD)).table.rows()
    )
    table = pl.DataFrame({"user": ["a", text], "item": ["x", "y"]})
    with pytest.raises(DataError, match=r"column 'user', row 1: the id is missing"):
        read(table)


def test_na_is_an_id_that_somebody_may_have() -> None:
    table = pl.DataFrame({"user": ["NA", "b"], "item": ["x", "y"]})
    assert read(table).table["user_id"].to_list() == ["NA", "b"]


@pytest.mark.parametrize("dates", [("30.03.1998", "01.04.1998"), ("03/30/1998", "04/01/1998")])
def test_dates_of_an_unknown_format(tmp_path: Path, dates: tuple[str, str]) -> None:
    rows = "".join(f"{u},{u + 5},{date}\n" for u, date in enumerate(dates))
    path = write(tmp_path / "r.csv", f"user,item,date\n{rows}")
    for on_bad_rows in ("stop", "quarantine"):
        with pytest.raises(DataError, match=rf"format of dates such as '{dates[0]}' is not known"
                           r".*ISO dates \(1998-03-30.*seconds since 1970") as caught:  # fmt: skip
            read(path, on_bad_rows=on_bad_rows)
        assert "on_bad_rows" not in str(caught.value)


def test_quarantine_is_not_offered_where_nothing_would_be_left() -> None:
    table = pl.DataFrame({"user": [1, 2], "item": [1, 2], "rating": ["bad", "worse"]})
    with pytest.raises(DataError, match=r"'bad' is not a number\. Correct it$"):
        read(table)
