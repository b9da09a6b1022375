"""NextItem by hand, against a slow oracle that writes every matrix out, and what it refuses."""

from functools import partial

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

import shortlist.retrieval.following
from shortlist.data.catalogue import Catalogue
from shortlist.data.interactions import Interactions
from shortlist.data.snapshot import Snapshot
from shortlist.errors import ConfigError, DataError
from shortlist.retrieval import EASE, NextItem, Popularity
from shortlist.retrieval.following import Sequences, log_odds

Matrix = NDArray[np.float64]


def histories(*lines: list[int], items: int) -> Interactions:
    """Each line a user, oldest first; all users' rows shuffled, so that only time tells."""
    rows = [(u, i, 10 * t) for u, line in enumerate(lines) for t, i in enumerate(line)]
    table = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    return Interactions(
        table.sample(fraction=1.0, shuffle=True, seed=1),
        Catalogue.of_ids(pl.Series(range(items))),
    )


def some_histories(seed: int, users: int = 12, items: int = 9) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.permutation(items)[: rng.integers(1, items)].tolist() for _ in range(users)]


def scores_of(model: NextItem, train: Interactions, *history: int) -> NDArray[np.float32]:
    scores: NDArray[np.float32] = model.score_all(Snapshot.of(train).guest(history))[0]
    return scores


def oracle(lines: list[list[int]], items: int, model: NextItem) -> tuple[Matrix, list[Matrix]]:
    """A'A and B with A and Y written out, place by place."""
    states, targets = [], []
    for line in lines:
        for place in range(1, len(line)):
            state = np.zeros((len(model.decays), items))
            for back, item in enumerate(reversed(line[:place])):
                state[:, item] += np.exp(-np.array(model.decays) * back)
            target = np.zeros(items)
            for ahead, item in enumerate(line[place : place + model.targets]):
                target[item] += np.exp(-model.target_decay * ahead)
            states.append(state.ravel())
            targets.append(target)
    a, y = np.array(states), np.array(targets)
    weights = np.linalg.solve(a.T @ a + model.l2 * np.eye(a.shape[1]), a.T @ y)
    return a.T @ a, np.split(weights, len(model.decays))


ridge_alone = partial(NextItem, odds=0.0, popularity=0.0, ease=0.0)


def test_one_step_by_hand() -> None:
    # item 1 follows item 0 twice, item 2 follows it once: with one decay and one target, A'A of item 0
    # is 3, A'Y = [2, 1], so B = [2, 1] / (3 + 1); items 1 and 2 have nothing after them
    train = histories([0, 1], [0, 1], [0, 2], items=3)
    model = ridge_alone(decays=(1.0,), targets=1, l2=1.0).fit(train)
    want = np.log(np.array([0, 2 / 4, 1 / 4]) + 0.01)
    assert_allclose(scores_of(model, train, 0), want, rtol=1e-5)
    assert_allclose(scores_of(model, train, 1), np.log([0.01] * 3), rtol=1e-5)


def test_odds_and_popularity_by_hand() -> None:
    # 6 rows, 3 items: shares (3 + 1, 2 + 1, 1 + 1) / 9. After item 0 came 3 pairs, 2 of item 1:
    # smoothed P(1 | 0) = (2 + 200 * 3/9) / (3 + 200), over P(1) = 3/9
    train = histories([0, 1], [0, 1], [0, 2], items=3)
    taken = Sequences.of(train)
    shares = np.array([4, 3, 2]) / 9
    odds = log_odds(taken, shares, 1.0)
    assert odds[0, 1] == pytest.approx(np.log((2 + 200 / 3) / 203 * 3), rel=1e-5)
    assert odds[1] == pytest.approx(np.zeros(3), abs=1e-6)  # nothing came after item 1
    model = NextItem(odds=2.0, popularity=3.0, ease=0.0, l2=1e9).fit(train)
    want = np.log(0.01) + 2 * odds[0] + 3 * np.log(shares)
    assert_allclose(scores_of(model, train, 0), want, rtol=1e-4)


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 2**32 - 1),
    decays=st.sampled_from([(0.0,), (0.7,), (0.7, 0.05), (1.5, 0.4, 0.0)]),
    targets=st.integers(1, 4),
    at_once=st.sampled_from([1, 7, 1 << 23]),
)
def test_the_products_are_those_of_the_matrices_written_out(
    seed: int, decays: tuple[float, ...], targets: int, at_once: int
) -> None:
    lines = [*some_histories(seed), [0, 1, 2]]
    model = ridge_alone(decays=decays, targets=targets, l2=2.0)
    train = histories(*lines, items=9)
    gram, blocks = oracle(lines, 9, model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shortlist.retrieval.following, "_ENTRIES", at_once)
        model.fit(train)
        taken = Sequences.of(train)
        states = np.block([[taken.states(one, two) for two in decays] for one in decays])
    assert_allclose(states, gram, rtol=1e-4, atol=1e-3)
    assert_allclose(model.state().arrays["weights"], np.concatenate(blocks), atol=1e-4)
    line = lines[0]
    back = np.arange(len(line))[::-1]
    want = sum(
        np.exp(-decay * back) @ block[line] for decay, block in zip(decays, blocks, strict=True)
    )
    got = np.exp(scores_of(model, train, *line)) - 0.01
    assert_allclose(got, np.maximum(want, 0), atol=1e-3)


