"""The bundle: the same answers after as before, no wrong answer from a damaged one, nothing half-written."""

import errno
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

import shortlist
from shortlist.data.features import History, Number, Tags, Text
from shortlist.errors import BundleError, ConfigError, NotReadyError
from shortlist.ranking import Biases, RatingNetwork
from shortlist.recommender import Recommender, load, publishing, verify
from shortlist.recommender.rules import Allow, Deny, Seen, Where
from shortlist.recommender.tensors import read_tensors, tensor_bytes
from shortlist.retrieval import EASE, Popularity, TwoTower
from shortlist.retrieval import ease as ease_module
from shortlist.testing import checkerboard, small_world

TINY: dict[str, Any] = {"dim": 4, "epochs": 2, "batch_size": 128, "progress": False}
RICH: dict[str, Any] = {
    **TINY,
    "user": ["user_id", "town", Number("age"), History(3)],
    "item": ["item_id", Tags("genres"), Text("title"), "year"],
}
PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "popular": lambda: {"retrieve": Popularity(), "fallback": Popularity(by="recent")},
    "best rated": lambda: {"retrieve": Popularity(by="rating", min_count=3)},
    "ease": lambda: {"retrieve": EASE(l2=5.0)},
    "ease by users": lambda: {"retrieve": EASE(l2=5.0)},
    "towers": lambda: {"retrieve": TwoTower(**TINY)},
    "rich towers": lambda: {"retrieve": TwoTower(**RICH)},
    "deep towers": lambda: {"retrieve": TwoTower(**TINY, layers=(4,), normalize=True)},
    "ease, biases": lambda: {"retrieve": EASE(), "rank": Biases(), "candidates": 5},
    "everything": lambda: {
        "retrieve": [EASE(), Popularity(), TwoTower(**RICH)],
        "rank": RatingNetwork(**TINY, layers=(4,), user=["user_id", "town"], item=["genres"]),
        "rules": (
            Seen(),
            Where("year >= 1950"),
            Deny(("i3",)),
            Allow(tuple(f"i{n}" for n in range(39))),
        ),
        "name": "mine",
    },
}


@cache
def fitted(kind: str) -> Recommender:
    if "tower" in kind or kind == "everything":
        pytest.importorskip("torch")
    with pytest.MonkeyPatch.context() as patch:
        if kind == "ease by users":
            patch.setattr(ease_module, "_SMALL_CATALOGUE", 1)
            many = small_world(users=20, items=60)
            return Recommender(**PARTS[kind]()).fit(many)
        return Recommender(**PARTS[kind]()).fit(small_world())


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("shelf")

    @cache
    def saved(kind: str) -> Path:
        fitted(kind).save(folder / f"{kind}.bundle")
        return folder / f"{kind}.bundle"

    return saved


@pytest.fixture
def bundle(shelf: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(shelf("ease, biases"), tmp_path / "movies.bundle"))


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(one.relative_to(folder)): one.read_bytes() if one.is_file() else None
        for one in folder.rglob("*")
    }


def assert_same_answers(one: Recommender, other: Recommender) -> None:
    users = [*one.snapshot.user_vocabulary.ids, "nobody"]
    assert one.recommend(users=users, k=12).equals(other.recommend(users=users, k=12))
    for guest in (["i0", "i4"], []):
        asked = [one.recommend(history=guest, k=5), other.recommend(history=guest, k=5)]
        assert asked[0].equals(asked[1])
    if one.retrievers[0].name != "popularity":
        assert one.similar("i1").equals(other.similar("i1"))
        assert one.audience("i1").equals(other.audience("i1"))
    if one.rank is not None:
        assert one.predict("u1").equals(other.predict("u1"))
        pairs = pl.Series(["u1", "nobody", "u2"]), pl.Series(["i1", "i2", "unknown"])
        assert_array_equal(one.predict_pairs(*pairs), other.predict_pairs(*pairs))


@pytest.mark.parametrize("kind", PARTS)
def test_the_same_answers_before_and_after(kind: str, shelf: Callable[[str], Path]) -> None:
    rec, loaded = fitted(kind), load(shelf(kind))
    assert (loaded.name, loaded.rules, loaded.candidates) == (
        rec.name,
        rec.rules,
        rec.candidates,
    )
    assert loaded.snapshot.positive == rec.snapshot.positive
    assert_same_answers(rec, loaded)


