"""Tuning: it goes on as if it had not stopped, and keeps what it learned in words."""

import json
from functools import cache
from pathlib import Path

import polars as pl
import pytest

import shortlist as sl
import shortlist.evaluation.judge
from shortlist.data.parts import Parts
from shortlist.errors import ConfigError
from shortlist.selection import tuning
from shortlist.selection.methods import Choice, Span

optuna = pytest.importorskip("optuna")


@cache
def parts() -> Parts:
    data = sl.datasets.movielens()
    popular = data.table["item_id"].value_counts(sort=True)["item_id"][:100]
    few = data.table["user_id"].cast(pl.Int64) <= 60
    kept = few & data.table["item_id"].is_in(popular.implode())
    return sl.split.latest(data.subset(kept.to_numpy()))


def search(study: Path | None = None, *, trials: int = 4, seed: int = 1) -> tuning.Tuned:
    return sl.tune("ease", parts().train, parts().test, trials=trials, study=study, seed=seed)


def test_a_search_that_stopped_goes_on_as_if_it_had_not(tmp_path: Path) -> None:
    file = tmp_path / "ease.study"
    whole = search(trials=10)
    search(file, trials=3)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    again = search(file, trials=10)
    for name in ("trial", "value", "l2"):
        assert again.table[name].to_list() == whole.table[name].to_list()
    assert again.best == whole.best
    for line in file.read_text().splitlines():
        json.loads(line)  # a journal in words, no pickle
    assert search(file, trials=10).table.equals(again.table)  # nothing is left to do


def test_an_interrupted_trial_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, judged = tmp_path / "ease.study", shortlist.evaluation.judge.judge

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    search(file, trials=2)
    monkeypatch.setattr(tuning, "judge", stopped)
    with pytest.raises(KeyboardInterrupt):
        search(file)
    monkeypatch.setattr(tuning, "judge", judged)
    assert search(file).table["l2"].to_list() == search().table["l2"].to_list()


def test_the_defaults_have_the_first_turn_and_the_best_wins() -> None:
    told: list[tuple[int, float]] = []
    tuned = sl.tune(
        *("ease", parts().train, parts().test),
        trials=3,
        progress=lambda done, best: told.append((done, best)),
    )
    assert tuned.table["l2"][0] == sl.retrieval.EASE().l2
    assert tuned.value == tuned.table["value"].max() == told[-1][1]
    assert [done for done, _ in told] == [1, 2, 3]
    assert tuned.words.startswith("--retrieve ease --set l2=")
    rec = sl.Recommender(sl.retrieval.EASE(l2=float(str(tuned.best["l2"])))).fit(parts().train)
    report = sl.evaluate(rec, parts().test, baselines=False).reports[0]
    assert report["ndcg@10"].value == tuned.value


def test_no_time_leaves_one_trial() -> None:
    tuned = sl.tune("ease", parts().train, parts().test, seconds=0)
    assert len(tuned.table) == 1


def test_choices_and_failures_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    space = {"l2": Span(1, 500), "max_gigabytes": Choice((6.0, 1e-9))}
    monkeypatch.setattr(tuning, "METHODS", {"ease": space})
    tuned = search(trials=8)
    failed = tuned.table.filter(pl.col("max_gigabytes") < 1)
    assert 0 < len(failed) < 8
    assert failed["value"].null_count() == len(failed)
    assert failed["remark"].str.contains("needs about").all()
    assert tuned.best["max_gigabytes"] == 6.0
    monkeypatch.setattr(tuning, "METHODS", {"ease": {"l2": Span(-2, -1)}})
    with pytest.raises(ConfigError, match=r"no trial of ease succeeded.*must be positive"):
        search(trials=2)


def test_another_search_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ease.study"
    search(file, trials=1)
    with pytest.raises(ConfigError, match="another seed"):
        search(file, trials=1, seed=2)
    with pytest.raises(ConfigError, match="another metric"):
        sl.tune("ease", parts().train, parts().test, study=file, metric="recall@5", seed=1)
    with pytest.raises(ConfigError, match="another train and another validation"):
        sl.tune("ease", parts().test, parts().train, study=file, seed=1)
    (tmp_path / "mine.csv").write_text("user,item\n1,2\n")
    with pytest.raises(ConfigError, match="cannot be read as a study"):
        search(tmp_path / "mine.csv")


def test_what_cannot_be_asked() -> None:
    for words, message in (
        ({"method": "eas"}, "Did you mean 'ease'"),
        ({"trials": 0}, "trials must be at least 1"),
        ({"metric": "rmse"}, "metric must be one of"),
        ({"metric": "ndcg@x"}, "must name a length"),
    ):
        asked = {"method": "ease", "train": parts().train, "validate": parts().test} | words
        with pytest.raises(ConfigError, match=message):
            sl.tune(**asked)  # type: ignore[arg-type]
