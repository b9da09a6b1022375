"""Ranked-list metrics: by hand, against ranx, and by properties."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from shortlist.errors import ConfigError, ShapeError
from shortlist.metrics import ranking
from shortlist.metrics.ranking import Relevant, row_accuracy, row_hits, values_per_user

ANSWERED = np.array([[3, 1, 4, 0], [5, 2, -1, -1], [7, 8, 9, 6], [0, 1, 2, 3]], np.int32)
# user 0 chose 1, 0 and 9; user 1 chose 2 twice and an item without a row; user 2 nothing; user 3 items without rows
RELEVANT = Relevant(np.array([1, 0, 9, 2, -1, 2, -1, -1]), np.array([0, 3, 6, 6, 8]))
L2, L3, L5 = math.log2(2), math.log2(3), math.log2(5)


def test_hits_are_places_that_hold_a_chosen_item() -> None:
    want = [[0, 1, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert_array_equal(ranking.hits(ANSWERED, RELEVANT), np.array(want, bool))


def test_repeats_and_items_without_a_row_are_counted() -> None:
    assert_array_equal(RELEVANT.n_rows, [3, 3, 0, 2])
    assert_array_equal(
        RELEVANT.n_items, [3, 2, 0, 2]
    )  # user 1: item 2 and one unknown; user 3: two
    assert_array_equal(row_hits(ANSWERED, RELEVANT)[1], [0, 2, 0, 0])  # item 2 was chosen twice


def test_row_accuracy_counts_rows_not_items() -> None:
    hit, rows = row_accuracy(row_hits(ANSWERED, RELEVANT), RELEVANT.n_rows, 2)
    assert_array_equal(hit, [1, 2, 0, 0])
    assert_array_equal(rows, [3, 3, 0, 2])  # 3 of 8 test rows are among the first 2


@pytest.mark.parametrize(
    ("metric", "want"),
    [
        ("hit_rate@2", [1, 1, math.nan, 0]),
        ("recall@2", [1 / 3, 1 / 2, math.nan, 0]),
        ("recall@4", [2 / 3, 1 / 2, math.nan, 0]),
        ("precision@2", [1 / 2, 1 / 2, math.nan, 0]),
        ("precision@4", [2 / 4, 1 / 4, math.nan, 0]),  # user 1's empty places are misses
        ("mrr@1", [0, 0, math.nan, 0]),
        ("mrr@4", [1 / 2, 1 / 2, math.nan, 0]),
        # a hit at place 2 is worth 1/log2(3), at place 4 1/log2(5); ideal: min(k, relevant) first places
        ("ndcg@2", [1 / L3 / (1 / L2 + 1 / L3), 1 / L3 / (1 / L2 + 1 / L3), math.nan, 0]),
        ("ndcg@4", [(1 / L3 + 1 / L5) / (1 + 1 / L3 + 1 / 2), 1 / L3 / (1 + 1 / L3), math.nan, 0]),
        # precision at place 2 is 1/2, at place 4 2/4; divided by min(k, relevant)
        ("map@2", [1 / 2 / 2, 1 / 2 / 2, math.nan, 0]),
        ("map@4", [(1 / 2 + 2 / 4) / 3, 1 / 2 / 2, math.nan, 0]),
    ],
)  # fmt: skip
def test_metrics_by_hand(metric: str, want: list[float]) -> None:
    found = values_per_user(ranking.hits(ANSWERED, RELEVANT), RELEVANT.n_items, (1, 2, 4))
    assert_allclose(found[metric], want)


def test_a_k_beyond_the_list_judges_what_there_is() -> None:
    values = values_per_user(ranking.hits(ANSWERED, RELEVANT), RELEVANT.n_items, (8,))
    assert_allclose(values["precision@8"][0], 2 / 8)
    assert_allclose(values["recall@8"][0], 2 / 3)
    empty = values_per_user(np.zeros((2, 0), bool), np.array([1, 0]), (5,))
    assert_array_equal(np.stack(list(empty.values())), [[0, np.nan]] * len(empty))


def test_pairs_in_any_order_are_grouped_by_user() -> None:
    relevant = Relevant.of_pairs(np.array([2, 0, 2]), np.array([7, 1, 8]), 4)
    assert_array_equal(relevant.offsets, [0, 1, 1, 3, 3])
    assert_array_equal(relevant.rows, [1, 7, 8])
    assert repr(relevant) == "Relevant(4 users, 3 rows)"


def test_nobody_chose_anything() -> None:
    relevant = Relevant.of_pairs(np.array([], int), np.array([], int), 2)
    assert not row_hits(np.array([[0, -1], [1, 2]]), relevant).any()
    assert_array_equal(relevant.n_items, [0, 0])


def test_many_blocks_agree_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    answered, relevant = _world(seed=5)
    whole = values_per_user(ranking.hits(answered, relevant), relevant.n_items, (3, 10))
    monkeypatch.setattr(ranking, "CELLS_AT_ONCE", 40)
    parts = values_per_user(ranking.hits(answered, relevant), relevant.n_items, (3, 10))
    for name, values in whole.items():
        assert_array_equal(parts[name], values)


def test_shapes_that_do_not_line_up_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(4, width\).*got \(2, 4\).*same users"):
        row_hits(ANSWERED[:2], RELEVANT)
    with pytest.raises(ShapeError, match="rise from 0 to the 3 relevant rows"):
        Relevant(np.array([1, 2, 3]), np.array([0, 2]))
    with pytest.raises(ShapeError, match="2 users for 1 rows"):
        Relevant.of_pairs(np.array([0, 1]), np.array([0]), 2)
    with pytest.raises(ConfigError, match="k must be at least 1"):
        values_per_user(ANSWERED > 3, RELEVANT.n_items, (0,))


def _world(
    seed: int, n: int = 40, items: int = 30, k: int = 12
) -> tuple[NDArray[np.int32], Relevant]:
    """Lists without repeats, and one to nine choices for each user."""
    rng = np.random.default_rng(seed)
    answered = np.argsort(rng.random((n, items)), axis=1)[:, :k].astype(np.int32)
    counts = rng.integers(1, 10, n)
    chosen = [rng.choice(items, size=size, replace=False) for size in counts]
    return answered, Relevant(np.concatenate(chosen), np.concatenate([[0], np.cumsum(counts)]))


@pytest.mark.filterwarnings("ignore:unsafe cast")  # numba's, while it compiles ranx
@pytest.mark.parametrize("k", [1, 5, 12])
def test_agrees_with_ranx(k: int) -> None:
    ranx = pytest.importorskip("ranx")
    answered, relevant = _world(seed=k)
    lines = np.split(relevant.rows, relevant.offsets[1:-1])
    qrels = ranx.Qrels(
        {f"u{i:03}": {f"i{row}": 1 for row in rows} for i, rows in enumerate(lines)}
    )
    run = ranx.Run(
        {
            f"u{i:03}": {f"i{row}": float(-place) for place, row in enumerate(rows)}
            for i, rows in enumerate(answered)
        }
    )
    names = ["hit_rate", "recall", "precision", "ndcg", "mrr", "map"]
    theirs = ranx.evaluate(qrels, run, [f"{name}@{k}" for name in names], return_mean=False)
    ours = values_per_user(ranking.hits(answered, relevant), relevant.n_items, (k,))
    # ranx divides the sum of precisions by all relevant items, ours by min(k, relevant)
    theirs[f"map@{k}"] = theirs[f"map@{k}"] * relevant.n_items / np.minimum(relevant.n_items, k)
    for name in names:
        assert_allclose(ours[f"{name}@{k}"], theirs[f"{name}@{k}"], atol=1e-12, err_msg=name)


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 15))
def test_values_are_shares_and_grow_with_k_where_they_must(seed: int, k: int) -> None:
    answered, relevant = _world(seed, n=6)
    values = values_per_user(ranking.hits(answered, relevant), relevant.n_items, (k, k + 1))
    for name, column in values.items():
        assert ((column >= 0) & (column <= 1)).all(), name
    for name in ("hit_rate", "recall", "mrr"):
        assert (values[f"{name}@{k + 1}"] >= values[f"{name}@{k}"]).all(), name


@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_users_changes_no_value(seed: int) -> None:
    answered, relevant = _world(seed, n=8)
    order = np.random.default_rng(seed).permutation(8)
    lines = np.split(relevant.rows, relevant.offsets[1:-1])
    moved = Relevant(
        np.concatenate([lines[i] for i in order]),
        np.concatenate([[0], np.cumsum(relevant.n_rows[order])]),
    )
    before = values_per_user(ranking.hits(answered, relevant), relevant.n_items, (5,))
    after = values_per_user(ranking.hits(answered[order], moved), moved.n_items, (5,))
    for name, values in before.items():
        assert_array_equal(after[name], values[order])


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 5),
    items=st.integers(1, 8),
    width=st.integers(1, 10),
)
def test_hits_agree_with_looking_through_every_list(
    seed: int, n: int, items: int, width: int
) -> None:
    rng = np.random.default_rng(seed)
    answered = rng.integers(-1, items + 3, size=(n, width))
    counts = rng.integers(0, 5, n)
    rows = rng.integers(-1, items, counts.sum())
    relevant = Relevant(rows, np.concatenate([[0], np.cumsum(counts)]))
    lines = np.split(rows, relevant.offsets[1:-1])
    want = [
        [sum(row == chosen and row >= 0 for chosen in line) for row in answer]
        for answer, line in zip(answered, lines, strict=True)
    ]
    assert_array_equal(row_hits(answered, relevant), want)
    distinct = [len(set(line[line >= 0])) + int((line < 0).sum()) for line in lines]
    assert_array_equal(relevant.n_items, distinct)


@given(seed=st.integers(0, 2**32 - 1))
def test_a_perfect_list_scores_one_in_what_normalises(seed: int) -> None:
    rng = np.random.default_rng(seed)
    chosen = rng.choice(50, size=6, replace=False)
    relevant = Relevant(chosen, np.array([0, 6]))
    values = values_per_user(ranking.hits(chosen[None, :], relevant), relevant.n_items, (3, 6))
    for name in ("hit_rate", "precision", "ndcg", "mrr", "map"):
        assert_allclose([values[f"{name}@3"][0], values[f"{name}@6"][0]], 1.0)
