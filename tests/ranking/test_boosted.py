"""Boosted trees: the graph that answers is what LightGBM predicts."""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import shortlist as sl
from shortlist.data.graphs import run_graph
from shortlist.data.lists import Lists, askings
from shortlist.errors import ConfigError, DataError
from shortlist.ranking import Boosted
from shortlist.ranking.trees import Trees
from shortlist.recommender.asking import proposals
from shortlist.retrieval import EASE, Popularity
from shortlist.testing import worlds

if TYPE_CHECKING:
    from shortlist.recommender.rules import Rule

lightgbm = pytest.importorskip("lightgbm")


def grown(seed: int = 0) -> tuple[Any, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2000, 6)).astype(np.float32)
    x[:, 5] = rng.integers(0, 4, 2000)  # thresholds between equal numbers
    y = (x[:, 0] * x[:, 1] + x[:, 5] + rng.normal(size=2000) > 2).astype(int)
    settings = {"objective": "lambdarank", "num_leaves": 7, "verbosity": -1, "num_threads": 1}
    model = lightgbm.train(settings, lightgbm.Dataset(x, y, group=[50] * 40), 30)
    return model, x


def test_the_graph_answers_what_lightgbm_predicts() -> None:
    model, x = grown()
    trees = Trees.of(model.dump_model()["tree_info"])
    answer = run_graph(trees.graph(6))(x.astype(np.float64))[:, 0]
    assert_allclose(answer, model.predict(x), atol=1e-6, rtol=0)
    # numbers that lie exactly on a threshold, or the next float32 beside it, go the same way
    for feature, threshold in zip(trees.feature, trees.threshold, strict=True):
        if feature < 0:
            continue
        near = np.float32(threshold)
        edge = np.repeat(x[:1], 3, axis=0)
        edge[:, feature] = [np.nextafter(near, -np.inf), near, np.nextafter(near, np.inf)]
        answer = run_graph(trees.graph(6))(edge.astype(np.float64))[:, 0]
        assert_allclose(answer, model.predict(edge), atol=1e-6, rtol=0)
        break


def test_contributions_sum_to_the_score_by_hand() -> None:
    # one tree: x0 <= 1 ? (x1 <= 5 ? 10 : 20) : 40; means by 1, 1 and 2 rows: 15 on the left, 27.5 in all
    leaf = [{"leaf_value": value} for value in (10.0, 20.0, 40.0)]
    inner: dict[str, Any] = {"split_feature": 1, "threshold": 5.0, "internal_value": 15.0}
    inner |= {"left_child": leaf[0], "right_child": leaf[1]}
    root: dict[str, Any] = {"split_feature": 0, "threshold": 1.0, "internal_value": 27.5}
    root |= {"left_child": inner, "right_child": leaf[2]}
    trees = Trees.of([{"tree_structure": root}, {"tree_structure": {"leaf_value": 2.0}}])
    added, mean = trees.contributions(np.array([[1.0, 5.0], [1.0, 6.0], [1.5, 0.0]]), 2)
    assert_array_equal(added, [[-12.5, -5.0], [-12.5, 5.0], [12.5, 0.0]])
    assert mean == 29.5
    answer = run_graph(trees.graph(2))(np.array([[1.0, 5.0], [1.0, 6.0], [1.5, 0.0]]))
    assert_array_equal(answer[:, 0], [12.0, 22.0, 42.0])


def test_contributions_sum_to_what_lightgbm_predicts() -> None:
    model, x = grown()
    added, mean = Trees.of(model.dump_model()["tree_info"]).contributions(x, 6)
    assert_allclose(added.sum(axis=1) + mean, model.predict(x), atol=1e-9)


@pytest.fixture(scope="module")
def fitted() -> sl.Recommender:
    train = worlds.small_world(users=80, items=80, positive=None)
    return sl.Recommender(
        [EASE(l2=10.0), Popularity()], Boosted(trees=30, least=5), candidates=20
    ).fit(train)


def test_explaining_a_list(fitted: sl.Recommender) -> None:
    ranker = fitted.rank
    assert isinstance(ranker, Boosted)
    queries = fitted.snapshot.queries(["u0", "u5"])
    found, _ = proposals(fitted, fitted.stages(), queries)
    told = ranker.explain(queries, found)
    assert set(told) == set(ranker.feature_names)
    total = np.sum(list(told.values()), axis=0)
    values = ranker.values(queries, found)
    assert_allclose(total - total[:, :1], values - values[:, :1], atol=1e-5)
    strengths = [float(np.abs(one).sum()) for one in told.values()]
    assert strengths == sorted(strengths, reverse=True)


def test_a_shortlist_says_what_spoke_for_each_item(fitted: sl.Recommender) -> None:
    told = fitted.recommend("u0", k=3, explain=True)
    assert told.columns[-2:] == ["because", "ranked_by"]
    ranker = fitted.rank
    assert isinstance(ranker, Boosted)
    for reasons in told["ranked_by"].to_list():
        assert 1 <= len(reasons) <= 3
        assert {one["feature"] for one in reasons} <= set(ranker.feature_names)
        strength = [abs(one["added"]) for one in reasons]
        assert strength == sorted(strength, reverse=True)
    alone = sl.Recommender(EASE(l2=10.0)).fit(fitted.snapshot.interactions())
    assert "ranked_by" not in alone.recommend("u0", explain=True).columns


