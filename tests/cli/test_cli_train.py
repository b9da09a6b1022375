"""``shortlist train``: what it prints, keeps and refits."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import shortlist as sl
from shortlist.cli import train
from shortlist.metrics.intervals import Difference

Run = Callable[..., tuple[int, str, str]]


def test_prints_the_holdout_what_leaks_and_the_simple_models(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "b"
    code, said, err = run("train", "--train", folder / "train.csv", "--out", out)
    assert code == 0
    assert "Holdout: latest" in said
    assert "What leaks: Train holds rows of other users" in said
    assert "ease" in said
    assert "popularity" in said
    assert "rows@100" in said
    assert f"shortlist recommend {out}" in said
    assert "fitting ease" in err  # progress is on stderr


def test_everything_is_refitted_on_all_rows_and_the_holdout_is_kept(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    code, said, _ = run(
        "train", "--train", folder / "train.csv", "--out", tmp_path / "b", "--json"
    )
    told = json.loads(said)
    assert code == 0
    data = sl.read(folder / "train.csv")
    rec = sl.load(tmp_path / "b")
    assert told["rows"] == len(data) == len(rec.snapshot.histories.item_rows)
    assert rec.metrics["holdout"]["name"] == told["holdout"]["name"] == "latest"
    held = sl.split.holdout(data)
    assert told["holdout"]["rows"] == len(held.test)
    direct = sl.compare([sl.Recommender(sl.retrieval.EASE()).fit(held.train)], held.test)
    assert told["holdout"]["comparison"]["lines"][0]["estimate"]["value"] == pytest.approx(
        direct.lines[0].estimate.value, abs=1e-12
    )
    refitted = sl.Recommender(sl.retrieval.EASE()).fit(data)
    users = data.user_vocabulary.ids
    assert (rec.top(users, 10).rows == refitted.top(users, 10).rows).all()


def test_a_validation_file_chooses(run: Run, folder: Path, tmp_path: Path) -> None:
    code, said, _ = run(
        *("train", "--train", folder / "train.csv", "--validation", folder / "test.csv"),
        *("--retrieve", "ease,popularity", "--out", tmp_path / "b", "--json"),
    )
    assert code == 0
    told = json.loads(said)
    assert told["name"] == "ease+popularity"
    assert told["holdout"]["name"] == "validation file"
    assert told["rows"] == len(sl.read(folder / "train.csv"))
    names = [line["name"] for line in told["holdout"]["comparison"]["lines"]]
    assert names == [
        "ease+popularity",
        "ease",
        "popularity",
    ]  # each part alone beside the whole


@pytest.mark.parametrize("holdout", ["latest", "time", "last-out", "random"])
def test_every_holdout_is_named(run: Run, folder: Path, tmp_path: Path, holdout: str) -> None:
    code, said, _ = run(
        *("train", "--train", folder / "train.csv", "--holdout", holdout),
        *("--retrieve", "popularity", "--out", tmp_path / "b"),
    )
    assert code == 0
    assert f"Holdout: {holdout}" in said


def test_without_times_the_holdout_is_random_and_the_leak_is_told(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    table = sl.read(folder / "train.csv").table.drop("timestamp")
    table.write_csv(tmp_path / "t.csv")
    code, said, err = run("train", "--train", tmp_path / "t.csv", "--out", tmp_path / "b")
    assert code == 0
    assert "Holdout: random" in said
    assert "note: a random split leaks" in err


def test_a_ranker_that_makes_the_list_worse_predicts_only(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    code, said, _ = run(
        *("train", "--train", folder / "train.csv", "--rank", "bias"),
        *("--validation", folder / "test.csv", "--out", tmp_path / "b"),
    )
    assert code == 0
    assert "ease > bias" in said  # as it was judged
    assert "The ranker predicts ratings; lists keep the retrievers' order, which was" in said
    assert "better by ndcg@10 ." in said
    rec = sl.load(tmp_path / "b")
    assert not rec.rank_lists
    kept = rec.metrics["holdout"]
    assert kept["rank_lists"] is False
    alone = sl.Recommender(sl.retrieval.EASE()).fit(sl.read(folder / "train.csv"))
    users = rec.snapshot.user_vocabulary.ids
    assert (rec.top(users, 10).rows == alone.top(users, 10).rows).all()
    code, said, _ = run("predict", tmp_path / "b", "--user", 1, "--json")
    assert code == 0
    assert len(json.loads(said)["predictions"]) == 10


def test_a_list_model_by_name_and_by_trial(run: Run, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("lightgbm")
    given = ("train", "--train", folder / "train.csv", "--validation", folder / "test.csv")
    code, said, err = run(*given, "--rank", "boosted", "--out", tmp_path / "b")
    assert code == 0, err
    assert "ease > boosted" in said
    code, said, _ = run("recommend", tmp_path / "b", "--user", 4, "--k", 2, "--explain")
    assert code == 0
    assert "because" in said
    assert "'feature'" not in said
    trained = sl.load(tmp_path / "b")
    assert isinstance(trained.rank, sl.ranking.Boosted)
    assert ("ranked_by" in said) is trained.rank_lists  # on so few rows it may but predict
    code, said, _ = run("predict", tmp_path / "b", "--user", 1, "--json")
    assert len(json.loads(said)["predictions"]) == 10
    code, _, err = run("predict", tmp_path / "b", "--pairs", folder / "test.csv")
    assert code == 2
    assert "no ratings: ask with --user" in " ".join(err.split())
    code, said, err = run(*given, "--rank", "auto", "--out", tmp_path / "c")
    assert code == 0, err
    assert "trying boosted behind ease" in err
    tried = sl.load(tmp_path / "c").metrics["holdout"]["second_stage"]
    assert [one["ranker"] for one in tried["tried"]] == ["none", "bias", "boosted"]
    kept = sl.load(tmp_path / "c").rank
    assert tried["kept"] == ("none" if kept is None else kept.name)
    assert " ".join(tried["why"].split())[1:60] in " ".join(said.split())


def test_a_ranker_that_is_not_worse_orders_the_lists() -> None:
    data = sl.Interactions(
        pl.DataFrame({"user_id": [1, 1, 2], "item_id": [1, 2, 2], "rating": [5, 4, 3]})
    )
    rec = sl.Recommender(sl.retrieval.Popularity(), sl.ranking.Biases()).fit(data)
    for gap in (
        None,
        Difference(-0.1, -0.2, 0.1, 0.3, 9),
        Difference(0.2, 0.1, 0.3, 0.01, 9),
    ):
        assert train.to_keep(rec, None, gap) is rec
    worse = Difference(-0.2, -0.3, -0.1, 0.01, 9)
    for rows in (None, data):
        kept = train.to_keep(rec, rows, worse)
        assert not kept.rank_lists
        assert kept.predict(1)["prediction"].equals(rec.predict(1)["prediction"])


def test_repeat_purchases(run: Run, tmp_path: Path) -> None:
    # each user buys the same four things again and again; what they had is what they take next
    lines = ["user,item,seq"] + [
        f"{u},{(u + i % 4) % 20},{i}" for u in range(40) for i in range(20)
    ]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    code, said, _ = run("check", tmp_path / "t.csv")
    assert code == 0
    assert "rows are repeats" in said
    assert "train --keep-seen" in said
    best = {}
    for name, flags in (("seen", ["--keep-seen"]), ("unseen", [])):
        out = tmp_path / name
        code, said, _ = run("train", "--train", tmp_path / "t.csv", "--out", out, *flags)
        assert code == 0
        assert (", seen items kept" in said) == bool(flags)
        rec = sl.load(out)
        assert bool(rec.rules) != bool(flags)
        kept = rec.metrics["holdout"]
        assert kept["keep_seen"] == bool(flags)
        best[name] = kept["comparison"]["lines"][0]["estimate"]["value"]
    assert best["seen"] > 0.5  # the two held back are among the four
    assert best["unseen"] == 0
    code, said, _ = run("recommend", tmp_path / "seen", "--user", 0, "-k", 4, "--json")
    assert {row["item_id"] for row in json.loads(said)["recommendations"]} == {0, 1, 2, 3}
    # judged as it answers, and beside that without what they had
    ask = ("evaluate", tmp_path / "seen", "--test", tmp_path / "t.csv", "-k", 4, "--json")
    told = json.loads(run(*ask)[1])
    assert told["row_accuracy"] == {"unseen": {"4": 0.0}, "raw": {"4": 1.0}}


def test_columns_positive_and_quarantine(run: Run, tmp_path: Path) -> None:
    lines = ["who,what,stars"] + [
        f"{u},{i},{1 + (u + i) % 5}" for u in range(30) for i in range(9)
    ]
    (tmp_path / "t.csv").write_text("\n".join([*lines, "1,2,nan"]) + "\n")
    code, said, err = run(
        *("train", "--train", tmp_path / "t.csv", "--out", tmp_path / "b"),
        *("--column", "user_id=who", "--column", "item_id=what", "--positive", "rating >= 3"),
        *("--on-bad-rows", "quarantine"),
    )
    assert code == 0, err
    assert "271 rows = 270 kept + 1 in quarantine" in err
    assert (tmp_path / "t.csv.quarantine.csv").exists()
    assert sl.load(tmp_path / "b").snapshot.positive == "rating >= 3"
    assert "270 rows" in said


def test_two_towers_stop_when_the_holdout_says(run: Run, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    code, said, _ = run(
        *("train", "--train", folder / "train.csv", "--items", folder / "movies.csv"),
        *("--retrieve", "two-tower", "--rank", "rating", "--out", tmp_path / "b"),
    )
    assert code == 0
    assert "also chose when to stop (two-tower epoch" in said
    assert "Predicted ratings: RMSE" in said
    kept = sl.load(tmp_path / "b").metrics["holdout"]
    chosen = kept["epochs"]["two-tower"]["chosen"]
    rec = sl.load(tmp_path / "b")
    towers = rec.retrievers[0]
    assert isinstance(towers, sl.retrieval.TwoTower)
    assert towers.settled().epochs == chosen  # refitted for so many epochs


def test_a_second_run_is_a_second_version(run: Run, folder: Path, tmp_path: Path) -> None:
    for version in ("0001", "0002"):
        code, said, _ = run(
            *("train", "--train", folder / "train.csv", "--retrieve", "popularity"),
            *("--out", tmp_path / "b", "--json"),
        )
        assert code == 0
        assert json.loads(said)["version"] == version
