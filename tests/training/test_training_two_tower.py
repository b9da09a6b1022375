"""Two towers in training: what a row may know, what is learned, and the plain loop beside it."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from shortlist.data.catalogue import Catalogue
from shortlist.data.features import History, Number
from shortlist.data.graphs import run_graph
from shortlist.data.interactions import Interactions
from shortlist.data.sides import encode_all, learn_context
from shortlist.data.snapshot import Snapshot
from shortlist.errors import ConfigError, TrainingError
from shortlist.testing import small_world

torch = pytest.importorskip("torch")

from shortlist.training.settings import TowerSettings  # noqa: E402
from shortlist.training.two_tower import TowerInputs, Towers, _Trainer, train_towers  # noqa: E402

PLAIN = {"dropout": 0.0, "unknown_share": 0.0, "weight_decay": 0.0, "optimizer": "adagrad"}


def settings(**changes: Any) -> TowerSettings:
    return TowerSettings(**({"dim": 8, "epochs": 3, "batch_size": 64} | changes))


def trainer(train: Interactions, **changes: Any) -> _Trainer:
    chosen = settings(**changes)
    sides = encode_all(train, chosen.user, chosen.item, liked_only=True)
    return _Trainer(chosen, train, TowerInputs(*sides, learn_context(train, chosen.context)))


def fit(train: Interactions, validate: Any = None, **changes: Any) -> Any:
    chosen = settings(**changes)
    sides = encode_all(train, chosen.user, chosen.item, liked_only=True)
    inputs = TowerInputs(*sides, learn_context(train, chosen.context))
    towers, epochs, failure = train_towers(chosen, train, inputs, validate)
    if failure is not None:
        raise failure
    return towers.user, towers.item, epochs


def repeating_world(*, times: bool) -> Interactions:
    """Users who take an item again, at times that tie, beside rows that are not liked."""
    rng = np.random.default_rng(0)
    n = 300
    table = pl.DataFrame(
        {
            "user_id": rng.integers(0, 20, n),
            "item_id": rng.integers(0, 15, n),
            "timestamp": rng.integers(0, 12, n) + 10**9,
            "rating": rng.integers(1, 6, n).astype(float),
        }
    )
    table = table if times else table.drop("timestamp")
    return Interactions(table, positive="rating >= 3")


def histories(
    train: Interactions, length: int, *, ordered: bool = True
) -> tuple[_Trainer, NDArray[np.float32]]:
    made = trainer(train, user=(History(length, ordered=ordered),))
    rows = np.random.default_rng(1).permutation(len(made.user_rows))
    lines = np.zeros((len(rows), len(train.item_vocabulary)), np.float32)
    lines[rows] = made._histories(rows).toarray()
    return made, lines


@pytest.mark.parametrize("length", [1, 4, 50])
def test_a_rows_history_is_what_its_user_liked_before_it(length: int) -> None:
    train = repeating_world(times=True)
    made, lines = histories(train, length)
    times = np.asarray(train.timestamps)
    for line, row in zip(lines, made.table_rows, strict=True):
        user, item = train.user_rows[row], train.item_rows[row]
        before = [
            r
            for r in np.flatnonzero((train.user_rows == user) & train.liked)
            if (times[r], r) < (times[row], row)
        ]
        before = sorted(before, key=lambda r: (times[r], r))[-length:]
        want = set(train.item_rows[before].tolist()) - {int(item)}
        assert set(np.flatnonzero(line).tolist()) == want
        if want:
            assert_allclose(line[sorted(want)], 1 / len(want))


@pytest.mark.parametrize("times", [True, False])
@pytest.mark.parametrize("length", [1, 4, 50])
def test_without_order_a_row_reads_what_answering_reads_were_it_not_there(
    length: int, *, times: bool
) -> None:
    train = repeating_world(times=times)
    made, lines = histories(train, length, ordered=not times)  # without times: so by itself
    for line, row in zip(lines, made.table_rows, strict=True):
        others = Snapshot.of(train.subset(np.arange(len(train)) != row))
        asked = others.queries([train.table["user_id"][int(row)]])
        read = asked.liked_matrix(len(others.item_vocabulary), last=length).indices
        ids = others.item_vocabulary.decode(read).to_list()
        want = set(train.item_vocabulary.rows(ids).tolist()) - {int(train.item_rows[row])}
        assert set(np.flatnonzero(line).tolist()) == want
        if want:
            assert_allclose(line[sorted(want)], 1 / len(want))


def test_a_history_of_the_last_row_is_near_what_answering_sees() -> None:
    train = repeating_world(times=True)
    made, lines = histories(train, 4)
    asked = Snapshot.of(train).queries_of_rows(np.arange(20, dtype=np.int32))
    latest = asked.liked_matrix(15, last=5).toarray()
    for user in range(20):
        last = int(made.starts[user + 1]) - 1
        own = made.item_rows[last]
        assert set(np.flatnonzero(lines[last])) == set(np.flatnonzero(latest[user])) - {own}


def test_the_unknown_is_trained_where_ids_are_hidden() -> None:
    train = small_world()
    n_users, n_items = len(train.user_vocabulary), len(train.item_vocabulary)
    for share, moved in ((0.0, False), (0.3, True)):
        before = trainer(train, unknown_share=share).tables
        user, item, _ = fit(train, unknown_share=share)
        for row, start, tower in ((n_users, before[0], user), (n_items, before[1], item)):
            assert bool((start.numpy()[row] != tower.table[row]).any()) == moved


def test_items_that_nobody_took_learn_nothing_of_their_own() -> None:
    train = small_world(never_taken=4)
    made = trainer(train)
    _, item, _ = fit(train)
    unseen = np.bincount(train.item_rows[train.liked], minlength=40) == 0
    assert unseen.sum() >= 4
    assert_array_equal(item.table[:40][unseen], made.tables[1].numpy()[:40][unseen])


@pytest.mark.parametrize("optimizer", ["adam", "adagrad"])
@pytest.mark.parametrize("layers", [(), (8,)])
def test_the_loss_falls(optimizer: str, layers: tuple[int, ...]) -> None:
    *_, epochs = fit(
        small_world(),
        epochs=5,
        optimizer=optimizer,
        learning_rate=0.05,
        dropout=0.0,
        weight_decay=0.0,
        layers=layers,
        user=("user_id", "town", History(4)),
        item=("item_id", "genres"),
    )
    losses = [epoch.loss for epoch in epochs]
    assert losses[-1] < losses[0]
    assert np.isfinite(losses).all()


def test_a_loss_that_explodes_is_an_error_that_names_the_step() -> None:
    with pytest.raises(TrainingError, match=r"epoch \d, step \d+ is not finite \(rows \[\d+"):
        fit(small_world(), learning_rate=1e30, epochs=5)


def test_early_stop_hands_back_the_towers_of_the_best_epoch() -> None:
    figures, seen = iter([0.1, 0.4, 0.4, 0.2, 0.1]), []

    def validate(towers: Towers) -> float:
        seen.append((towers.user.table, towers.item.table))
        return next(figures)

    user, item, epochs = fit(small_world(), validate, epochs=20, patience=3)
    assert [epoch.validation for epoch in epochs] == [0.1, 0.4, 0.4, 0.2, 0.1]
    assert_array_equal(user.table, seen[1][0])
    assert_array_equal(item.table, seen[1][1])


def test_what_validation_sees_is_what_is_handed_back() -> None:
    heads = []

    def validate(towers: Towers) -> float:
        heads.append((towers.user.head, towers.item.head))
        return float(len(heads))

    user, _, _ = fit(small_world(), validate, layers=(6,), normalize=True)
    pooled = np.random.default_rng(0).normal(size=(5, 8))
    seen = heads[-1][0]
    assert user.graph is not None
    assert seen is not None
    assert_allclose(run_graph(user.graph)(pooled), seen(pooled), rtol=1e-12)


def test_rows_that_weigh_nothing_teach_nothing() -> None:
    train = small_world()
    silent = train.table["user_id"].is_in(["u1", "u2"])
    weight = pl.when(silent).then(0.0).otherwise(2.0)
    train = Interactions(train.table.with_columns(weight=weight), train.catalogue)
    start = trainer(train, **PLAIN).tables[0].numpy()
    user, _, _ = fit(train, **PLAIN)
    moved = (user.table != start).any(axis=1)
    rows = train.user_vocabulary.rows(["u1", "u2"])
    assert not moved[rows].any()
    assert moved.sum() == len(train.user_vocabulary) - 2  # neither does the unknown


@pytest.mark.parametrize("tutorial", [True, False])
def test_the_plain_loop_has_the_same_loss_curve(tutorial: bool) -> None:
    """Ids only, one dense Adagrad over whole tables and the full matrix of logits."""
    train = small_world(users=80, items=30, rows_per_user=12, positive=None)
    chosen = settings(
        batch_size=128,
        epochs=5,
        learning_rate=0.1,
        logq=not tutorial,
        mask_repeats=not tutorial,
        **PLAIN,
    )
    made = trainer(train, batch_size=128, **PLAIN)
    tables = [table.weight.clone().requires_grad_() for table in made.tables]
    adagrad = torch.optim.Adagrad(tables, lr=0.1, initial_accumulator_value=0.1, eps=1e-7)
    share = np.bincount(train.item_rows, minlength=len(train.item_vocabulary)) / len(train)
    rng, plain = np.random.default_rng(chosen.seed), []
    for _ in range(chosen.epochs):
        order, total = rng.permutation(len(train)), 0.0
        for start in range(0, len(train), 128):
            batch = made.table_rows[order[start : start + 128]]
            users = torch.from_numpy(train.user_rows[batch]).long()
            items = torch.from_numpy(train.item_rows[batch]).long()
            logits = tables[0][users] @ tables[1][items].T  # (batch, batch)
            if not tutorial:
                logits = (
                    logits - torch.from_numpy(np.log(share[train.item_rows[batch]])).float()
                )
                same = (items[:, None] == items) & ~torch.eye(len(batch), dtype=torch.bool)
                logits = logits.masked_fill(same, float("-inf"))
            target = torch.arange(len(batch))
            loss = torch.nn.functional.cross_entropy(logits, target, reduction="sum")
            adagrad.zero_grad()
            loss.backward()
            adagrad.step()
            total += loss.item()
        plain.append(total / len(train))
    sides = encode_all(train, chosen.user, chosen.item, liked_only=True)
    towers, epochs, _ = train_towers(chosen, train, TowerInputs(*sides), None)
    assert_allclose([epoch.loss for epoch in epochs], plain, rtol=1e-4)
    assert_allclose(towers.user.table, tables[0].detach().numpy(), atol=1e-3)
    assert_allclose(towers.item.table, tables[1].detach().numpy(), atol=1e-3)


def test_numbers_far_out_do_not_stop_the_training() -> None:
    train = small_world()
    users = train.users
    assert users is not None
    odd = users.with_columns(
        age=pl.when(pl.col("user_id") == "u1").then(float("inf")).otherwise(pl.col("age"))
    )
    train = Interactions(train.table, train.catalogue, odd, train.positive)
    *_, epochs = fit(train, user=("user_id", Number("age")))
    assert np.isfinite([epoch.loss for epoch in epochs]).all()


def test_shares_of_what_the_columns_are_drawn_from_by_hand() -> None:
    # liked rows: a three times, b once; c was not liked, d is in the catalogue only
    table = pl.DataFrame(
        {
            "user_id": [0, 1, 2, 0, 1],
            "item_id": ["a", "a", "a", "b", "c"],
            "rating": [5.0, 5, 5, 5, 1],
        }
    )
    train = Interactions(table, Catalogue.of_ids(["a", "b", "c", "d"]), positive="rating > 3")

    def shares(**changes: Any) -> NDArray[np.float64]:
        return np.exp(trainer(train, **changes).log_shares.astype(np.float64))

    assert_allclose(shares()[:2], [3 / 4, 1 / 4], rtol=1e-6)
    # two rows, and two of four items drawn evenly: (2 * share + 2 * 1/4) / 4
    want = [(1.5 + 0.5) / 4, (0.5 + 0.5) / 4, 0.5 / 4, 0.5 / 4]
    assert_allclose(shares(batch_size=2, extra_negatives=2), want, rtol=1e-6)
    # a batch holds no more than the four rows there are: (4 * share + 2 * 1/4) / 6
    want = [3.5 / 6, 1.5 / 6, 0.5 / 6, 0.5 / 6]
    assert_allclose(shares(batch_size=64, extra_negatives=2), want, rtol=1e-6)


def test_extra_negatives_teach_items_that_no_row_has() -> None:
    train = small_world(never_taken=4)
    for extra, moved in ((0, False), (50, True)):
        options: dict[str, Any] = {"unknown_share": 0.0, "extra_negatives": extra}
        start = trainer(train, **options).tables[1].numpy()
        _, item, _ = fit(train, **options)
        assert bool((item.table[-1] != start[-1]).any()) == moved  # they stand for the unknown


@pytest.mark.parametrize("hard", [1, 5, 1000])
def test_hard_negatives_are_learned_from(hard: int) -> None:
    options = {"learning_rate": 0.05, "epochs": 5, **PLAIN}
    _, item, epochs = fit(small_world(), hard_negatives=hard, **options)
    assert epochs[-1].loss < epochs[0].loss
    if hard == 1000:  # all of them: the usual loss, in another order of sums
        assert_allclose(item.table, fit(small_world(), **options)[1].table, atol=1e-4)


def test_rows_start_where_they_are_told_to() -> None:
    train = small_world()
    plain = [table.numpy() for table in trainer(train).tables]
    told = np.arange(24, dtype=np.float64).reshape(3, 8)
    users, items = (["u3", "nobody", "u1"], told), (["i5", "i0", "nothing"], told + 100)
    made = trainer(train, start_users=users, start_items=items)
    want = [plain[0].copy(), plain[1].copy()]
    want[0][train.user_vocabulary.rows(["u3", "u1"])] = told[[0, 2]]
    want[1][train.item_vocabulary.rows(["i5", "i0"])] = told[:2] + 100
    for table, rows in zip(made.tables, want, strict=True):
        assert_array_equal(table.numpy(), rows)  # and the unknown ids changed nothing


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"start_users": (["u1"], np.ones((1, 7)))}, r"\(1, 8\) .*got \(1, 7\).*wide as dim"),
        ({"start_items": (["i1", "i2"], np.ones((1, 8)))}, r"\(2, 8\) .*got \(1, 8\)"),
        ({"start_items": (["i1"], np.ones(8))}, r"got \(8,\)"),
        (
            {"item": ("genres",), "start_items": (["i1"], np.ones((1, 8)))},
            "a side that reads its id",
        ),
    ],
)
def test_start_vectors_of_the_wrong_shape(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        trainer(small_world(), **changes)


def test_all_negatives_is_the_softmax_over_the_whole_catalogue() -> None:
    train = small_world()
    made = trainer(train, **PLAIN, negatives="all")
    rows = np.arange(40)
    users, items = made.user_rows[rows], made.item_rows[rows]
    queries, vectors = (
        torch.from_numpy(lines @ table.numpy())  # items that nobody took are the unknown one
        for lines, table in zip(made.static, made.tables, strict=True)
    )
    logits = queries[users.astype(np.int64)] @ vectors[: len(train.item_vocabulary)].T
    want = torch.nn.functional.cross_entropy(logits, torch.from_numpy(items.astype(np.int64)))
    assert_allclose(float(made.step(rows)), float(want), rtol=1e-5)
    assert not made.corrects


def test_all_negatives_has_no_use_for_more() -> None:
    with pytest.raises(ConfigError, match="leave extra_negatives out"):
        settings(negatives="all", extra_negatives=5)
    with pytest.raises(ConfigError, match="negatives must be one of"):
        settings(negatives="some")
