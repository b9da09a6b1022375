"""The exported file answers as the bundle does, asked with ONNX Runtime alone."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import shortlist as sl
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import Ranker, Retriever
from shortlist.errors import ExportError
from shortlist.testing import small_world

pytest.importorskip("onnx")

from shortlist.export import Report, Settings, export
from shortlist.export.loss import insist_on_quality
from shortlist.export.running import File

if TYPE_CHECKING:
    from shortlist.recommender.rules import Rule

MODELS: dict[str, Callable[[], Retriever]] = {
    "popularity": lambda: sl.retrieval.Popularity(),
    "ease": lambda: sl.retrieval.EASE(decay=0.2),
    "next-item": lambda: sl.retrieval.NextItem(),
    "graph-filter": lambda: sl.retrieval.GraphFilter(rank=4),
    "als": lambda: sl.retrieval.ALS(dim=8),
    "neighbours": lambda: sl.retrieval.Neighbours(),
    "content": lambda: sl.retrieval.Content(),
    "blend": lambda: sl.retrieval.Blend(
        [sl.retrieval.EASE(), sl.retrieval.Popularity()], weights=[0.7, 0.3]
    ),
    "blend of ranks": lambda: sl.retrieval.Blend(
        [sl.retrieval.EASE(), sl.retrieval.ALS(dim=4)], by="ranks", weights=[0.7, 0.3]
    ),
}


@pytest.fixture(scope="module")
def train() -> Interactions:
    return small_world()


def saved(rec: sl.Recommender, folder: Path) -> Path:
    rec.save(folder / "a.bundle")
    return folder / "a.bundle"


def written(rec: sl.Recommender, folder: Path, **settings: Any) -> tuple[File, Report]:
    out = folder / "a.onnx"
    report = export(saved(rec, folder), out, settings=Settings(**settings))
    return File(out), report


def ask(
    file: File,
    user: str = "nobody",
    history: list[str] | None = None,
    exclude: list[str] | None = None,
    k: int = 10,
) -> dict[str, list[Any]]:
    told = file.ask(
        user_id=np.array([user], object),
        history=np.array([history or []], object).reshape(1, -1),
        exclude=np.array([exclude or []], object).reshape(1, -1),
        k=np.array([k], np.int64),
    )
    return {name: value[0].tolist() for name, value in told.items() if name != "known"} | {
        "known": [bool(told["known"][0])]
    }


@pytest.mark.parametrize("name", MODELS)
def test_known_users_and_guests_get_what_the_bundle_gives(
    name: str, train: Interactions, tmp_path: Path
) -> None:
    rec = sl.Recommender(MODELS[name]()).fit(train)
    file, report = written(rec, tmp_path)
    assert report.parity is not None
    assert report.parity.agrees
    user = train.user_vocabulary.ids[5]
    wanted = rec.recommend(user, k=5)
    told = ask(file, user, k=5)
    assert told["item_ids"] == wanted["item_id"].to_list()
    assert told["titles"] == wanted["title"].to_list()
    assert told["scores"] == pytest.approx(wanted["score"].to_list(), rel=1e-4)
    guest = ["i3", "i7", "i3", "i11"]
    wanted = rec.recommend(history=guest, k=5)
    told = ask(file, history=["no such item", *guest, ""], k=5)
    assert told["item_ids"] == wanted["item_id"].to_list()
    assert told["scores"] == pytest.approx(wanted["score"].to_list(), rel=1e-4)


def test_two_towers_and_a_sequence(train: Interactions, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    tower = sl.retrieval.TwoTower(
        dim=8,
        epochs=2,
        layers=(8,),
        user=["user_id", "age", sl.History(3)],
        item=["item_id", "genres"],
    )
    walker = sl.retrieval.SequenceTower(dim=8, layers=1, length=4, epochs=1)
    for part in (tower, walker):
        rec = sl.Recommender(part).fit(train)
        for settings in ({}, {"part": "user"}, {"part": "item"}):
            file, report = written(rec, tmp_path, **settings)
            assert report.parity is not None
            assert report.parity.agrees
        file, _ = written(rec, tmp_path)
        guest = [f"i{one}" for one in (3, 7, 3, 11, 12, 13, 14)]
        wanted = rec.recommend(history=guest, k=5)
        assert ask(file, history=guest, k=5)["item_ids"] == wanted["item_id"].to_list()


def test_several_retrievers_and_a_ranker(train: Interactions, tmp_path: Path) -> None:
    parts: list[Retriever] = [sl.retrieval.EASE(), sl.retrieval.ALS(dim=8)]
    for ranker in (None, sl.ranking.Biases()):
        rec = sl.Recommender(parts, rank=ranker, candidates=6).fit(train)
        _, report = written(rec, tmp_path)
        assert report.parity is not None
        assert report.parity.agrees
    file, _ = written(rec, tmp_path, part="retriever")
    user = train.user_vocabulary.ids[5]
    plain = sl.Recommender(parts, candidates=6).fit(train)
    assert ask(file, user, k=5)["item_ids"] == plain.recommend(user, k=5)["item_id"].to_list()


@pytest.mark.parametrize("kind", ["biases", "factorisation", "stack", "network"])
def test_predictions_of_pairs(train: Interactions, tmp_path: Path, kind: str) -> None:
    ranker: Ranker = sl.ranking.Biases()
    if kind == "factorisation":
        ranker = sl.ranking.Factorisation(dim=2, sweeps=6, burn_in=2, draws=2, user=["town"])
    if kind == "stack":
        ranker = sl.ranking.Stack([sl.ranking.Biases(), sl.ranking.Biases(l2_user=50)])
    if kind == "network":
        pytest.importorskip("torch")
        ranker = sl.ranking.RatingNetwork(
            dim=4, layers=(8,), epochs=1, user=["user_id", "town"], item=["item_id", "genres"]
        )
    rec = sl.Recommender(sl.retrieval.EASE(), rank=ranker).fit(train)
    file, report = written(rec, tmp_path, part="ranker")
    assert report.parity is not None
    assert report.parity.agrees
    told = file.ask(
        user_id=np.array(["u3", "nobody"], object), item_id=np.array(["i5", "i5"], object)
    )
    wanted = [rec.predict(user, ["i5"])["prediction"][0] for user in ("u3", "nobody")]
    assert told["prediction"].tolist() == pytest.approx(wanted, rel=1e-5)
    if kind in {"factorisation", "stack"}:
        with pytest.raises(ExportError, match=r"guest's history.*--part retriever"):
            written(rec, tmp_path)


@pytest.fixture(scope="module")
def plain(train: Interactions, tmp_path_factory: pytest.TempPathFactory) -> File:
    rec = sl.Recommender(sl.retrieval.EASE()).fit(train)
    return written(rec, tmp_path_factory.mktemp("plain"))[0]


def test_nobody_with_nothing_gets_what_everybody_likes(
    plain: File, train: Interactions
) -> None:
    told = ask(plain, k=3)
    best = sl.Recommender(sl.retrieval.Popularity()).fit(train).recommend("nobody", k=3)
    assert told["item_ids"] == best["item_id"].to_list()
    assert told["known"] == [False]
    assert ask(plain, "u1")["known"] == [True]


def test_a_history_of_ten_thousand_items(plain: File) -> None:
    told = ask(plain, history=["i1", "i2"] * 5_000, k=5)
    assert told["item_ids"] == ask(plain, history=["i1", "i2"], k=5)["item_ids"]


def test_more_left_out_than_the_catalogue_has(plain: File, train: Interactions) -> None:
    items = train.item_vocabulary.ids.to_list()
    told = ask(plain, "u1", exclude=items * 3, k=4)
    assert told["item_ids"] == told["titles"] == [""] * 4
    assert all(np.isneginf(told["scores"]))
    told = ask(plain, "u1", exclude=[*items[:-1], "no such item"], k=4)
    assert set(told["item_ids"]) <= {items[-1], ""}


def test_no_more_places_than_items(plain: File, train: Interactions) -> None:
    told = ask(plain, k=1_000)
    assert len(told["item_ids"]) == len(train.item_vocabulary)
    assert sorted(told["item_ids"]) == sorted(train.item_vocabulary.ids)


def test_a_wrong_kind_of_id_is_refused_by_the_runtime(plain: File) -> None:
    with pytest.raises(Exception, match=r"expected: .tensor.string"):
        plain.ask(
            user_id=np.array([1]),
            history=np.empty((1, 0), object),
            exclude=np.empty((1, 0), object),
            k=np.array([3]),
        )


def test_a_corrupted_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(ExportError, match=r"a\.onnx is no ONNX file"):
        File(path)


def test_what_cannot_be_a_graph_is_refused_by_name(train: Interactions, tmp_path: Path) -> None:
    rec = sl.Recommender(sl.retrieval.Alike(features=["town"])).fit(train)
    with pytest.raises(ExportError, match=r"retriever alike cannot be a graph.*Leave it out"):
        written(rec, tmp_path)
    rec = sl.Recommender(sl.retrieval.EASE()).fit(train)
    for part, words in (("user", "has no vectors"), ("ranker", "has no ranker")):
        with pytest.raises(ExportError, match=words):
            written(rec, tmp_path, part=part)
    assert not list(tmp_path.glob("*.onnx"))


def test_what_was_taken_long_ago_may_be_answered_again(
    train: Interactions, tmp_path: Path
) -> None:
    rec = sl.Recommender(sl.retrieval.EASE(), rules=[sl.rules.Seen(again_after_days=5)]).fit(
        train
    )
    file, _ = written(rec, tmp_path)
    assert ask(file, "u1", k=39)["item_ids"] == [
        *rec.recommend("u1", k=39)["item_id"],
        *[""] * (39 - len(rec.recommend("u1", k=39))),
    ]


def test_a_ranker_that_only_predicts_is_told_to_take_no_part(
    train: Interactions, tmp_path: Path
) -> None:
    rec = sl.Recommender(sl.retrieval.EASE(), sl.ranking.Biases(), rank_lists=False).fit(train)
    _, report = written(rec, tmp_path)
    words = f"the ranker {sl.ranking.Biases().name} takes no part"
    assert sum(words in note for note in report.notes) == 1
    ranked = sl.Recommender(sl.retrieval.EASE(), sl.ranking.Biases()).fit(train)
    for one, part in ((ranked, "whole"), (rec, "retriever")):
        _, report = written(one, tmp_path, part=part)
        assert not any(words in note for note in report.notes)


def test_rules_that_are_not_in_the_file_are_told(train: Interactions, tmp_path: Path) -> None:
    rules: list[Rule] = [sl.rules.Seen(), sl.rules.Where("year >= 1960")]
    rec = sl.Recommender(sl.retrieval.EASE(), rules=rules).fit(train)
    _, report = written(rec, tmp_path)
    assert "not in the file: where" in report.notes[0]
    rec = sl.Recommender(sl.retrieval.EASE(), rules=[]).fit(train)
    file, report = written(rec, tmp_path)
    assert "nothing is left out" in report.notes[0]
    assert ask(file, "u1")["item_ids"] == rec.recommend("u1")["item_id"].to_list()


@pytest.mark.parametrize("weights", ["float16", "int8"])
def test_smaller_weights_say_what_they_cost(
    train: Interactions, tmp_path: Path, weights: str
) -> None:
    rec = sl.Recommender(sl.retrieval.EASE(), rank=sl.ranking.Biases()).fit(train)
    _, exact = written(rec, tmp_path)
    _, small = written(rec, tmp_path, weights=weights)
    assert not exact.loss
    assert set(small.loss) == {
        "recall@10 of known rows",
        "recall@100 of known rows",
        "places of the top 10",
    }
    assert abs(small.loss["recall@100 of known rows"]) <= 0.01
    _, ranker = written(rec, tmp_path, weights=weights, part="ranker")
    assert abs(ranker.loss["RMSE of known rows"]) <= 0.01
    _, items = written(
        sl.Recommender(sl.retrieval.ALS(dim=8)).fit(train),
        tmp_path,
        weights=weights,
        part="item",
    )
    assert items.loss["direction"] < 1e-3


def test_a_file_that_lost_too_much_is_refused() -> None:
    with pytest.raises(ExportError, match=r"a\.onnx would lose 3\.0%.*float16"):
        insist_on_quality({"recall@100 of known rows": 0.03}, "a.onnx")


@pytest.mark.parametrize("name", MODELS)
def test_a_history_of_what_nobody_took_is_known_to_the_file_as_to_the_bundle(
    name: str, train: Interactions, tmp_path: Path
) -> None:
    rec = sl.Recommender(MODELS[name]()).fit(train)
    file, _ = written(rec, tmp_path)
    for brought in (["i36"], ["i36", "i38"], ["i36", "i3"]):  # nobody took i36 and i38
        wanted = rec.recommend(history=brought, k=5)
        told = ask(file, history=brought, k=5)
        personal = "i3" in brought or name in {"popularity", "content", "blend"}
        assert told["known"] == [personal]
        assert wanted["source"][0].endswith("(fallback)") == (not personal)
        assert told["item_ids"] == wanted["item_id"].to_list()