def test_the_cluster_of_the_asker_is_learned(fitted: sl.Recommender) -> None:
    # four rows in five stay in the user's cluster of items: a list model must not lose that
    hits = [
        int(item[1:]) % 4 == int(user[1:]) % 4
        for user in fitted.snapshot.user_vocabulary.ids
        for item in fitted.recommend(user, k=1)["item_id"]
    ]
    assert np.mean(hits) > 0.5


def test_validation_chooses_the_number_of_trees() -> None:
    parts = sl.split.latest(worlds.small_world(rows_per_user=14), validation=0.2, test=0.1)
    ranker = Boosted(trees=60, least=5, learning_rate=0.3)
    rec = sl.Recommender(EASE(l2=10.0), ranker, candidates=20)
    rec.fit(parts.train, validate=parts.validation)
    assert ranker.chosen_trees is not None
    assert 1 <= ranker.chosen_trees <= 60
    assert ranker.settled().trees == ranker.chosen_trees
    assert Boosted(trees=7).settled().trees == 7


def test_what_is_missing_at_answering_stands_in_with_one_warning(
    fitted: sl.Recommender, caplog: pytest.LogCaptureFixture
) -> None:
    train = fitted.snapshot.interactions()
    ranker = Boosted(trees=5, least=5)
    sl.Recommender([EASE(l2=10.0), Popularity()], ranker, candidates=20).fit(train)
    queries = replace(fitted.snapshot.queries(["u0", "u1", "u2"]), users=None)
    rows = np.array([[0, 1, -1]] * 3, np.int32)
    with caplog.at_level(logging.WARNING):
        assert np.isfinite(ranker.predict(queries, rows)).all()
        ranker.predict(queries, rows)
    told = [one for one in caplog.messages if "defaults stand in" in one]
    assert len(told) == 1
    assert "3 askers without user column" in told[0]
    strange = pl.DataFrame(
        {"town": ["Atlantis", None, "town 0"], "age": [float("nan"), None, 1e30]}
    )
    unseen = replace(queries, users=strange)
    assert np.isfinite(ranker.predict(unseen, rows)).all()


def test_lists_without_a_taken_item_teach_nothing() -> None:
    train = worlds.small_world(positive=None)
    rules: list[Rule] = [
        sl.rules.Seen(),
        sl.rules.Allow(("i36", "i37")),
    ]  # nobody ever took these
    with pytest.raises(DataError, match="nothing to learn"):
        sl.Recommender(EASE(l2=10.0), Boosted(trees=2), rules=rules).fit(train)


def test_runs_are_the_mean_of_their_seeds() -> None:
    train = worlds.small_world(users=80, items=80, positive=None)
    values = []
    for one in (
        Boosted(trees=5, least=5),
        Boosted(trees=5, least=5, seed=1),
        Boosted(trees=5, least=5, runs=2),
    ):
        # the lot of the lists does not decide here: there are fewer than ``askers``
        rec = sl.Recommender(EASE(l2=10.0), one, candidates=20).fit(train)
        queries = rec.snapshot.queries(["u0", "u1"])
        found, _ = proposals(rec, rec.stages(), queries)
        values.append(one.values(queries, found))
    assert np.abs(values[0] - values[1]).max() > 0.001
    assert_allclose((values[0] + values[1]) / 2, values[2], atol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"trees": 0},
        {"runs": 0},
        {"leaves": 1},
        {"learning_rate": 0.0},
        {"l2": -1.0},
        {"objective": "mse"},
        {"share": 1.0},
        {"askers": 0},
        {"holdout": "tomorrow"},
        {"calibrated": "yes"},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Boosted(**wrong)


def test_calibrated_predictions_are_probabilities() -> None:
    train = worlds.small_world(rows_per_user=14, positive=None)
    parts = sl.split.latest(train, test=0.15)
    for how in ("isotonic", "platt"):
        ranker = Boosted(trees=10, least=5, calibrated=how, share=0.2)
        rec = sl.Recommender(EASE(l2=10.0), ranker, candidates=20).fit(parts.train)
        queries, told = askings(parts.train, parts.test, most=1000, seed=0)
        found, _ = proposals(rec, rec.stages(), queries)
        lists = Lists.of(parts.train, queries, found, told)
        chance = ranker.predictions(queries, found)
        assert ((chance >= 0) & (chance <= 1)).all()
        # in the mean right: so many were taken
        assert abs(chance.mean() - lists.liked.mean()) < 0.03
        order = ranker.values(queries, found)
        for line, by in zip(chance, order, strict=True):
            assert (np.diff(line[np.argsort(by, kind="stable")]) >= 0).all()
