import zipfile
from pathlib import Path

import polars as pl
import pytest

from shortlist.data.interactions import Interactions
from shortlist.data.movielens import read_movielens
from shortlist.errors import DataError

FLAGS = ["0"] * 19
CRIME = FLAGS.copy()
CRIME[6] = "1"  # Crime
CRIME[8] = "1"  # Drama
LAYOUTS: dict[str, dict[str, bytes]] = {
    "100k": {
        "u.data": b"196\t242\t3\t881250949\n22\t1\t1\t878887116\n",
        "u.item": (
            f"1|Heat (1995)|01-Jan-1995||http://x|{'|'.join(CRIME)}\n"
            f"242|Am\xe9lie \"x\" (2001)||||{'|'.join(FLAGS)}\n"
        ).encode("latin-1"),
        "u.user": b"22|24|M|technician|01234\n196|53|F|other|T8H1N\n",
    },
    "1m": {
        "ratings.dat": b"196::242::3::881250949\n22::1::1::878887116\n",
        "movies.dat": "1::Heat: A (1995)::Crime|Drama\n242::Amélie (2001)::\n".encode("latin-1"),
        "users.dat": b"22::M::25::12::01234\n196::F::56::16::70072\n",
    },
    "10m": {
        "ratings.dat": b"196::242::3.5::881250949\n22::1::1::878887116\n",
        "movies.dat": "1::Heat: A (1995)::Crime|Drama\n242::Amélie (2001)::(no genres listed)\n".encode(),
    },
    "latest": {
        "ratings.csv": b"userId,movieId,rating,timestamp\n196,242,3.5,881250949\n22,1,1.0,878887116\n",
        "movies.csv": 'movieId,title,genres\n1,"Heat, ""A"" (1995)",Crime|Drama\n242,Amélie (2001),(no genres listed)\n'.encode(),
        "tags.csv": b"userId,movieId,tag,timestamp\n22,1,Mann,1\n22,1,heist,1\n196,1,mann ,1\n",
        "links.csv": b"movieId,imdbId,tmdbId\n1,1,1\n",
    },
}  # fmt: skip


def folder(tmp_path: Path, layout: str) -> Path:
    home = tmp_path / f"ml-{layout}"
    home.mkdir()
    for name, content in LAYOUTS[layout].items():
        (home / name).write_bytes(content)
    return home


def zipped(tmp_path: Path, layout: str, inside: str = "ml/") -> Path:
    path = tmp_path / f"ml-{layout}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in LAYOUTS[layout].items():
            archive.writestr(inside + name, content)
    return path


def check_rows(data: Interactions) -> None:
    assert data.table["user_id"].to_list() == [196, 22]
    assert data.table["item_id"].to_list() == [242, 1]
    assert data.table["timestamp"].to_list() == [881250949, 878887116]
    films = data.catalogue.table
    assert films["item_id"].to_list() == [1, 242]
    assert films["genres"].to_list() == [["Crime", "Drama"], []]
    assert films["year"].to_list() == [1995, 2001]
    assert "Amélie" in films["title"][1]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_reads_the_same_from_folder_and_zip(tmp_path: Path, layout: str) -> None:
    from_folder = read_movielens(folder(tmp_path, layout))
    check_rows(from_folder)
    from_zip = read_movielens(str(zipped(tmp_path, layout)), positive="rating >= 3")
    check_rows(from_zip)
    assert from_zip.table.equals(from_folder.table)
    assert from_zip.catalogue.table.equals(from_folder.catalogue.table)
    assert from_zip.liked.tolist() == [True, False]


def test_users_come_along_where_there_are_any(tmp_path: Path) -> None:
    old = read_movielens(folder(tmp_path, "100k")).users
    assert old is not None
    assert old.row(0) == (22, 24, "M", "technician", "01234")
    newer = read_movielens(folder(tmp_path, "1m")).users
    assert newer is not None
    assert newer.row(0, named=True)["zip_code"] == "01234"
    assert newer.schema["age"] == pl.Int64
    assert read_movielens(folder(tmp_path, "10m")).users is None


def test_titles_keep_colons_quotes_and_accents(tmp_path: Path) -> None:
    assert read_movielens(folder(tmp_path, "1m")).catalogue.titles[0] == "Heat: A (1995)"
    assert read_movielens(folder(tmp_path, "latest")).catalogue.titles[0] == 'Heat, "A" (1995)'
    assert read_movielens(folder(tmp_path, "100k")).catalogue.titles[1] == 'Amélie "x" (2001)'


def test_tags_stand_once_per_film(tmp_path: Path) -> None:
    films = read_movielens(folder(tmp_path, "latest")).catalogue.table
    assert films["tags"].to_list() == [["heist", "mann"], None]


def test_a_zip_is_never_unpacked(tmp_path: Path) -> None:
    path = zipped(tmp_path, "latest", inside="../../evil/")
    before = sorted(tmp_path.rglob("*"))
    check_rows(read_movielens(path))
    assert sorted(tmp_path.rglob("*")) == before
    assert not (tmp_path.parent.parent / "evil").exists()


def test_what_is_wrong_with_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not there"):
        read_movielens(tmp_path / "none")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match=r"no MovieLens data set: one of u\.data.*\['a\.txt'\]"):
        read_movielens(tmp_path)
    with pytest.raises(DataError, match="neither a folder nor a whole zip"):
        read_movielens(tmp_path / "a.txt")
    home = folder(tmp_path, "latest")
    (home / "movies.csv").unlink()
    with pytest.raises(DataError, match=r"has no movies\.csv; it holds"):
        read_movielens(home)
    (home / "movies.csv").write_text("movieId,name\n1,x\n")
    with pytest.raises(DataError, match=r"movies\.csv is not as GroupLens publishes it"):
        read_movielens(home)


def test_damaged_files_name_themselves(tmp_path: Path) -> None:
    home = folder(tmp_path, "1m")
    (home / "movies.dat").write_text("1::Heat\n")
    with pytest.raises(DataError, match=r"movies\.dat, line 1: '1::Heat' has no 3 fields"):
        read_movielens(home)
    (home / "movies.dat").write_bytes(LAYOUTS["1m"]["movies.dat"])
    (home / "ratings.dat").write_text("1::x::3::4\n")
    with pytest.raises(DataError, match=r"ratings\.dat is not as GroupLens publishes it"):
        read_movielens(home)
    (home / "ratings.dat").write_text("")
    with pytest.raises(DataError, match="no rows"):
        read_movielens(home)
    path = zipped(tmp_path, "latest")
    path.write_bytes(path.read_bytes().replace(b"196,242", b"196,243"))  # stored, not packed
    with pytest.raises(DataError, match=r"ratings\.csv cannot be read.*damaged"):
        read_movielens(path)
