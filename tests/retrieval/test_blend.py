"""Blend against the sum it promises, and the order in which it learns."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import shortlist as sl
import shortlist.retrieval.blend
import shortlist.retrieval.weights
from shortlist.data.interactions import Interactions
from shortlist.data.protocols import State
from shortlist.data.snapshot import Snapshot
from shortlist.errors import ConfigError, DataError
from shortlist.retrieval import EASE, Alike, Blend, Content, Popularity
from shortlist.retrieval.weights import level_scores
from shortlist.testing.asking import askers, world


def levelled(model: Any, train: Interactions) -> Any:
    return level_scores(model.fit(train).score_all(askers(train)))


def test_the_score_is_the_weighted_sum_of_levels() -> None:
    train = world()
    queries = askers(train)
    blend = Blend([EASE(l2=5), EASE(l2=500)], weights=[3, 1]).fit(train)
    assert blend.chosen_weights == {"1 ease": 0.75, "2 ease": 0.25}
    want = 0.75 * levelled(EASE(l2=5), train) + 0.25 * levelled(EASE(l2=500), train)
    known = blend.knows(queries)
    assert_allclose(blend.score_all(queries)[known], want[known], atol=1e-6)


def test_a_part_counts_only_for_those_it_knows() -> None:
    train = world()
    snapshot = Snapshot.of(train)
    blend = Blend([EASE(l2=5), Alike(features=["town"])], weights=[0.9, 0.1]).fit(train)
    guest = snapshot.guest(train.catalogue.table["item_id"][:2])  # no town
    alone = level_scores(EASE(l2=5).fit(train).score_all(guest))
    assert_allclose(blend.score_all(guest), alone, atol=1e-6)
    assert snapshot.users is not None
    town = snapshot.users["town"].drop_nulls()[0]
    stranger = snapshot.guest(about={"town": town})  # no history
    alone = level_scores(Alike(features=["town"]).fit(train).score_all(stranger))
    assert_allclose(blend.score_all(stranger), alone, atol=1e-6)
    assert blend.knows(stranger).all()
    # also where the part that knows has no weight
    blend = Blend([EASE(l2=5), Alike(features=["town"])], weights=[1, 0]).fit(train)
    assert_allclose(blend.score_all(stranger), alone, atol=1e-6)
    assert not blend.knows(snapshot.guest([])).any()


def test_the_weights_are_learned_on_rows_that_the_parts_did_not_see(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train, met = sl.datasets.movielens(), []
    train = train.subset(np.arange(len(train)) < 5000)
    learn = shortlist.retrieval.weights.proposals

    def watched(models: Any, known: Interactions, held: Interactions, **words: Any) -> Any:
        met.append((len(known), len(held), [model.score_all for model in models]))
        pairs = [one.table.select("user_id", "item_id") for one in (known, held)]
        assert not len(pairs[0].join(pairs[1], on=["user_id", "item_id"]))
        expected = EASE().fit(known).state().arrays["weights"]
        assert_array_equal(models[0].state().arrays["weights"], expected)
        return learn(models, known, held, **words)

    monkeypatch.setattr(shortlist.retrieval.blend, "proposals", watched)
    blend = Blend([EASE(), Popularity()]).fit(train)
    assert [known + held for known, held, _ in met] == [len(train)]
    final = EASE().fit(train).state().arrays["weights"]
    assert_array_equal(blend.state().arrays["0-weights"], final)
    assert blend.chosen_weights["1 ease"] > 0.5
    parts = sl.split.latest(train)
    blend.fit(parts.train, validate=parts.test)
    assert met[1][:2] == (len(parts.train), len(parts.test))
    final = EASE().fit(parts.train).state().arrays["weights"]
    assert_array_equal(blend.state().arrays["0-weights"], final)


def test_settled_keeps_the_weights_and_learns_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    train = world()
    blend = Blend([EASE(l2=5), Content()]).fit(train)
    monkeypatch.delattr(shortlist.retrieval.blend, "proposals")
    again = blend.settled().fit(train)
    assert again.chosen_weights == blend.chosen_weights


def test_too_few_rows_to_hold_any_back(caplog: pytest.LogCaptureFixture) -> None:
    rows = Interactions(
        pl.DataFrame({"user_id": [0, 1], "item_id": [0, 1], "timestamp": [1, 2]})
    )
    with caplog.at_level(logging.WARNING, "shortlist"):
        blend = Blend([EASE(), Popularity()]).fit(rows)
    assert list(blend.chosen_weights.values()) == [0.5, 0.5]
    assert "equal weights" in caplog.text
    with pytest.raises(DataError, match="no weights can be learned"):
        Blend([EASE(), Popularity()]).fit(rows, validate=rows)


def test_a_bundle_holds_a_blend_within_a_blend(tmp_path: Path) -> None:
    train = world()
    inner = Blend([Popularity(), EASE(l2=5)], by="ranks")
    rec = sl.Recommender(Blend([inner, Content(dislike=0)])).fit(train)
    rec.save(tmp_path / "b")
    users = train.user_vocabulary.ids
    loaded = sl.load(tmp_path / "b")
    assert_array_equal(loaded.top(users, 7).scores, rec.top(users, 7).scores)
    assert rec.name == loaded.name == "blend"


def test_what_cannot_be_rebuilt() -> None:
    class Mine(EASE):
        """A part of one's own."""

    blend = Blend([Mine()], weights=[1]).fit(world())
    with pytest.raises(ConfigError, match="Mine, cannot be saved"):
        blend.state()
    config = {"n_items": 1, "parts": [{"name": "nothing", "config": {}}]}
    with pytest.raises(ConfigError, match=r"holds a 'nothing'.*Upgrade"):
        Blend.from_state(State(config, {}, {}))


def test_likeness_needs_a_part_that_reads_histories() -> None:
    blend = Blend([Popularity(), Alike(features=["town"])]).fit(world())
    with pytest.raises(ConfigError, match=r"popularity, alike.*add EASE"):
        blend.similar(np.array([0], np.int32), 3)


def test_a_part_that_cannot_explain_itself_leaves_it_unexplained() -> None:
    train = world()
    queries = askers(train)
    rows = np.zeros((len(queries), 1), np.int32)
    blend = Blend([EASE(l2=5), Popularity()], weights=[1, 1]).fit(train)
    assert not blend.explain(queries, rows).any()
    blend = Blend([EASE(l2=5), Popularity()], weights=[1, 0]).fit(train)
    assert blend.explain(queries, rows).any()


def test_contributions_sum_to_the_score_up_to_a_number_per_asker() -> None:
    train = world()
    queries = askers(train)
    blend = Blend([EASE(l2=5), EASE(l2=50)], weights=[2, 1]).fit(train)
    rows = blend.retrieve(queries, 5).rows
    total = np.zeros(rows.shape)
    np.add.at(total, queries.askers, blend.explain(queries, rows).astype(np.float64))
    gap = (blend.score(queries, rows) - total)[queries.liked_counts > 0]
    assert_allclose(gap, np.repeat(gap[:, :1], 5, axis=1), atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"parts": []}, "takes retrievers"),
        ({"parts": [EASE]}, "takes retrievers"),
        ({"by": "votes"}, "by must be one of"),
        ({"k": 0}, "k at least 1"),
        ({"share": 1.0}, "share between 0 and 1"),
        ({"weights": [1]}, "2 numbers"),
        ({"weights": [1, -1]}, "at least 0"),
        ({"weights": [0, 0]}, "not all 0"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Blend(**settings)