def test_single_precision_is_enough_for_thousands_of_rows() -> None:
    rng = np.random.default_rng(0)
    lines = [rng.permutation(60)[:40].tolist() for _ in range(30)]
    model = ridge_alone(l2=0.5).fit(histories(*lines, items=60))
    _, blocks = oracle(lines, 60, model)
    want = np.concatenate(blocks)
    got = model.state().arrays["weights"]
    assert np.abs(got - want).max() < 2e-3 * np.abs(want).max()


def test_ease_counts_by_its_weight() -> None:
    lines = some_histories(3)
    train = histories(*lines, items=9)
    plain = NextItem(ease=0.0).fit(train)
    both = NextItem(ease=0.7, ease_decay=0.2, ease_l2=4.0).fit(train)
    ease = EASE(l2=4.0, decay=0.2).fit(train).score_all(Snapshot.of(train).guest([1, 2]))[0]
    added = scores_of(both, train, 1, 2) - scores_of(plain, train, 1, 2)
    assert_allclose(added, 0.7 * np.log(np.maximum(ease, 0) + 0.1), atol=1e-5)


def test_the_order_of_a_history_decides() -> None:
    # 1 follows 0, 3 follows 2: whoever ends on 0 gets 1, whoever ends on 2 gets 3
    lines = [[0, 1], [2, 3], [0, 1, 2, 3], [2, 3, 0, 1]] * 5
    train = histories(*lines, items=4)
    model = NextItem(l2=1.0, ease_l2=1.0).fit(train)
    assert scores_of(model, train, 2, 0).argmax() == 1
    assert scores_of(model, train, 0, 2).argmax() == 3


def test_ties_in_time_keep_the_order_of_the_rows() -> None:
    def fitted(times: list[int]) -> NDArray[np.generic]:
        table = pl.DataFrame(
            {"user_id": [0, 0, 0, 1], "item_id": [2, 0, 1, 0], "timestamp": times}
        )
        train = Interactions(table, Catalogue.of_ids(pl.Series(range(3))))
        return NextItem(l2=1.0).fit(train).state().arrays["weights"]

    assert_array_equal(fitted([5, 5, 5, 9]), fitted([1, 2, 3, 9]))
    assert not np.array_equal(fitted([5, 5, 5, 9]), fitted([3, 2, 1, 9]))


def test_an_item_counts_at_its_latest_and_disliked_rows_do_not() -> None:
    lines = some_histories(4)
    train = histories(*lines, items=9)
    table = train.table.with_columns(rating=pl.lit(5.0))
    earlier = table.with_columns(timestamp=pl.col("timestamp") - 1000).sample(6, seed=0)
    disliked = earlier.with_columns(
        rating=pl.lit(1.0),
        item_id=pl.lit(8, pl.Int64),
        timestamp=pl.lit(15, pl.Int64),
    )
    more = Interactions(
        pl.concat([table, earlier, disliked]), train.catalogue, positive="rating >= 4"
    )
    one, two = NextItem(ease=0.0).fit(train), NextItem(ease=0.0).fit(more)
    for name, array in one.state().arrays.items():
        assert_allclose(two.state().arrays[name], array, atol=1e-6, err_msg=name)


def test_whoever_brings_nothing_gets_popularity() -> None:
    train = histories(*some_histories(5), items=9)
    nobody = Snapshot.of(train).guest([])
    model = NextItem().fit(train)
    assert not model.knows(nobody)[0]
    want = Popularity().fit(train).retrieve(nobody, 9).rows
    assert_array_equal(model.retrieve(nobody, 9).rows, want)


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (lambda table: table.drop("timestamp"), "no column 'timestamp'"),
        (lambda table: table.with_columns(timestamp=pl.lit(7)), "rows of one time"),
    ],
)
def test_without_an_order_it_says_what_to_use(change: object, got: str) -> None:
    train = histories(*some_histories(6), items=9)
    assert callable(change)
    with pytest.raises(DataError, match=f"order of a history; got .*{got}.*EASE"):
        NextItem().fit(Interactions(change(train.table), train.catalogue))


def test_what_would_not_fit_into_memory_is_refused_beforehand() -> None:
    train = histories(*some_histories(7), items=9)
    with pytest.raises(
        ConfigError, match=r"9 items and 2 decays needs about .* GB; max_giga.*ALS"
    ):
        NextItem(max_gigabytes=1e-9).fit(train)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"decays": ()}, "decays must hold"),
        ({"decays": (0.1, -1.0)}, "decays must hold"),
        ({"odds_decay": float("nan")}, "decays must hold"),
        ({"targets": 0}, "targets must be at least 1"),
        ({"l2": 0.0}, "must be positive"),
        ({"ease": -0.5}, "0 or more"),
    ],
)
def test_settings_out_of_range(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        NextItem(**wrong)  # type: ignore[arg-type]