@pytest.mark.parametrize("kind", ["everything", "ease by users"])
def test_saved_again_it_is_still_the_same(
    kind: str, shelf: Callable[[str], Path], tmp_path: Path
) -> None:
    load(shelf(kind)).save(tmp_path / "again")
    assert_same_answers(fitted(kind), load(tmp_path / "again"))


def test_verify_returns_the_manifest(shelf: Callable[[str], Path]) -> None:
    manifest = verify(shelf("ease, biases"))
    assert (manifest["retrieve"], manifest["rank"]) == (["ease"], "bias")
    held = fitted("ease, biases").snapshot.histories
    assert held.timestamps is not None
    assert manifest["lineage"]["rows"] == 480
    assert manifest["watermark"] == held.timestamps.max()


def test_whole_number_ids_come_back_as_whole_numbers(tmp_path: Path) -> None:
    train, _ = checkerboard()
    rec = Recommender(EASE(l2=1.0), rules=(Seen(), Deny(np.array([3])))).fit(train)  # type: ignore[arg-type]
    rec.save(tmp_path / "b")
    table = load(str(tmp_path / "b")).recommend(user=1)
    assert dict(table.schema) | {"user_id": pl.Int64, "item_id": pl.Int64} == dict(table.schema)
    assert table.equals(rec.recommend(user=1))


def test_figures_travel_with_the_bundle(tmp_path: Path) -> None:
    rec = Recommender(Popularity()).fit(checkerboard()[0])
    rec.metrics = {"latest": {"ndcg@10": 0.25, "users": 3}}
    rec.save(tmp_path / "b")
    assert load(tmp_path / "b").metrics == rec.metrics


def test_a_second_save_is_a_new_version_and_keeps_the_old(bundle: Path) -> None:
    old = tree(bundle / "versions" / "0001")
    assert fitted("popular").save(bundle) == bundle / "versions" / "0002"
    assert load(bundle).name == "popularity"
    assert tree(bundle / "versions" / "0001") == old
    assert {one.name for one in bundle.iterdir()} == {"CURRENT", "versions"}


def test_others_may_read_what_was_published(bundle: Path) -> None:
    before = os.umask(0o022)
    try:
        folder = fitted("popular").save(bundle)
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_arrays_are_mapped_and_read_only(shelf: Callable[[str], Path]) -> None:
    def mapped(array: NDArray[Any]) -> bool:
        base: object = array
        while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
            base = base.base
        return isinstance(base, np.memmap) and not array.flags.writeable

    loaded = load(shelf("ease, biases"))
    (retriever,) = loaded.retrievers
    assert isinstance(retriever, EASE)
    assert mapped(retriever.state().arrays["weights"])
    assert mapped(loaded.snapshot.histories.item_rows)
    assert loaded.rank is not None
    assert mapped(loaded.rank.state().arrays["items"])
    with pytest.raises(ValueError, match="read-only"):
        loaded.snapshot.histories.item_rows[0] = 1


def test_tensors_of_every_kind_come_back(tmp_path: Path) -> None:
    kinds = (
        np.float64,
        np.float32,
        np.float16,
        np.int64,
        np.int32,
        np.int16,
        np.int8,
        np.uint8,
        np.bool_,
    )
    arrays = {kind.__name__: np.arange(6).reshape(2, 3).astype(kind) for kind in kinds}
    arrays |= {
        "empty": np.zeros((0, 4), np.float32),
        "strided": np.arange(12).reshape(3, 4)[:, ::2],
    }
    (tmp_path / "t").write_bytes(tensor_bytes(arrays))
    back = read_tensors(tmp_path / "t")
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        assert_array_equal(back[name], array)


def test_what_could_not_be_read_again_is_refused_when_writing() -> None:
    with pytest.raises(BundleError, match="'z' holds complex128"):
        tensor_bytes({"z": np.zeros(2, np.complex128)})


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 7, b"\xff" * 64, b"\x02" + b"\0" * 7 + b"[]"]
)
def test_a_file_that_is_no_tensors_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(BundleError, match="not a whole safetensors file"):
        read_tensors(tmp_path / "t")


# damage


def files_of(bundle: Path) -> list[Path]:
    return sorted(one for one in bundle.rglob("*") if one.is_file())


