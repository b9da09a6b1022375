import hashlib
import io
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from threading import Thread

import polars as pl
import pytest

from shortlist.data import datasets
from shortlist.data.datasets import cache_folder, movielens
from shortlist.errors import ConfigError, DataError


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def a_zip() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("ml-1m/ratings.dat", "1::7::3::881250949\n2::7::5::881250950\n")
        archive.writestr("ml-1m/movies.dat", "7::Heat (1995)::Crime\n")
    return held.getvalue()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A stand-in for the GroupLens server, and a cache folder that is still to be made."""
    root = tmp_path / "site"
    root.mkdir()
    server = HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    thread = Thread(target=partial(server.serve_forever, poll_interval=0.01), daemon=True)
    thread.start()
    monkeypatch.setattr(datasets, "BASE_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("SHORTLIST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield root
    server.shutdown()
    thread.join()
    server.server_close()


def publish(site: Path, content: bytes, md5: str | None = None) -> None:
    (site / "ml-1m.zip").write_bytes(content)
    right = hashlib.md5(content, usedforsecurity=False).hexdigest()
    (site / "ml-1m.zip.md5").write_text(md5 or f"MD5 (ml-1m.zip) = {right}\n")


def test_the_bundled_set_has_the_published_numbers() -> None:
    data = movielens()
    assert len(data) == 100_004
    assert len(data.user_vocabulary) == 671
    assert len(data.item_vocabulary) == len(data.catalogue) == 9_066
    films = data.catalogue.table
    assert films.schema["genres"] == pl.List(pl.String)
    assert films["title"].null_count() == 5
    assert films.row(0) == (
        "1",
        "Toy Story (1995)",
        1995,
        ["Adventure", "Animation", "Children", "Comedy", "Fantasy"],
    )
    assert movielens(positive="rating >= 4").liked.mean() == pytest.approx(0.515, abs=0.001)


def test_the_terms_lie_beside_the_bundled_set() -> None:
    home = Path(datasets.__file__).parent / "bundled" / "movielens-small"
    notice = (home / "NOTICE.md").read_text()
    assert "10.1145/2827872" in notice
    assert "commercial" in notice


def test_a_download_is_checked_and_kept(site: Path, tmp_path: Path) -> None:
    publish(site, a_zip())
    data = movielens("1m", positive="rating >= 4")
    assert data.table["user_id"].to_list() == [1, 2]
    assert data.liked.tolist() == [False, True]
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["ml-1m.zip"]
    (site / "ml-1m.zip").unlink()
    assert len(movielens("1m")) == 2  # from the cache
    assert len(movielens("1m", cache=tmp_path / "cache")) == 2


def test_a_wrong_checksum_leaves_nothing_behind(site: Path, tmp_path: Path) -> None:
    publish(site, a_zip(), md5="0" * 32 + "  ml-1m.zip")
    with pytest.raises(DataError, match=r"but 0{32} is published.*deleted"):
        movielens("1m")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_login_page_is_no_checksum(site: Path, tmp_path: Path) -> None:
    publish(site, a_zip(), md5="<html>please log in</html>")
    with pytest.raises(DataError, match="holds no MD5 sum"):
        movielens("1m")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.usefixtures("site")
def test_what_to_fetch_by_hand_and_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        movielens("25m")
    said = str(caught.value)
    assert "ml-25m.zip" in said
    assert str(tmp_path / "cache" / "ml-25m.zip") in said
    assert "by hand" in said


def test_no_network_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def offline(*_: object, **__: object) -> None:
        msg = "Name or service not known"
        raise OSError(msg)

    monkeypatch.setattr("urllib.request.urlopen", offline)
    with pytest.raises(DataError, match=r"cannot be fetched \(Name or service.*by hand and put it at"):  # fmt: skip
        movielens("1m", cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_path_or_an_unpacked_folder_needs_no_network(tmp_path: Path) -> None:
    home = tmp_path / "ml-1m"
    with zipfile.ZipFile(io.BytesIO(a_zip())) as archive:
        archive.extractall(tmp_path)
    assert len(movielens("1m", home)) == 2
    assert len(movielens("1m", cache=tmp_path)) == 2


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DataError, match=r"cannot be written.*SHORTLIST_CACHE"):
        movielens("1m", cache=tmp_path / "file")


def test_unknown_names_hint_at_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'smalle'.*100k.*Did you mean 'small'"):
        movielens("smalle")


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SHORTLIST_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    assert cache_folder() == Path.home() / ".cache" / "shortlist"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "shortlist"
    monkeypatch.setenv("SHORTLIST_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
