"""``check``, ``evaluate`` and ``compare``."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import shortlist as sl

Run = Callable[..., tuple[int, str, str]]


def test_check_lists_findings_and_what_to_do(run: Run, folder: Path) -> None:
    code, said, _ = run("check", folder / "train.csv", "--items", folder / "movies.csv")
    assert code == 0
    assert "58 users" in said
    assert '-> To learn from liked rows only, pass --positive "rating >= 4"' in said
    code, said, _ = run("check", folder / "train.csv", "--json")
    told = json.loads(said)
    assert code == 0
    assert told["users"] == 58
    assert told["findings"]


def test_check_counts_bad_rows_and_exits_0(run: Run, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("user,item,rating\n1,2,3\n1,3,nan\n2,2,5\n")
    code, said, _ = run("check", tmp_path / "t.csv")
    assert code == 0
    assert "NaN" in said
    assert "--on-bad-rows quarantine" in said


def test_check_knows_the_bundled_data(run: Run) -> None:
    code, said, _ = run("check", "movielens")
    assert code == 0
    assert "100,004 rows" in said


@pytest.mark.parametrize("k", [["-k", 5, "-k", 20], ["--k", "5,20"]])
def test_evaluate_shows_raw_and_unseen(
    run: Run, bundle: Path, folder: Path, k: list[object]
) -> None:
    code, said, _ = run("evaluate", bundle, "--test", folder / "test.csv", *k, "--json")
    assert code == 0
    told = json.loads(said)
    rec = sl.load(bundle)
    test = sl.read(folder / "test.csv")
    for name, kept in (("unseen", False), ("raw", True)):
        want = sl.evaluate(rec, test, k=(5, 20), keep_seen=kept, baselines=True).reports[0]
        for at in ("5", "20"):
            assert told["row_accuracy"][name][at] == want[f"row_accuracy@{at}"].value
    assert [line["name"] for line in told["lines"]] == ["ease > bias", "popularity", "ease"]


def test_evaluate_for_people(run: Run, bundle: Path, folder: Path) -> None:
    code, said, err = run("evaluate", bundle, "--test", folder / "test.csv")
    assert code == 0
    for words in ("unseen: seen items left out", "raw: seen items kept", "popularity", "rmse"):
        assert words in said
    assert "judging" in err


def test_compare_trains_several_and_adds_the_simple_ones(run: Run, folder: Path) -> None:
    code, said, _ = run(
        *("compare", "--train", folder / "train.csv", "--test", folder / "test.csv"),
        *("--retrieve", "ease", "--retrieve", "ease,popularity", "--json"),
    )
    assert code == 0
    told = json.loads(said)
    names = [line["name"] for line in told["lines"]]
    assert names == ["ease", "ease+popularity", "popularity"]
    rec = sl.Recommender([sl.retrieval.EASE(), sl.retrieval.Popularity()])
    rec.fit(sl.read(folder / "train.csv"))
    want = sl.evaluate(rec, sl.read(folder / "test.csv")).lines[0].estimate.value
    assert told["lines"][1]["estimate"]["value"] == pytest.approx(want, abs=1e-12)


def test_compare_with_a_second_stage(run: Run, folder: Path) -> None:
    code, said, _ = run(
        *("compare", "--train", folder / "train.csv", "--test", folder / "test.csv"),
        *("--retrieve", "ease", "--rank", "bias"),
    )
    assert code == 0
    assert "ease > bias" in said
    assert "rows@100" in said


def test_compare_bundles_of_one_name(run: Run, bundle: Path, folder: Path) -> None:
    code, said, _ = run("compare", bundle, bundle, "--test", folder / "test.csv", "--json")
    assert code == 0
    names = [line["name"] for line in json.loads(said)["lines"]]
    assert names == [
        "ease > bias (small.bundle)",
        "ease > bias (small.bundle 2)",
        "popularity",
        "ease",
    ]


def test_the_gate_says_worse_by_its_exit_code(
    run: Run, bundle: Path, folder: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain.bundle"
    data = sl.read(folder / "train.csv", items=folder / "movies.csv")
    old = sl.rules.Where("year < 1970")  # that nobody wants only
    sl.Recommender(sl.retrieval.Popularity(), rules=[sl.rules.Seen(), old]).fit(data).save(
        plain
    )
    test = ["--test", folder / "test.csv", "--k", 10]
    code, out, _ = run("evaluate", plain, *test, "--against", bundle, "--fail-if-worse")
    assert code == 1, out
    assert "is worse than" in " ".join(out.split())
    code, out, _ = run("evaluate", plain, *test, "--against", bundle, "--json")
    assert code == 0
    told = json.loads(out)
    assert told["worse"] is True
    assert told["verdict"].startswith(f"{plain} is worse than {bundle}: ndcg@10 -")
    code, _, _ = run("evaluate", bundle, *test, "--against", plain, "--fail-if-worse")
    assert code == 0
    code, _, err = run("evaluate", bundle, *test, "--fail-if-worse")
    assert code == 2
    assert "go with --against" in err