def test_a_flipped_byte_in_any_file_is_noticed(
    shelf: Callable[[str], Path], tmp_path: Path
) -> None:
    kind = "everything" if _has_torch() else "ease, biases"
    bundle = Path(shutil.copytree(shelf(kind), tmp_path / "b"))
    rec = load(bundle)
    files = files_of(bundle)
    assert len(files) >= 11
    for file in files:
        whole = file.read_bytes()
        for place in (0, len(whole) // 2, len(whole) - 1):
            for flip in (0x01, 0x20, 0xFF):
                file.write_bytes(
                    whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :]
                )
                # of CURRENT, a flip may also name another version or digest: the manifest then
                names = "CURRENT|manifest" if file.name == "CURRENT" else file.name
                for check in (load, verify):
                    with pytest.raises(BundleError, match=names):
                        check(bundle)
        file.write_bytes(whole)
    assert_same_answers(load(bundle), rec)


def _has_torch() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.__version__)


def test_a_truncated_or_missing_file_is_named(bundle: Path) -> None:
    for file in files_of(bundle):
        whole = file.read_bytes()
        for size in (0, 1, len(whole) - 2):
            file.write_bytes(whole[:size])
            with pytest.raises(BundleError, match=file.name):
                load(bundle)
        file.unlink()
        with pytest.raises(BundleError, match=file.name):
            load(bundle)
        file.write_bytes(whole)
    verify(bundle)


def test_an_appended_byte_is_noticed(bundle: Path) -> None:
    for file in files_of(bundle):
        whole = file.read_bytes()
        file.write_bytes(whole + b"x")
        with pytest.raises(
            BundleError, match="CURRENT" if file.name == "CURRENT" else file.name
        ):
            load(bundle)
        file.write_bytes(whole)


def test_a_file_that_was_not_published_is_found_by_verify(bundle: Path) -> None:
    stranger = bundle / "versions" / "0001" / "rank" / "notes.txt"
    stranger.write_text("hello")
    load(bundle)
    with pytest.raises(BundleError, match=r"notes\.txt is not in the manifest.*Remove it"):
        verify(bundle)


