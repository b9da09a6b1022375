"""Off-policy estimates: by hand, and against the truth of a world that is simulated."""

import numpy as np
import polars as pl
import pytest

import shortlist as sl
from shortlist.errors import ConfigError, DataError
from shortlist.evaluation.off_policy import off_policy
from shortlist.testing import ladder, small_world


def test_by_hand() -> None:
    # popularity on the ladder, item 0 first: "last" has item 0 only, "new" is a stranger
    rec = sl.Recommender(sl.retrieval.Popularity(), rules=()).fit(ladder())
    log = pl.DataFrame(
        {
            "user_id": [5, 5, 6, 7],
            "item_id": [0, 1, 0, 3],
            "rank": [1, 2, 1, 1],
            "propensity": [0.5, 0.25, 1.0, 0.2],
            "reward": [1.0, 0.0, 1.0, 1.0],
        }
    )
    # popularity shows 0, 1, ...: places 1 to 3 match with weights 2, 4, 1; place 4 does not
    found = off_policy(rec, log)
    assert found.ips.value == pytest.approx((2 * 1 + 4 * 0 + 1 * 1) / 4)
    assert found.snips.value == pytest.approx((2 * 1 + 1 * 1) / (2 + 4 + 1))
    assert found.logged.value == pytest.approx(3 / 4)
    assert (found.places, found.matched) == (4, 3)
    assert found.effective == pytest.approx(49 / (4 + 16 + 1))
    # weights of at most 2: 2, 2, 1
    clipped = off_policy(rec, log, clip=2.0)
    assert clipped.snips.value == pytest.approx((2 + 1) / (2 + 2 + 1))
    assert "3 of 4 places match" in str(found)


def test_the_estimate_finds_what_a_recommender_would_have_earned() -> None:
    # the truth: in the last of three places, an item earns 1 with a probability of its own
    train = small_world()
    chance = np.random.default_rng(1).random(len(train.item_vocabulary)) * 0.8
    logger = sl.Recommender(
        sl.retrieval.EASE(l2=10.0),
        explore=sl.rerank.Explore(epsilon=0.5, pool=6, slots=1),
    ).fit(train)
    judged = sl.Recommender(sl.retrieval.EASE(l2=10.0)).fit(train)
    users, rng = train.user_vocabulary.ids, np.random.default_rng(0)
    logs = []
    for seed in range(150):
        shown = logger.recommend(users=users, k=3, seed=seed)
        rows = train.item_vocabulary.rows(shown["item_id"])
        reward = (rng.random(len(rows)) < chance[rows]).astype(float)
        logs.append(shown.with_columns(reward=pl.Series(reward)))
    log = pl.concat(logs).filter(pl.col("rank") == 3)
    truth = chance[judged.top(users, 3).rows[:, 2]].mean()
    found = off_policy(judged, log)
    for estimate in (found.ips, found.snips):
        assert estimate.value == pytest.approx(truth, abs=0.03)
        assert estimate.low < truth < estimate.high
    assert abs(found.logged.value - truth) > 0.01  # the log alone tells another story


def test_bad_logs_are_refused() -> None:
    rec = sl.Recommender(sl.retrieval.Popularity(), rules=()).fit(ladder())
    good = {"user_id": [5], "item_id": [0], "rank": [1], "propensity": [0.5], "reward": [1.0]}
    for column, value in (
        ("propensity", [0.0]),
        ("propensity", [1.5]),
        ("propensity", [None]),
        ("reward", [float("nan")]),
        ("rank", [0]),
    ):
        with pytest.raises(DataError, match="log row 0"):
            off_policy(rec, pl.DataFrame({**good, column: value}))
    with pytest.raises(DataError, match="needs a column 'reward'"):
        off_policy(rec, pl.DataFrame(good).drop("reward"))
    with pytest.raises(DataError, match="no rows"):
        off_policy(rec, pl.DataFrame(good).clear())
    with pytest.raises(DataError, match="shows none of"):
        off_policy(rec, pl.DataFrame({**good, "item_id": [3]}))
    with pytest.raises(ConfigError, match="clip"):
        off_policy(rec, pl.DataFrame(good), clip=0)
