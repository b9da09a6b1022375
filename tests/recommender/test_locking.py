"""Writers of one bundle take turns, among threads and among processes."""

import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shortlist.errors import BundleError
from shortlist.recommender.locking import alone_in
from shortlist.recommender.publishing import (
    point_at,
    pointed_at,
    publish,
    remove_old,
    roll_back,
    versions,
)

fcntl = pytest.importorskip("fcntl", reason="folders cannot be locked on this system")

WRITERS, TIMES = 4, 5


def taken(path: Path) -> bool:
    """Whether somebody is alone in a bundle: whoever opens it anew cannot lock it at once."""
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def write_some(path: Path) -> list[str]:
    return [publish(path, {"a": b"a"}, lambda _: b"{}").name for _ in range(TIMES)]


def test_threads_that_publish_at_once_all_publish(tmp_path: Path) -> None:
    path, together = tmp_path / "deep" / "b", threading.Barrier(WRITERS)

    def at_once(_: int) -> list[str]:
        together.wait(60)
        return write_some(path)

    with ThreadPoolExecutor(WRITERS) as threads:
        written = [name for names in threads.map(at_once, range(WRITERS)) for name in names]
    wanted = [f"{number:04d}" for number in range(1, 1 + WRITERS * TIMES)]
    assert sorted(written) == wanted == versions(path)
    assert pointed_at(path)[0] == wanted[-1]
    assert sorted(one.name for one in path.iterdir()) == ["CURRENT", "versions"]


def test_processes_that_publish_at_once_all_publish(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as processes:
        one, other = processes.map(write_some, [tmp_path / "b"] * 2, chunksize=1)
    assert sorted([*one, *other]) == versions(tmp_path / "b")
    assert pointed_at(tmp_path / "b")[0] == f"{2 * TIMES:04d}"


def test_whoever_publishes_is_alone(tmp_path: Path) -> None:
    found = []

    def manifest(_: object) -> bytes:
        found.append(taken(tmp_path / "b"))
        return b"{}"

    publish(tmp_path / "b", {"a": b"a"}, manifest)
    assert (found, taken(tmp_path / "b")) == ([True], False)


def test_who_is_alone_may_do_all_that_needs_it(tmp_path: Path) -> None:
    write_some(tmp_path / "b")
    with alone_in(tmp_path / "b"):
        write_some(tmp_path / "b")
        point_at(tmp_path / "b", "0002")
        assert roll_back(tmp_path / "b") == "0001"
        assert remove_old(tmp_path / "b", 1) == [f"{n:04d}" for n in range(2, 2 * TIMES)]
        assert taken(tmp_path / "b")  # the inner ones let go of nothing
    assert not taken(tmp_path / "b")


def test_a_failed_publication_lets_others_in(tmp_path: Path) -> None:
    def fail(_: object) -> bytes:
        msg = "the disk is full"
        raise OSError(msg)

    write_some(tmp_path / "b")
    with pytest.raises(BundleError, match="the disk is full"):
        publish(tmp_path / "b", {"a": b"a"}, fail)
    assert not taken(tmp_path / "b")
    with pytest.raises(BundleError, match="the disk is full"):
        publish(tmp_path / "new", {"a": b"a"}, fail)
    assert not (tmp_path / "new").exists()


def test_a_folder_removed_while_waiting_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, lock = tmp_path / "b", fcntl.flock
    path.mkdir()

    def gone_meanwhile(handle: int, how: int) -> None:
        lock(handle, how)
        monkeypatch.setattr(fcntl, "flock", lock)
        path.rmdir()
        path.mkdir()

    monkeypatch.setattr(fcntl, "flock", gone_meanwhile)
    with alone_in(path):
        assert taken(path)  # the folder that is there now