def rewrite(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest as another program might, digest and all."""
    file = bundle / "versions" / "0001" / "manifest.json"
    manifest = json.loads(file.read_bytes())
    change(manifest)
    content = json.dumps(manifest).encode()
    file.write_bytes(content)
    (bundle / "CURRENT").write_text(f"0001 {hashlib.sha256(content).hexdigest()}\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, r"manifest\.json has format 2; this version reads up to 1\. Upgrade"),
        ({"format": "x"}, r"manifest\.json is no manifest"),
        ({"retrieve": ["magic"]}, r"holds a 'magic'.*does not know.*Upgrade shortlist"),
        ({"rank": "magic"}, r"holds a 'magic'"),
        ({"fallback": "magic"}, r"holds a 'magic'"),
        (
            {"rules": [{"kind": "magic", "settings": {}}]},
            r"cannot be read.*unknown rule 'magic'",
        ),
        ({"rules": [{"kind": "where", "settings": {"x": 1}}]}, r"cannot be read although"),
        ({"rank": "rating"}, r"cannot be read although"),
        ({"files": {"../../x": {"bytes": 1, "sha256": ""}}}, r"outside the bundle"),
    ],
    ids=str,
)
def test_a_manifest_of_another_program_is_a_readable_error(
    bundle: Path, change: dict[str, Any], message: str
) -> None:
    rewrite(bundle, lambda manifest: manifest.update(change))
    with pytest.raises(BundleError, match=message):
        load(bundle)


def test_a_manifest_without_a_key_is_a_readable_error(bundle: Path) -> None:
    for key in list(json.loads((bundle / "versions/0001/manifest.json").read_bytes())):
        if key in {"created", "versions", "lineage", "watermark", "events_through"}:
            continue
        whole = tree(bundle)
        rewrite(bundle, lambda manifest, key=key: manifest.pop(key))  # type: ignore[misc]
        with pytest.raises(BundleError, match=key):
            load(bundle)
        for name in ("CURRENT", "versions/0001/manifest.json"):
            (bundle / name).write_bytes(whole[name] or b"")


@pytest.mark.parametrize("open_it", [load, verify])
def test_what_is_no_bundle_says_so(open_it: Callable[[Path], object], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    for path in (tmp_path, tmp_path / "file", tmp_path / "nowhere"):
        with pytest.raises(BundleError, match="is no bundle"):
            open_it(path)


# writing


def test_somebody_elses_folder_or_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("hello")
    (tmp_path / "database").mkdir()  # some databases have a CURRENT as well
    (tmp_path / "database" / "CURRENT").write_text("MANIFEST-000001\n")
    before = tree(tmp_path)
    for name in ("file", "folder", "database"):
        with pytest.raises(BundleError, match="is there and is no bundle"):
            fitted("popular").save(tmp_path / name)
    with pytest.raises(BundleError, match="cannot write the bundle"):
        fitted("popular").save(tmp_path / "file" / "below")
    assert tree(tmp_path) == before


def test_an_empty_folder_is_fine_and_so_is_the_rest_of_a_killed_run(tmp_path: Path) -> None:
    (tmp_path / "versions" / ".draft-1").mkdir(parents=True)
    fitted("popular").save(tmp_path)
    (tmp_path / "empty").mkdir()
    fitted("popular").save(tmp_path / "empty")
    assert load(tmp_path).name == load(tmp_path / "empty").name == "popularity"


def test_a_damaged_bundle_can_be_saved_again(bundle: Path) -> None:
    (bundle / "CURRENT").write_bytes(b"\xff")
    fitted("popular").save(bundle)
    assert load(bundle).name == "popularity"


def test_the_unfitted_and_the_unknown_are_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    class Mine(Popularity):
        name: ClassVar[str] = "mine"

    class Subtle(Popularity):
        pass

    unknown: list[Any] = [Mine(), Subtle()]

    class Odd:
        kind: ClassVar[str] = "odd"

        def mask(self, snapshot: object) -> None:
            del snapshot

        def to_json(self) -> dict[str, Any]:
            return {}

    with pytest.raises(NotReadyError):
        Recommender(EASE()).save(tmp_path / "b")
    for part in unknown:
        rec = Recommender(part).fit(checkerboard()[0])
        with pytest.raises(BundleError, match=rf"cannot hold {type(part).__name__}"):
            rec.save(tmp_path / "b")
    with pytest.raises(ConfigError, match="unknown rule 'odd'"):
        Recommender(EASE(), rules=(Odd(),)).fit(checkerboard()[0]).save(tmp_path / "b")
    odd = Recommender(Popularity()).fit(checkerboard()[0])
    odd.metrics = {"what": object()}
    with pytest.raises(BundleError, match="neither text nor numbers"):
        odd.save(tmp_path / "b")
    assert not any(tmp_path.iterdir())


class FailsAt:
    """Every call that changes the disk counts; the n-th fails."""

    def __init__(self, patch: pytest.MonkeyPatch, n: int, error: OSError) -> None:
        self.left, self.error = n, error
        for name in ("mkdir", "fsync", "rename", "replace"):
            patch.setattr(os, name, self.counted(getattr(os, name)))
        whole = Path.open
        counted = self.counted(whole)

        def opened(file: Path, mode: str = "r", **how: Any) -> Any:
            return (counted if "w" in mode else whole)(file, mode, **how)

        patch.setattr(Path, "open", opened)

    def counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise self.error
            return call(*args, **kwargs)

        return counting


def _message_of_saving(path: Path) -> str | None:
    try:
        fitted("popular").save(path)
    except BundleError as error:
        return str(error)
    return None  # only the very last flush may fail: the version is there already


def fail_everywhere(path: Path, error: OSError, check: Callable[[], None]) -> None:
    for n in range(1, 200):
        with pytest.MonkeyPatch.context() as patch:
            FailsAt(patch, n, error)
            message = _message_of_saving(path)
        if message is None:
            assert n > 20  # users, items, columns, histories, two parts, manifest, pointer
            return
        assert str(error) in message
        assert "Nothing was left behind" in message
        check()
    pytest.fail("saving never succeeded")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_full_or_read_only_disk_leaves_the_previous_version(bundle: Path, code: int) -> None:
    before = tree(bundle)

    def check() -> None:
        assert tree(bundle) == before

    fail_everywhere(bundle, OSError(code, os.strerror(code)), check)
    assert load(bundle).name == "popularity"
    shutil.rmtree(bundle / "versions" / "0002")
    (bundle / "CURRENT").write_bytes(before["CURRENT"] or b"")
    assert_same_answers(load(bundle), fitted("ease, biases"))


def test_a_failed_first_save_leaves_no_folder_and_no_parents(tmp_path: Path) -> None:
    def check() -> None:
        assert not any(tmp_path.iterdir())

    fail_everywhere(
        tmp_path / "2024" / "movies.bundle",
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        check,
    )


def test_half_a_file_is_taken_away(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(file: Path, content: bytes) -> dict[str, Any]:
        file.write_bytes(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    before = tree(bundle)
    monkeypatch.setattr(publishing, "write_file", half)
    with pytest.raises(BundleError, match="No space left on device"):
        fitted("popular").save(bundle)
    assert tree(bundle) == before


def test_an_interrupted_save_cleans_up(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(file: Path, content: bytes) -> dict[str, Any]:
        file.write_bytes(content)
        raise KeyboardInterrupt

    before = tree(bundle)
    monkeypatch.setattr(publishing, "write_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fitted("popular").save(bundle)
    assert tree(bundle) == before


def test_what_others_put_there_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new" / "movies.bundle"

    def meanwhile(file: Path, content: bytes) -> dict[str, Any]:
        (tmp_path / "new" / "theirs.txt").write_text("hello")
        raise OSError(errno.ENOSPC, f"{file.name}: {len(content)}")

    monkeypatch.setattr(publishing, "write_file", meanwhile)
    with pytest.raises(BundleError):
        fitted("popular").save(path)
    assert tree(tmp_path) == {"new": None, "new/theirs.txt": b"hello"}


# safety


def test_nothing_is_unpickled(
    shelf: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_args: object, **_kwargs: object) -> None:
        pytest.fail("a pickle was read")

    for name in ("pickle.load", "pickle.loads", "pickle.Unpickler", "numpy.load"):
        monkeypatch.setattr(name, never)
    load(shelf("ease, biases")).recommend(user="u1")
    verify(shelf("ease, biases"))


OPENED_WITHOUT_TORCH = """
import sys
for name in ("torch", "onnx", "onnxscript"):
    sys.modules[name] = None                        # importing it fails
import shortlist as sl
def ask():
    rec = sl.load(sys.argv[1])
    table = rec.recommend(users=["u1", "nobody"], k=5)
    rec.recommend(history=["i0", "i1"])
    rec.similar("i1"), rec.audience("i1"), rec.predict("u1"), sl.verify(sys.argv[1])
    return table
ask()                                               # imports are done now
forbidden = {"exec", "compile", "import", "pickle.find_class", "marshal.loads", "os.system",
             "subprocess.Popen", "socket.connect", "ctypes.dlopen", "os.remove", "os.rename", "os.mkdir"}
events = []
def watch(event, args):
    if event in forbidden or (event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")):
        events.append((event, str(args)[:200]))
sys.addaudithook(watch)
table = ask()
seen = [one for one in events if one[0] != "import"]
assert not seen, seen
print(table.write_json())
"""


def test_opening_runs_no_code_writes_nothing_and_needs_no_torch(
    shelf: Callable[[str], Path],
) -> None:
    pytest.importorskip("torch")
    path = shelf("everything")
    run = subprocess.run(
        [sys.executable, "-c", OPENED_WITHOUT_TORCH, str(path)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(shortlist.__file__).parents[1])},
    )
    assert run.returncode == 0, run.stderr
    here = fitted("everything").recommend(users=["u1", "nobody"], k=5)
    there = json.loads(run.stdout)
    assert [row["item_id"] for row in there] == here["item_id"].to_list()
    assert [row["source"] for row in there] == here["source"].to_list()
    assert_array_equal(
        np.array([row["score"] for row in there], np.float32), here["score"].to_numpy()
    )


def test_two_versions_of_one_bundle_answer_side_by_side(bundle: Path) -> None:
    before = load(bundle)
    first = before.recommend(user="u1")
    changed = replace(small_world(), positive="rating >= 5")
    Recommender(EASE(l2=1.0)).fit(changed).save(bundle)
    assert before.recommend(user="u1").equals(
        first
    )  # an open bundle is not changed under readers
    assert not load(bundle).recommend(user="u1").equals(first)
