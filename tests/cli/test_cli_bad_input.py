"""What cannot be done: exit code 2, one message that says what and what to do, nothing left behind."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

import shortlist as sl
from shortlist.cli.files import check_out_folder
from shortlist.cli.main import app, main
from shortlist.errors import BundleError

Run = Callable[..., tuple[int, str, str]]

ROWS = [
    (u, i, 1 + (u + i) % 5, 1_000_000_000 + 100 * u + i) for u in range(30) for i in range(9)
]
HEAD = "user_id,item_id,rating,timestamp"


def csv(rows: Sequence[tuple[object, ...]], head: str = HEAD) -> str:
    return "\n".join([head, *(",".join(map(str, row)) for row in rows)]) + "\n"


def check_refused(answer: tuple[int, str, str], *words: str) -> None:
    code, out, err = answer
    assert code == 2, err
    assert not out
    error = err[err.index("error: ") :]
    assert len(error.splitlines()) == 1
    for word in words:
        assert word in error


BAD_TABLES = {
    "a missing column": (csv(ROWS, "user_id,stuff,rating,timestamp"), ("item_id", "--column")),
    "a wrong type": (csv([*ROWS, (1, 2, "good", 5)]), ("rating", "row 270", "quarantine")),
    "an empty table": (HEAD + "\n", ("no rows",)),
    "an empty file": ("", ("is empty",)),
    "all rows duplicates": (csv([ROWS[0]] * 40), ("duplicates", "40")),
    "a NaN rating": (csv([*ROWS, (1, 2, "nan", 5)]), ("NaN", "row 270", "--on-bad-rows")),
    "a future time": (csv([*ROWS, (1, 2, 3, 95_000_000_000)]), ("future", "Check the unit")),
    "mixed units": (csv([*ROWS, (1, 2, 3, 1_000_000_000_000)]), ("timestamp",)),
    "no header": (csv(ROWS, "1,2,3,4"), ("header",)),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_table_that_cannot_be_used(run: Run, tmp_path: Path, name: str) -> None:
    text, words = BAD_TABLES[name]
    (tmp_path / "t.csv").write_text(text)
    out = tmp_path / "b"
    check_refused(run("train", "--train", tmp_path / "t.csv", "--out", out), "t.csv", *words)
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]


def test_a_file_that_is_not_utf8_or_not_there(run: Run, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(csv(ROWS).encode() + "1,Amélie,3,5\n".encode("latin1"))
    given = ("--out", tmp_path / "b")
    check_refused(run("train", "--train", tmp_path / "t.csv", *given), "UTF-8", "line 272")
    check_refused(run("train", "--train", tmp_path / "u.csv", *given), "u.csv is not there")
    check_refused(run("check", tmp_path / "u.csv"), "u.csv is not there")
    (tmp_path / "ids.txt").write_bytes(b"\xff\xe9\n")


@pytest.mark.parametrize("k", [0, -3])
def test_k_below_one(run: Run, bundle: Path, folder: Path, k: int) -> None:
    for ask in (
        ("recommend", bundle, "--user", 1, "--k", k),
        ("similar", bundle, 1, "--k", k),
        ("audience", bundle, 1, "--k", k),
        ("predict", bundle, "--user", 1, "--k", k),
        ("evaluate", bundle, "--test", folder / "test.csv", "--k", k),
    ):
        check_refused(run(*ask), "at least 1", str(k))


@pytest.mark.parametrize("k", ["abc", "1.5", "10,abc"])
def test_k_that_is_no_number(run: Run, bundle: Path, folder: Path, k: str) -> None:
    for ask in (
        ("recommend", bundle, "--user", 1, "-k", k),
        ("similar", bundle, 1, "-k", k),
        ("evaluate", bundle, "--test", folder / "test.csv", "-k", k),
    ):
        check_refused(run(*ask), "k must be", "whole number", "such as 10", f"got '{k}'")


def test_k_above_the_catalogue_gives_what_there_is(run: Run, bundle: Path) -> None:
    for ask in (
        ("recommend", bundle, "--user", 1),
        ("similar", bundle, 1),
        ("audience", bundle, 1),
    ):
        code, out, _ = run(*ask, "--k", 10**12, "--json")
        assert code == 0
        assert '"rank": 30' in out


def test_words_that_mean_nothing(run: Run, bundle: Path, folder: Path, tmp_path: Path) -> None:
    train = ("train", "--train", folder / "train.csv", "--out", tmp_path / "b")
    check_refused(run(*train, "--retrieve", "two-towers"), "Did you mean 'two-tower'")
    check_refused(
        run(*train, "--rank", "stars"), "choose among rating, bias, factorisation, stack"
    )
    check_refused(run(*train, "--holdout", "latest-"), "Did you mean 'latest'")
    check_refused(run(*train, "--column", "user_id"), "OURS=THEIRS")
    check_refused(run(*train, "--positive", "stars >= 4"), "stars")
    check_refused(run(*train, "--on-bad-rows", "drop"), "quarantine")
    both = ("--validation", folder / "test.csv", "--holdout", "time")
    check_refused(run(*train, *both), "not both")
    where = ("recommend", bundle, "--user", 1, "--where")
    check_refused(run(*where, "years >= 1990"), "'years'", "Did you mean 'year'")
    check_refused(run(*where, "year >="), "year")
    check_refused(run("recommend", bundle), "--user", "--all-users")
    check_refused(run("predict", bundle), "--pairs")
    check_refused(run("compare", "--test", folder / "test.csv"), "--train")
    check_refused(run("evaluate", bundle, "--test", folder / "test.csv", "--k", "ten"), "'ten'")
    check_refused(
        run("similar", bundle, "Toy Storey (1995)"), "Did you mean 'Toy Story (1995)'"
    )
    assert not any(tmp_path.iterdir())


def test_a_title_that_names_two_films(run: Run, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(csv(ROWS))
    films = [(i, "Hamlet (1996)" if i in {3, 5} else f"Film {i}") for i in range(9)]
    (tmp_path / "m.csv").write_text(csv(films, "item_id,title"))
    given = ("--train", tmp_path / "t.csv", "--items", tmp_path / "m.csv")
    assert run("train", *given, "--out", tmp_path / "b")[0] == 0
    for command in ("similar", "audience"):
        check_refused(run(command, tmp_path / "b", "Hamlet (1996)"), "2 items", "[3, 5]")
    check_refused(run("recommend", tmp_path / "b", "--history", "Hamlet (1996)"), "[3, 5]")


def test_predict_needs_a_ranker_and_good_pairs(
    run: Run, bundle: Path, folder: Path, tmp_path: Path
) -> None:
    given = (
        "--train",
        folder / "train.csv",
        "--retrieve",
        "popularity",
        "--out",
        tmp_path / "b",
    )
    assert run("train", *given)[0] == 0
    check_refused(run("predict", tmp_path / "b", "--user", 1), "no ranker", "--rank rating")
    (tmp_path / "p.csv").write_text("user_id,thing\n1,2\n")
    check_refused(run("predict", bundle, "--pairs", tmp_path / "p.csv"), "item_id", "--column")


def test_columns_named_in_vain(run: Run, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("user,film\n1,2\n")
    (tmp_path / "t.csv").write_text(csv(ROWS, "Kunde,film,rating,timestamp"))
    (tmp_path / "ids.txt").write_text("1\n2\n")
    out = ("--out", tmp_path / "b")
    pairs, table = tmp_path / "p.csv", tmp_path / "t.csv"
    for ask in (
        ("predict", bundle, "--pairs", pairs, "--column", "item_id=filmm"),
        ("recommend", bundle, "--users", pairs, "--column", "item_id=filmm"),
        ("check", pairs, "--column", "item_id=filmm"),
        ("train", "--train", pairs, "--column", "item_id=filmm", *out),
    ):
        answer = run(*ask)
        check_refused(answer, "--column names 'filmm' as the item_id", "Did you mean 'film'?")
    answer = run("train", "--train", table, "--column", "user_id=Kund", *out)
    check_refused(answer, "--column names 'Kund' as the user_id", "Did you mean 'Kunde'?")
    answer = run(
        "recommend", bundle, "--users", tmp_path / "ids.txt", "--column", "user_id=user"
    )
    check_refused(answer, "one id a line", "leave --column out")


def test_what_training_needs_is_looked_for_first(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text(csv([(u, i) for u, i, _, _ in ROWS], "user_id,item_id"))
    (tmp_path / "r.csv").write_text(csv(ROWS))
    plain = ("train", "--train", tmp_path / "t.csv", "--out", tmp_path / "b")
    rated = ("train", "--train", tmp_path / "r.csv", "--out", tmp_path / "b")
    compare = ("compare", "--train", tmp_path / "t.csv", "--test", tmp_path / "t.csv")
    for ask, words in (
        ((*plain, "--rank", "bias"), ("--rank bias", "t.csv has no column rating")),
        ((*compare, "--rank", "bias"), ("--rank bias", "t.csv has no column rating")),
        (
            (*rated, "--rank", "bias", "--validation", tmp_path / "t.csv"),
            ("--rank bias", "t.csv has no column rating"),
        ),
        (
            (*rated, "--positive", "rating >= 6"),
            ("--positive 'rating >= 6' marks none of the 270 rows", "run from 1 to 5"),
        ),
    ):
        answer = run(*ask)
        check_refused(answer, *words)
        assert "fitting" not in answer[2]
    assert not (tmp_path / "b").exists()


def test_a_where_on_a_list_says_in(run: Run, bundle: Path) -> None:
    answer = run("recommend", bundle, "--user", 1, "--where", "genres == 'Comedy'")
    check_refused(answer, "write 'Comedy' in genres")


def test_lists_of_users_that_are_none(run: Run, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "latin.txt").write_bytes(b"\xff\xe9\n")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    ask = ("recommend", bundle, "--users")
    check_refused(run(*ask, tmp_path / "none.txt"), "is not there")
    check_refused(run(*ask, tmp_path), "is a folder")
    check_refused(run(*ask, tmp_path / "empty.txt"), "names no user")
    check_refused(run(*ask, tmp_path / "latin.txt"), "UTF-8")
    check_refused(run(*ask, tmp_path / "other.csv"), "user_id")


def test_places_that_cannot_be_written_are_refused_before_the_work(
    run: Run, bundle: Path, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    train = ("train", "--train", folder / "train.csv", "--out")
    for out, word in (
        (tmp_path / "file", "is no bundle"),
        (tmp_path / "full", "is no bundle"),
        (tmp_path / "file" / "b", "is a file"),
    ):
        answer = run(*train, out)
        check_refused(answer, word)
        assert "fitting" not in answer[2]
    ask = ("recommend", bundle, "--user", 1, "--out")
    check_refused(run(*ask, tmp_path / "no" / "recs.csv"), "there is no folder")
    check_refused(run(*ask, tmp_path / "recs.xlsx"), ".parquet, .csv")
    check_refused(run(*ask, tmp_path / "full"), "--out")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "full", "mine.txt"]


def test_the_place_of_a_bundle_is_judged_as_saving_judges_it(tmp_path: Path) -> None:
    data = sl.Interactions(pl.DataFrame({"user_id": [1, 1, 2], "item_id": [1, 2, 2]}))
    rec = sl.Recommender(sl.retrieval.Popularity()).fit(data)
    places = {
        "new": ([], []),
        "new/in/new": ([], []),
        "empty": ([""], []),
        "unfinished": (["versions"], []),
        "versions lost": ([""], ["CURRENT"]),
        "noted": (["versions"], ["CURRENT", "README.md"]),
        "other": ([""], ["mine.txt"]),
        "a file": ([], [""]),
        "versions a file": ([""], ["CURRENT", "versions"]),
        "n" * 300: ([], []),
    }
    refused = {"versions lost", "other", "a file", "versions a file", "n" * 300}
    for name, (folders, files) in places.items():
        path = tmp_path / name
        for folder in folders:
            (path / folder).mkdir(parents=True)
        for file in files:
            (path / file).write_text("x")
        before = sorted(tmp_path.rglob("*"))
        if name in refused:
            with pytest.raises((BundleError, OSError)):
                check_out_folder(path)
            with pytest.raises((BundleError, OSError)):
                rec.save(path)
        else:
            check_out_folder(path)
        assert sorted(tmp_path.rglob("*")) == before, name
        if name not in refused:
            rec.save(path)


def test_a_place_where_nothing_can_be_made_is_found_before_training(
    run: Run, folder: Path
) -> None:
    if not Path("/proc/self").exists():
        pytest.skip("a file system that refuses root, too, is needed")
    answer = run("train", "--train", folder / "train.csv", "--out", "/proc/b/c")
    check_refused(answer, "--out /proc/b/c cannot be", "Choose another folder")
    assert "fitting" not in answer[2]


def test_a_read_only_folder(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # tests may run as root, to whom nothing is read-only: the question is answered for them
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and real(path, mode))
    answer = run("train", "--train", folder / "train.csv", "--out", tmp_path / "b")
    check_refused(answer, "cannot be written to", "permissions")
    assert not any(tmp_path.iterdir())


def test_a_full_disk_leaves_nothing_behind(
    run: Run, bundle: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)  # what is not flushed is not published
    answer = run("train", "--train", folder / "train.csv", "--out", tmp_path / "b")
    check_refused(answer, "No space left", "free space")
    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    ask = ("recommend", bundle, "--user", 1, "--out", tmp_path / "recs.parquet")
    check_refused(run(*ask), "No space left", "Free some space")
    assert not any(tmp_path.iterdir())


def test_what_is_no_bundle_or_a_damaged_one(run: Run, folder: Path, tmp_path: Path) -> None:
    for command in (("verify",), ("recommend",), ("similar",)):
        more = ("x",) if command == ("similar",) else ()
        asked = ("--user", 1) if command == ("recommend",) else ()
        check_refused(run(*command, tmp_path / "none", *more, *asked), "is no bundle")
    given = (
        "--train",
        folder / "train.csv",
        "--retrieve",
        "popularity",
        "--out",
        tmp_path / "b",
    )
    assert run("train", *given)[0] == 0
    file = next((tmp_path / "b").rglob("items.parquet"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    check_refused(run("verify", tmp_path / "b"), "items.parquet", "SHA-256")


def test_ctrl_c_is_quiet(run: Run, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sl, "verify", interrupted)
    code, out, err = run("verify", bundle)
    assert (code, out, err) == (130, "", "")


def test_a_defect_of_ours_is_no_traceback_either(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        msg = "oops"
        raise RuntimeError(msg)

    monkeypatch.setattr(sl, "verify", broken)
    assert main(["verify", str(bundle)]) == 1
    err = capsys.readouterr().err
    assert "RuntimeError: oops" in err
    assert "SHORTLIST_TRACEBACK=1" in err


def test_errors_reach_the_shell_as_2(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shortlist", "verify", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert not done.stdout


def test_the_app_itself_answers_the_same_as_main(tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, ["verify", str(tmp_path)])
    assert answer.exit_code == 2
    assert "is no bundle" in answer.output
